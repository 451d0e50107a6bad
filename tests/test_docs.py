"""The pages name files, commands, options and settings that exist, and the examples in docstrings run."""

import ast
import dataclasses
import doctest
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from conftest import ROOT
from drafts import drafted

import local_runner
import vertex_runner
from lineage.commands.cli import main as lineage_main
from models.problem.kinds import KINDS
from models.training_settings import Hyperparameters
from pipeline.ablation.command import ablate as ablate_main
from pipeline.config.loading import load_config
from pipeline.config.metrics import METRICS
from pipeline.config.settings import Config
from pipeline.drafting.command import init as init_main
from reports.__main__ import main as reports_main

PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
FOLDERS = (*PACKAGES, "configs", "data", "deploy", "docs", "schema", "scripts", "tests")
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", *(f"{folder}/**/*.md" for folder in FOLDERS))
    for path in ROOT.glob(pattern)
)
USER_FILES = r"mine|cancer|houses|data/bad|row_count|cross_network|feather_files|/rows\."  # which a reader creates
FENCED = re.compile(r"^ *```.*?\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMANDS: dict[str, click.Command] = {
    "local_runner.py init": init_main,
    "local_runner.py ablate": ablate_main,
    "local_runner.py": local_runner.main,
    "vertex_runner.py": vertex_runner.main,
    "-m lineage": lineage_main,
    "-m reports": reports_main,
}
EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in PACKAGES
    for path in ROOT.glob(f"{package}/**/*.py")
    if re.search(r"^\s*>>> ", path.read_text(), re.MULTILINE)
)

each_page = pytest.mark.parametrize("page", PAGES)


def code(page: str) -> Iterator[str]:
    """Yields the inline code, and the lines of code blocks with their continuation lines, of a page."""
    text = re.sub(r" *\\\n\s+", " ", (ROOT / page).read_text())
    for block in FENCED.findall(text):
        yield from map(str.strip, block.splitlines())
    text = FENCED.sub("", text)
    yield from (line.strip() for line in re.findall(r"^ {4,}\S.*$", text, re.MULTILINE))
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def strings(path: Path) -> Iterator[str]:
    """Yields the strings of a module. Formatted values are left out of f-strings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "\0".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def options(command: click.Command, name: str) -> set[str]:
    """The options of a command, or of a group's subcommand; of all subcommands if the name is none of them."""
    commands = getattr(command, "commands", {})
    chosen = [commands[name]] if name in commands else [command, *commands.values()]
    parameters = [parameter for each in chosen for parameter in each.params]
    return {"--help", *(name for each in parameters for name in (*each.opts, *each.secondary_opts))}


def fields(record: object) -> set[str]:
    """Names of the fields of a record and of its nested records."""
    names: set[str] = set()
    if isinstance(record, type) and dataclasses.is_dataclass(record):
        for name, annotation in typing.get_type_hints(record).items():
            names |= {name} | fields(annotation)
    for argument in typing.get_args(record):
        names |= fields(argument)
    return names


@pytest.mark.parametrize(
    "name",
    sorted(
        fields(Config) | fields(Hyperparameters) | set(KINDS) | {name for names in METRICS.values() for name in names}
    ),
)
def test_the_settings_page_names_every_key(name: str) -> None:
    page = (ROOT / "docs/settings.md").read_text()
    assert re.search(rf"\b{name}\b", page), f"docs/settings.md does not mention '{name}'"


@each_page
def test_links_lead_to_files_and_headings(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        name, _, anchor = target.partition("#")
        if ":" in name:
            continue
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), f"{page} links to {target}"
        assert not anchor or anchor in anchors(path), f"{page} links to {target}"


@each_page
def test_files_named_in_code_exist(page: str) -> None:
    for text in code(page):
        for word in re.findall(r"(?<![\w./$<{*-])(?:\w[\w.-]*/)+[\w.-]*\w(?![\w/*<{…])", text):
            if word.partition("/")[0] in FOLDERS and not re.search(USER_FILES, word):
                assert (ROOT / page).parent.joinpath(word).exists() or (ROOT / word).exists(), f"{page} names {word}"


@each_page
def test_make_targets_and_modules_exist(page: str) -> None:
    for text in code(page):
        for target in re.findall(r"(?:^|[$&] |PATH )make ([a-z][a-z0-9-]*)", text):
            assert target in TARGETS, f"{page} names make {target}"
        for module in re.findall(r"python -m ([a-z_][\w.]*\w)", text):
            assert importlib.util.find_spec(module), f"{page} names python -m {module}"


@each_page
def test_commands_take_the_options_in_use(page: str) -> None:
    for line in code(page):
        for program, command in COMMANDS.items():
            _, found, arguments = line.partition(f"python {program} ")
            if found:
                words = shlex.split(arguments, comments=True)
                used = {word.partition("=")[0] for word in words if word.startswith("--")}
                assert used <= options(command, words[0] if words else ""), f"{page}: {line}"
                break


@each_page
def test_settings_in_commands_are_accepted(page: str) -> None:
    for line in code(page):
        _, found, arguments = line.partition("local_runner.py ")
        for key, value in re.findall(r"--set '?([\w.]+)=([^'\s]+)", arguments if found else ""):
            load_config(ROOT / "configs/taxi.yaml", {key: value})


def test_the_tutorial_shows_what_is_drafted_and_edits_it(tmp_path: Path) -> None:
    page = (ROOT / "docs/tutorial.md").read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    [script], (shown, edited) = ([text for kind, text in blocks if kind == each] for each in ("python", "yaml"))
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    found = drafted(tmp_path / "data/cancer", "diagnosis", tmp_path)
    settings, schema = ((tmp_path / found.choices[key]).read_text() for key in ("config", "schema"))
    for line in shown.splitlines():
        assert line in settings.splitlines()
    head, key, _ = settings.partition("  thresholds:\n")
    assert key == edited.splitlines(keepends=True)[0]
    (tmp_path / "cancer.yaml").write_text(head + edited)
    load_config(tmp_path / "cancer.yaml")
    feature = next(text for kind, text in blocks if text.startswith("feature {"))
    assert feature.replace("35.0", "38.7") in schema
    for line in found.choices["warnings"]:
        assert f"    warning {line}\n" in page


def test_every_component_has_its_own_page() -> None:
    for folder in (ROOT / "custom_components").iterdir():
        if (folder / "__init__.py").exists() and folder.name != "shared":
            assert (folder / "README.md").is_file(), folder.name


def test_error_messages_in_the_flink_page_exist() -> None:
    table = (ROOT / "docs/flink.md").read_text().partition("## Troubleshooting")[2]
    known = [text for path in (ROOT / "pipeline").rglob("*.py") for text in strings(path)]
    messages = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert "Insufficient number of network buffers" in messages  # Flink's own
    for message in set(messages) - {"Insufficient number of network buffers"}:
        for part in message.split("…"):
            assert any(part in text for text in known), message


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_in_docstrings_run(module: str) -> None:
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted
    assert not results.failed


def test_some_docstrings_have_examples() -> None:
    assert EXAMPLES
