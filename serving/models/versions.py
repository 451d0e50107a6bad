"""Versions of a model: which exist, which are wanted, their state, and the labels they may have."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from tensorflow_serving.apis import get_model_status_pb2

from serving.errors import Code, ServingError
from serving.models.model_config import ModelConfig
from serving.models.servable import LoadedModel

State = get_model_status_pb2.ModelVersionStatus
_VERSION = re.compile("[0-9]{1,30}")


@dataclasses.dataclass
class Version:
    """One version of a model.

    Attributes:
        path: Its folder.
        state: ``START``, ``LOADING``, ``AVAILABLE``, ``UNLOADING`` or ``END``.
        error: Why it could not be loaded, or ``None``.
        servable: The loaded version, while the state is ``AVAILABLE`` or ``UNLOADING``.
        users: Number of running requests.
    """

    path: Path
    state: int = State.START
    error: ServingError | None = None
    servable: LoadedModel | None = None
    users: int = 0


@dataclasses.dataclass
class Model:
    """A model, its configuration and its versions.

    Attributes:
        config: The current configuration.
        versions: All known versions by number, including those that have ended.
        wanted: Versions that the version policy selects, newest first.
        removed: Whether the model is no longer configured.
        poll_error: Why the last search for versions failed, or an empty string.
    """

    config: ModelConfig
    versions: dict[int, Version] = dataclasses.field(default_factory=dict)
    wanted: list[int] = dataclasses.field(default_factory=list)
    removed: bool = False
    poll_error: str = ""

    @property
    def available(self) -> list[int]:
        """Available versions, newest first."""
        return sorted((number for number, each in self.versions.items() if each.state == State.AVAILABLE), reverse=True)

    @property
    def failed(self) -> bool:
        """Whether all wanted versions failed to load."""
        return bool(self.wanted) and all(self.versions[number].state == State.END for number in self.wanted)


@dataclasses.dataclass(frozen=True)
class Retries:
    """How many times to retry loading a version, and the delay before each retry in seconds."""

    max_retries: int
    seconds: float


def find_versions(folder: Path) -> dict[int, Path]:
    """Returns the sub-folders whose names are 64-bit integers, by number.

    Raises:
        OSError: The folder cannot be listed. A missing folder is an error too, unlike an empty one.
    """
    entries = [entry for entry in folder.iterdir() if _VERSION.fullmatch(entry.name)]
    return {int(entry.name): entry for entry in entries if int(entry.name) < 1 << 63 and entry.is_dir()}


def wanted_versions(config: ModelConfig, found: Sequence[int]) -> list[int]:
    """Selects versions by the model's version policy, newest first.

    >>> wanted_versions(ModelConfig(), [3, 12, 7])
    [12]
    >>> policy = {"specific": {"versions": [3, 7, 99]}}
    >>> wanted_versions(ModelConfig(model_version_policy=policy), [3, 12, 7])
    [7, 3]
    """
    policy = config.model_version_policy
    newest = sorted(found, reverse=True)
    match policy.WhichOneof("policy_choice"):
        case "all":
            return newest
        case "specific":
            return [version for version in newest if version in set(policy.specific.versions)]
        case _:
            return newest[: policy.latest.num_versions or 1]


def check_labels(model: Model | None, config: ModelConfig, allow_unavailable: bool) -> None:
    """Checks that the labels of a new configuration refer to available versions.

    Args:
        model: The model with its current configuration, or ``None`` if it is new.
        config: The new configuration.
        allow_unavailable: Whether a label that is not in use may refer to a version that is not loaded yet.

    Raises:
        ServingError: A label refers to a version that is not available.
    """
    available = model.available if model else []
    labels = model.config.version_labels if model and not model.removed else {}
    for label, number in config.version_labels.items():
        moves = labels.get(label, number) != number
        if number in available or (allow_unavailable and not moves):
            continue
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"Request to assign label to version {number} of model {config.name}, which is not currently available "
            "for inference",
        )
