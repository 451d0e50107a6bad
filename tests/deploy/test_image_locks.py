"""The images' locks pin their requirements, in the versions tested here, and nothing else."""

import re
import tomllib
from collections.abc import Collection
from importlib.metadata import distribution
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from serving_files import instructions

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BEAM = ROOT / "deploy/beam"
STEPS, GPU, WORKERS = (
    ROOT / f"deploy/{name}.lock" for name in ("vertex/requirements", "vertex/requirements-gpu", "beam/requirements")
)


def locked(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes by package."""
    entries = re.findall(r"^(\S+)==(\S+) \\\n((?:    --hash=\S+(?: \\)?\n)+)", path.read_text(), re.MULTILINE)
    assert len(entries) == path.read_text().count("==")
    return {name: (version, frozenset(re.findall(r"--hash=(\S+)", hashes))) for name, version, hashes in entries}


def lines(path: Path) -> list[str]:
    stripped = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in stripped if line]


def excluded() -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines(BEAM / "excluded.txt")}


def closure(requirements: list[str], without: Collection[str] = ()) -> set[str]:
    """The given requirements with all of their dependencies, from the metadata of the installed packages."""
    found: dict[str, set[str]] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        extras = {"", *requirement.extras}
        if name in without or extras <= found.get(name, set()):
            continue
        found[name] = found.get(name, set()) | extras
        needed = [Requirement(text) for text in distribution(name).requires or ()]
        waiting += [
            each
            for each in needed
            if not each.marker or any(each.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return set(found)


@pytest.mark.parametrize("path", [STEPS, GPU, WORKERS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_image_has_the_versions_and_files_tested_here(path: Path) -> None:
    main, image = locked(ROOT / "requirements.lock"), locked(path)
    cuda = {name for name in image if name.startswith("nvidia-")}
    assert {name: pin for name, pin in image.items() if name not in cuda} == {
        name: main[name] for name in image if name not in cuda
    }
    assert bool(cuda) == (path == GPU)


def test_steps_get_the_project_dependencies_and_no_development_tool() -> None:
    assert set(locked(STEPS)) == closure(PROJECT["project"]["dependencies"]), "run make image-locks"
    tools = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependency-groups"]["dev"]}
    assert "pytest" in tools
    assert not tools & set(locked(STEPS))


def test_the_gpu_lock_adds_cuda_and_nothing_else() -> None:
    [gpu] = [Requirement(text) for text in PROJECT["project"]["optional-dependencies"]["gpu"]]
    needed = [Requirement(text) for text in distribution(gpu.name).requires or ()]
    cuda = {each.name for each in needed if each.marker and each.marker.evaluate({"extra": "and-cuda"})} - {
        each.name for each in needed if not each.marker or each.marker.evaluate({"extra": ""})
    }
    assert set(locked(GPU)) - set(locked(STEPS)) == cuda
    assert "nvidia-cudnn-cu12" in cuda


def test_workers_get_their_requirements_without_the_exclusions() -> None:
    assert set(locked(WORKERS)) == closure(lines(BEAM / "requirements.in"), excluded()), "run make image-locks"
    assert excluded() <= set(locked(STEPS)), "an excluded package is no longer a dependency"
    assert len(locked(WORKERS)) < 0.7 * len(locked(STEPS))


@pytest.mark.parametrize("folder", ["beam", "vertex"])
def test_beams_boot_program_has_the_locked_version(folder: str) -> None:
    version, _ = locked(ROOT / "requirements.lock")["apache-beam"]
    named = [rest for name, rest in instructions(ROOT / f"deploy/{folder}/Dockerfile") if name == "FROM"]
    assert f"apache/beam_python3.11_sdk:{version} AS beam" in named
