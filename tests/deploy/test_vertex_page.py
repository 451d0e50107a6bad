"""The commands, options and settings in docs/vertex.md exist and are accepted."""

import dataclasses
import re
import shlex
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from conftest import ROOT
from fake_gcloud import Machine, option
from test_cloud_images import BUILD, build

import vertex_runner
from pipeline.config.loading import load_vertex_config
from pipeline.config.settings import Config

PAGE = (ROOT / "docs/vertex.md").read_text()
SCRIPTS = ("deploy/project.sh", "deploy/scheduler/schedule.sh")
OPTIONS = {"project": "p-1234", "region": "europe-west4", "bucket": "gs://bucket", "image": "host/image:1"}
# Shell variables that the commands use.
SHELL = {"P": "my-project", "R": "europe-west4", "B": "gs://my-bucket", "I": "host/repository", "TAG": "1a2b3c4"}
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
QUOTED = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))


def commands() -> list[list[str]]:
    """The words of each command on the page, with its variables expanded."""
    indented = re.findall(r"(?:^    \S.*(?:\n {4,}\S.*)*$)", PAGE, re.MULTILINE)
    text = re.sub(r"\\\n\s+", " ", "\n".join(indented))
    text = re.sub(r"\$\(gcloud config get account\)", "ada@example.com", text)
    filled = re.sub(r"\$([A-Z]+)", lambda found: SHELL.get(found[1], found[0]), text)
    return [shlex.split(line) for line in filled.splitlines()]


def of(program: str) -> list[list[str]]:
    """The arguments of each call of a program on the page."""
    found = [words[words.index(program) + 1 :] for words in commands() if program in words[:2]]
    assert found, program
    return found


def flat(block: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values by dotted key. A block that the page replaces completely stays one value."""
    for key, value in block.items():
        if isinstance(value, dict) and not prefix and key not in ("dataflow",):
            yield from flat(value, f"{key}.")
        else:
            yield f"{prefix}{key}", value


def fields(record: object, prefix: str = "") -> set[str]:
    """Dotted keys of a record and of its nested records."""
    names: set[str] = set()
    if isinstance(record, type) and dataclasses.is_dataclass(record):
        for name, annotation in typing.get_type_hints(record).items():
            names |= {prefix + name} | fields(annotation, f"{prefix}{name}.")
    for argument in typing.get_args(record):
        names |= fields(argument, prefix)
    return names


KEYS = fields(Config)


@pytest.mark.parametrize("words", of("vertex_runner.py"), ids=lambda words: words[0])
def test_the_runner_accepts_every_command(words: list[str]) -> None:
    assert words[0] in vertex_runner.main.commands, f"vertex_runner.py has no command {words[0]}"
    command = vertex_runner.main.commands[words[0]]
    context = command.make_context(words[0], list(words[1:]))
    assert Path(context.params.get("config") or "configs/taxi.yaml").parts[0] == "configs"


def test_the_first_run_is_compiled_checked_and_submitted() -> None:
    assert [words[0] for words in of("vertex_runner.py")][:3] == ["compile", "check", "submit"]
    compiled, checked, submitted = (
        vertex_runner.main.commands[words[0]].make_context(words[0], words[1:]).params
        for words in of("vertex_runner.py")[:3]
    )
    assert str(checked["file"]) == compiled["out"]
    shared = ("config", "project", "region", "bucket", "image")
    assert [compiled[name] for name in shared] == [submitted[name] for name in shared]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_accept_every_command(script: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.json").write_text('{"displayName": "taxi", "pipelineSpec": {}}')
    for number, arguments in enumerate(of(script)):
        words = [str(tmp_path / word) if word == "pipeline.json" else word for word in arguments]
        result = Machine(tmp_path / str(number)).run(script, *words)
        assert (result.returncode, result.stderr) == (0, "")


def test_images_are_built_from_existing_files_and_pushed_to_where_they_are_used() -> None:
    built = [words[2:] for words in commands() if words[:2] == ["docker", "build"]]
    assert {option(words, "--file") for words in built} == {"deploy/vertex/Dockerfile", "deploy/beam/Dockerfile"}
    tags = {option(words, "--tag") for words in built}
    assert tags == {f"host/repository/{name}:1a2b3c4" for name in ("vertex", "beam")}
    assert all(words[words.index("push") + 1] in tags for words in built)
    assert {words[words.index("--image") + 1] for words in of("vertex_runner.py") if "--image" in words} <= tags


def test_cloud_build_gets_every_substitution() -> None:
    [words] = [words for words in commands() if words[:3] == ["gcloud", "builds", "submit"]]
    given = {pair.partition("=")[0] for pair in option(words, "--substitutions").split(",")}
    assert ROOT / option(words, "--config") == BUILD
    assert set(re.findall(r"\$\{(_\w+)\}", BUILD.read_text())) == given | set(build()["substitutions"])
    # deploy/project.sh creates the account, and the folder that is emptied after a week.
    assert option(words, "--service-account").endswith("/onegraph-build@my-project.iam.gserviceaccount.com")
    assert option(words, "--gcs-source-staging-dir") == "gs://my-bucket/build"


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: "-".join(f"{key}.{'.'.join(block[key])}" for key in block))
def test_settings_are_accepted(block: dict[str, Any]) -> None:
    given = dict(flat(block))
    if "data.bigquery" in given:
        given["data.path"] = ""
    if "dataflow" in given:
        given.setdefault("data.path", "gs://bucket/table")
    overrides = {key: yaml.safe_dump(value, default_flow_style=True) for key, value in given.items()}
    options = {key: value for key, value in OPTIONS.items() if f"vertex.{key}" not in given}
    load_vertex_config(ROOT / "configs/taxi.yaml", overrides, **options)


def test_settings_named_in_the_text_exist() -> None:
    blocks = {key.partition(".")[0] for key in KEYS}
    named = {text.partition(":")[0].strip() for text in QUOTED}
    dotted = {text for text in named if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", text) and text.partition(".")[0] in blocks}
    assert {"vertex.machines", "dataflow.image", "training.parameter_servers"} <= dotted
    assert dotted <= KEYS, dotted - KEYS
    # Such as `flexrs: true`, a key of the block that the text describes.
    pairs = {text.partition(":")[0] for text in QUOTED if re.fullmatch(r"[a-z_]+: [a-z_]+", text)}
    assert pairs <= {key.rpartition(".")[2] for key in KEYS}, pairs


def test_options_named_in_the_text_exist() -> None:
    known = {
        name
        for command in vertex_runner.main.commands.values()
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }
    for script in SCRIPTS:
        known |= set(re.findall(r"--[a-z-]+", (ROOT / script).read_text()))
    named = {found for text in QUOTED for found in re.findall(r"(?:^| )(--[a-z-]+)", text) if "gcloud" not in text}
    assert {"--no-cache", "--dataflow", "--submitter"} <= named
    assert named - known <= {"--build-arg"}, named - known


@pytest.mark.parametrize("text", [text for text in QUOTED if re.fullmatch(r"(deploy|configs|docs)/[\w./-]+\w", text)])
def test_files_named_in_the_text_exist(text: str) -> None:
    assert (ROOT / text).exists()
