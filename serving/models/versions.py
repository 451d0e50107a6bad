"""What the manager knows of models and their versions, and which labels it may give them."""

import dataclasses
from pathlib import Path

from tensorflow_serving.apis import get_model_status_pb2

from serving.errors import Code, ServingError
from serving.models.configuration import ModelConfig
from serving.models.servable import Servable

State = get_model_status_pb2.ModelVersionStatus


@dataclasses.dataclass
class Version:
    """One version of a model.

    Attributes:
        path: Its folder.
        state: ``START``, ``LOADING``, ``AVAILABLE``, ``UNLOADING`` or ``END``.
        error: Why it could not be loaded.
        servable: The loaded version, while it is ``AVAILABLE`` or ``UNLOADING``.
        users: Requests under way.
    """

    path: Path
    state: int = State.START
    error: ServingError | None = None
    servable: Servable | None = None
    users: int = 0


@dataclasses.dataclass
class Model:
    """A model: what was asked for, and what there is of it.

    Attributes:
        config: What was asked for.
        versions: What is known of each version.
        wanted: The versions that are to answer, the newest first.
        removed: Whether it is not to be served any more.
        trouble: Why one could not look for versions the last time.
    """

    config: ModelConfig
    versions: dict[int, Version] = dataclasses.field(default_factory=dict)
    wanted: list[int] = dataclasses.field(default_factory=list)
    removed: bool = False
    trouble: str = ""

    @property
    def available(self) -> list[int]:
        """Versions that answer, the newest first."""
        return sorted((number for number, each in self.versions.items() if each.state == State.AVAILABLE), reverse=True)

    @property
    def failed(self) -> bool:
        """Whether there are versions, and none of them can be loaded."""
        return bool(self.wanted) and all(self.versions[number].state == State.END for number in self.wanted)


@dataclasses.dataclass(frozen=True)
class Retries:
    """How often a version that cannot be loaded is tried again, and after how many seconds."""

    most: int
    seconds: float


def check_labels(known: Model | None, config: ModelConfig, early: bool) -> None:
    """Checks that labels stand for versions that answer.

    Args:
        known: The model as it is served; ``None`` if it is not.
        config: What is asked for.
        early: Whether a label that is not in use may stand for a version that is not loaded yet.

    Raises:
        ServingError: One does not.
    """
    available = known.available if known else []
    labels = known.config.version_labels if known and not known.removed else {}
    for label, number in config.version_labels.items():
        moves = labels.get(label, number) != number
        if number in available or (early and not moves):
            continue
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"Request to assign label to version {number} of model {config.name}, which is not currently available "
            "for inference",
        )
