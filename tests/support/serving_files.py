"""Readers for the files in deploy/serving."""

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
    """Returns the resources in the files that a kustomization lists."""
    files = [folder / name for name in yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]]
    return [each for file in files if file.is_file() for each in yaml.safe_load_all(file.read_text())]


def resource(kind: str, name: str = "taxi-serving") -> dict[str, Any]:
    """Returns a resource by kind and name."""
    [match] = [each for each in manifests() if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return match


def pod() -> dict[str, Any]:
    """Returns the Deployment's pod template."""
    template: dict[str, Any] = resource("Deployment")["spec"]["template"]
    return template


def container() -> dict[str, Any]:
    """Returns the pod's only container."""
    [match] = pod()["spec"]["containers"]
    return dict(match)


def canary_container() -> dict[str, Any]:
    """Returns the canary's patch of the container."""
    patch = yaml.safe_load((CANARY / "labels.yaml").read_text())
    [match] = patch["spec"]["template"]["spec"]["containers"]
    return dict(match)


def service() -> dict[str, Any]:
    """Returns the service in the compose file."""
    services: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services["taxi-serving"]


def instructions(file: Path = CONTAINER_FILE) -> list[tuple[str, str]]:
    """Returns the instructions of a Dockerfile as pairs of name and arguments."""
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def instruction(name: str) -> str:
    """Returns the arguments of the only instruction with this name."""
    [match] = [rest for each, rest in instructions() if each == name]
    return match


def health_command() -> list[str]:
    """Returns the command of the Dockerfile's HEALTHCHECK."""
    command: list[str] = json.loads(instruction("HEALTHCHECK").partition(" CMD ")[2])
    return command


def flags_of(source: str) -> list[str]:
    """Returns the server's flags in the Dockerfile, the compose file or the Deployment, without variables."""
    flags: list[str] = {
        "container": lambda: json.loads(instruction("CMD")),
        "compose": lambda: service()["command"],
        "kubernetes": lambda: container()["args"],
    }[source]()
    return [
        flag.replace("${MODELS_CONFIG:-models.config}", MODELS_CONFIG).replace("$(MODELS_CONFIG)", MODELS_CONFIG)
        for flag in flags
    ]
