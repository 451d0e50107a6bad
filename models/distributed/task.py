"""Which of several processes this one is: ``TF_CONFIG``, as Vertex AI and TensorFlow know it."""

import dataclasses
import json
import os
from collections.abc import Mapping

CONFIG = "TF_CONFIG"
REDUCTION = "REDUCTION_SERVERS"  # set where the machines that Vertex AI calls parameter servers sum gradients instead
CHIEF, WORKER, SERVER = "chief", "worker", "ps"
CHIEFS = (CHIEF, "master")
KINDS = (*CHIEFS, WORKER, SERVER)


@dataclasses.dataclass(frozen=True)
class Task:
    """This process among those that train together.

    Attributes:
        cluster: Addresses by kind of task; empty for a process of its own.
        type: Its kind.
        index: Its place among those of its kind.
    """

    cluster: Mapping[str, list[str]] = dataclasses.field(default_factory=dict)
    type: str = CHIEF
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether it is the one that writes: the chief, or the first worker where there is none."""
        if any(kind in self.cluster for kind in CHIEFS):
            return self.type in CHIEFS
        return self.index == 0

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.type if self.type in CHIEFS else f"{self.type} {self.index}"

    @property
    def address(self) -> str:
        """Its own, as ``host:port``."""
        return self.cluster[self.type][self.index]

    @property
    def port(self) -> int:
        """Its own.

        Raises:
            ValueError: The address has none.
        """
        return int(self.address.rpartition(":")[2])

    @property
    def peers(self) -> list["Task"]:
        """All others."""
        places = [(kind, index) for kind, addresses in self.cluster.items() for index in range(len(addresses))]
        return [Task(self.cluster, *place) for place in places if place != (self.type, self.index)]

    @property
    def trainers(self) -> int:
        """Number of processes that take steps: the chief too, unless it gives them to others."""
        workers = len(self.cluster.get(WORKER, ()))
        chiefs = sum(len(self.cluster.get(kind, ())) for kind in CHIEFS)
        return workers if SERVER in self.cluster else workers + chiefs or 1

    @property
    def is_coordinated(self) -> bool:
        """Whether a chief gives the steps to the others, whose weights are on parameter servers."""
        return SERVER in self.cluster


ALONE = Task()


def this_task() -> Task:
    """What ``TF_CONFIG`` says of this process.

    Raises:
        ValueError: It is no JSON of the form that TensorFlow knows, or there is no such task in its cluster.
    """
    text = os.environ.get(CONFIG, "")
    if not text:
        return ALONE
    try:
        config = json.loads(text)
        cluster = {
            str(kind): [str(each) for each in addresses]
            for kind, addresses in config.get("cluster", {}).items()
            if kind != SERVER or REDUCTION not in os.environ
        }
        place = config.get("task", {})
        task = Task(cluster, str(place.get("type", CHIEF)), int(place.get("index", 0)))
        known = not cluster or 0 <= task.index < len(cluster[task.type] if task.type in KINDS else ())
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(_expected(text)) from error
    if not known:
        raise ValueError(_expected(text))
    return task


def _expected(text: str) -> str:
    return (
        f'{CONFIG}: found {text[:300]!r}; expected {{"cluster": {{"worker": ["host:port", ...]}}, "task": {{"type": '
        f'"worker", "index": 0}}}}, with a task that is in the cluster and of the kinds {", ".join(KINDS)}'
    )
