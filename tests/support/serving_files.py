"""The files of deploy/serving, read."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/serving"
CONFIG = FOLDER / "config"
CANARY = FOLDER / "kubernetes-canary"
CONTAINER_FILE, COMPOSE = FOLDER / "Dockerfile", FOLDER / "compose.yaml"
MODELS_CONFIG = "models.config"


def manifests(folder: Path = FOLDER / "kubernetes") -> list[dict[str, Any]]:
    """The resources that a folder's kustomization names, but for those of other folders."""
    files = [folder / name for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]]
    return [each for file in files if file.is_file() for each in yaml.safe_load_all(file.read_text())]


def resource(kind: str, name: str = "taxi-serving") -> dict[str, Any]:
    """One resource."""
    [found] = [each for each in manifests() if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pod() -> dict[str, Any]:
    """The pod that the Deployment makes."""
    template: dict[str, Any] = resource("Deployment")["spec"]["template"]
    return template


def container() -> dict[str, Any]:
    """Its only container."""
    [found] = pod()["spec"]["containers"]
    return dict(found)


def canary_container() -> dict[str, Any]:
    """What the canary's kustomization changes of it."""
    patch = yaml.safe_load((CANARY / "labels.yaml").read_text())
    [found] = patch["spec"]["template"]["spec"]["containers"]
    return dict(found)


def service() -> dict[str, Any]:
    """The service of the compose file."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]["taxi-serving"]
    return found


def instructions(file: Path = CONTAINER_FILE) -> list[tuple[str, str]]:
    """A container file's instructions, each on one line and without comments."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def instruction(name: str) -> str:
    """The only instruction of that name."""
    [found] = [rest for each, rest in instructions() if each == name]
    return found


def health_command() -> list[str]:
    """What the container file's HEALTHCHECK runs."""
    command: list[str] = json.loads(instruction("HEALTHCHECK").partition(" CMD ")[2])
    return command


def flags_of(place: str) -> list[str]:
    """The server's flags in the container file, the compose file or the Deployment, the models' file filled in."""
    flags: list[str] = {
        "container": lambda: json.loads(instruction("CMD")),
        "compose": lambda: service()["command"],
        "kubernetes": lambda: container()["args"],
    }[place]()
    return [
        flag.replace("${MODELS_CONFIG:-models.config}", MODELS_CONFIG).replace("$(MODELS_CONFIG)", MODELS_CONFIG)
        for flag in flags
    ]
