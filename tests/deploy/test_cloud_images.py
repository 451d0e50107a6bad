"""The Dockerfiles of the steps and of the Dataflow workers, and their build, match the project."""

import ast
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from serving_files import instructions

STEPS, WORKERS = (ROOT / f"deploy/{name}/Dockerfile" for name in ("vertex", "beam"))
BUILD = ROOT / "deploy/cloudbuild.yaml"
BOTH = pytest.mark.parametrize("file", [STEPS, WORKERS], ids=lambda file: file.parent.name)
SETUP = runpy.run_path(str(ROOT / "scripts/setup_env.py"), run_name="setup_env")


def stages(file: Path) -> list[list[tuple[str, str]]]:
    """The instructions by build stage."""
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions(file):
        if name == "FROM":
            found.append([])
        found[-1].append((name, rest))
    return found


def copied(stage: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Sources and targets of a stage's copies from the repository."""
    copies = [rest.split() for name, rest in stage if name == "COPY" and not rest.startswith("--from=")]
    assert all(len(each) == 2 for each in copies)
    return [(source, target) for source, target in copies]


def variables(file: Path) -> dict[str, str]:
    pairs = [shlex.split(rest) for name, rest in stages(file)[-1] if name == "ENV"]
    return dict(pair.split("=", 1) for group in pairs for pair in group)


def allowed() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines.index("*") < min(at for at, line in enumerate(lines) if line.startswith("!")), (
        "everything else is excluded"
    )
    return [line[1:] for line in lines if line.startswith("!")]


def build() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(BUILD.read_text())
    return found


@BOTH
def test_container_files_pass_the_linter(file: Path) -> None:
    linter = shutil.which("hadolint", path=sysconfig.get_path("scripts"))
    assert linter, "found no hadolint; expected the one in the environment"
    command = [linter, "--no-color", "--failure-threshold=style", str(file)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


@pytest.mark.parametrize("script", sorted(ROOT.glob("deploy/**/*.sh")), ids=lambda path: path.name)
def test_scripts_pass_the_linter(script: Path) -> None:
    linter = shutil.which("shellcheck", path=sysconfig.get_path("scripts"))
    assert linter, "found no shellcheck; expected the one in the environment"
    found = subprocess.run([linter, str(script)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


@BOTH
def test_packages_are_built_and_run_with_the_python_that_they_are_locked_for(file: Path) -> None:
    first, *_, last = stages(file)
    assert first[0] == ("FROM", f"{SETUP['CONTAINER_IMAGE']} AS build")
    assert last[0] == ("FROM", SETUP["CONTAINER_IMAGE"].replace("-", "-slim-"))
    # A virtual environment works only at the path where it was created.
    [made] = re.findall(r"python -m venv (\S+)", dict(first)["RUN"])
    assert ("COPY", f"--from=build {made} {made}") in last
    assert variables(file)["PATH"] == f"{made}/bin:$PATH"
    assert f"--python {made}/bin/python" in dict(first)["RUN"]


@BOTH
def test_packages_are_installed_by_hash_and_compiled(file: Path) -> None:
    sync = dict(stages(file)[0])["RUN"].split(" && ")[-1].split()
    assert sync[:3] == ["uv", "pip", "sync"]
    assert {"--require-hashes", "--build-constraints", "--compile-bytecode"} <= set(sync)
    assert sync[-1] == "run.lock"
    assert "PYTHONDONTWRITEBYTECODE" not in variables(file)
    assert any(name == "RUN" and "compileall" in rest for name, rest in stages(file)[-1])


@BOTH
def test_the_installer_itself_is_installed_by_its_hash(file: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "requirements.lock", tmp_path / "all.lock")
    command = dict(stages(file)[0])["RUN"].split(" && ")[0]
    assert command.endswith("> uv.lock")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    assert (tmp_path / "uv.lock").read_text() == SETUP["lock_entry"]("uv")
    assert "--require-hashes --requirement uv.lock" in dict(stages(file)[0])["RUN"]


@BOTH
def test_copied_files_exist_and_pass_dockerignore(file: Path) -> None:
    lock = dict(re.findall(r"(\w+)=(\S+)", " ".join(rest for name, rest in stages(file)[0] if name == "ARG")))
    sources = [source.replace("${LOCK}", lock.get("LOCK", "")) for stage in stages(file) for source, _ in copied(stage)]
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source == "." or any(Path(source).match(pattern) for pattern in allowed()), source


def test_steps_get_every_package_the_settings_and_the_sample() -> None:
    assert copied(stages(STEPS)[-1]) == [(".", ".")]
    assert {"configs", "schema", "data", "vertex_runner.py"} <= set(allowed())
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {"pipeline", "cloud"} <= packages
    assert packages - set(allowed()) == {"benchmarks"}
    assert variables(STEPS)["PYTHONPATH"] == dict(stages(STEPS)[-1])["WORKDIR"]


def test_workers_get_every_package_that_theirs_import() -> None:
    packages = {source for source, _ in copied(stages(WORKERS)[-1])}
    assert all((source, source) in copied(stages(WORKERS)[-1]) for source in packages)
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    # Workers unpickle these modules. All other code of a component runs in its step.
    roots = [*(ROOT / "models").glob("*.py"), *(ROOT / "custom_components").glob("*example_gen/*.py")]
    imported = {name.partition(".")[0] for path in roots for name in imports(path)}
    assert imported & ours <= packages
    assert "models" in imported
    assert variables(WORKERS)["PYTHONPATH"] == dict(stages(WORKERS)[-1])["WORKDIR"]


def imports(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return found


@BOTH
def test_a_container_without_a_command_is_a_dataflow_worker(file: Path) -> None:
    last = stages(file)[-1]
    assert json.loads(dict(last)["ENTRYPOINT"]) == ["/opt/apache/beam/boot"]
    assert ("COPY", "--from=beam /opt/apache/beam /opt/apache/beam") in last
    # Otherwise Beam's boot program would not use the environment that has the packages.
    assert variables(file)["RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT"] == "1"


def test_the_command_of_a_step_finds_python_and_its_module() -> None:
    files = [str(path) for path in distribution("tfx").files or ()]
    runner = "tfx/orchestration/kubeflow/v2/kubeflow_v2_dag_runner.py"
    text = Path(str(distribution("tfx").locate_file(runner))).read_text()
    [command] = [
        ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "KUBEFLOW_TFX_CMD"
    ]
    assert command[:2] == ("python", "-m")  # the environment comes first on the image's PATH
    assert f"{command[2].replace('.', '/')}.py" in files
    assert "tfx/scripts/run_executor.py" in files


def test_cloud_build_builds_and_pushes_both_images() -> None:
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema=vendor.cloudbuild", str(BUILD)]
    assert subprocess.run(schema, capture_output=True, check=False).returncode == 0
    steps = [
        dict(each[2:].split("=", 1) for each in step["args"] if each.startswith("--")) for step in build()["steps"]
    ]
    assert {ROOT / step["file"] for step in steps} == {STEPS, WORKERS}
    assert [step["tag"] for step in steps] == build()["images"]
    assert (ROOT / "deploy/vertex" / build()["substitutions"]["_LOCK"]).is_file()
    [argument] = [step["build-arg"] for step in steps if "build-arg" in step]
    assert argument.partition("=")[0] in {rest.partition("=")[0] for name, rest in stages(STEPS)[0] if name == "ARG"}
