"""The task of this process in a cluster, read from ``TF_CONFIG`` as Vertex AI and TensorFlow define it."""

import dataclasses
import json
import os
from collections.abc import Mapping

TF_CONFIG = "TF_CONFIG"
# Set if the machines that Vertex AI calls parameter servers only sum gradients.
REDUCTION_SERVERS = "REDUCTION_SERVERS"
CHIEF, WORKER, PARAMETER_SERVER = "chief", "worker", "ps"
CHIEFS = (CHIEF, "master")
TASK_TYPES = (*CHIEFS, WORKER, PARAMETER_SERVER)


@dataclasses.dataclass(frozen=True)
class Task:
    """One process of a cluster.

    >>> task = Task({"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "worker", 1)
    >>> task.name, task.is_chief, task.address, task.num_trainers
    ('worker 1', False, '10.0.0.2:2222', 2)

    Attributes:
        cluster: Addresses by task type. Empty for a single process.
        type: Type of the task: one of :data:`TASK_TYPES`.
        index: Its index among the tasks of the same type.
    """

    cluster: Mapping[str, list[str]] = dataclasses.field(default_factory=dict)
    type: str = CHIEF
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this task writes the results: it is the chief, or the first worker of a cluster without one."""
        if any(kind in self.cluster for kind in CHIEFS):
            return self.type in CHIEFS
        return self.index == 0

    @property
    def name(self) -> str:
        """Name in progress lines and errors, such as ``worker 1``."""
        return self.type if self.type in CHIEFS else f"{self.type} {self.index}"

    @property
    def address(self) -> str:
        """Address of this task, as ``host:port``."""
        return self.cluster[self.type][self.index]

    @property
    def port(self) -> int:
        """Port of this task.

        Raises:
            ValueError: The address has no port.
        """
        return int(self.address.rpartition(":")[2])

    @property
    def peers(self) -> list["Task"]:
        """All other tasks of the cluster."""
        places = [(kind, index) for kind, addresses in self.cluster.items() for index in range(len(addresses))]
        return [Task(self.cluster, *place) for place in places if place != (self.type, self.index)]

    @property
    def num_trainers(self) -> int:
        """Number of processes that take steps. The chief is one of them, unless it coordinates the others."""
        workers = len(self.cluster.get(WORKER, ()))
        chiefs = sum(len(self.cluster.get(kind, ())) for kind in CHIEFS)
        return workers if self.is_coordinated else workers + chiefs or 1

    @property
    def is_coordinated(self) -> bool:
        """Whether a chief hands out the steps, and parameter servers hold the weights."""
        return PARAMETER_SERVER in self.cluster


SINGLE_PROCESS = Task()


def this_task() -> Task:
    """Reads the task of this process from ``TF_CONFIG``.

    Raises:
        ValueError: ``TF_CONFIG`` is not JSON in TensorFlow's format, or its cluster does not contain the task.
    """
    text = os.environ.get(TF_CONFIG, "")
    if not text:
        return SINGLE_PROCESS
    try:
        config = json.loads(text)
        cluster = {
            str(kind): [str(each) for each in addresses]
            for kind, addresses in config.get("cluster", {}).items()
            if kind != PARAMETER_SERVER or REDUCTION_SERVERS not in os.environ
        }
        place = config.get("task", {})
        task = Task(cluster, str(place.get("type", CHIEF)), int(place.get("index", 0)))
        known = not cluster or 0 <= task.index < len(cluster[task.type] if task.type in TASK_TYPES else ())
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise ValueError(_invalid(text)) from error
    if not known:
        raise ValueError(_invalid(text))
    return task


def _invalid(text: str) -> str:
    return (
        f'{TF_CONFIG}: found {text[:300]!r}; expected {{"cluster": {{"worker": ["host:port", ...]}}, "task": {{"type": '
        f'"worker", "index": 0}}}}, with a task that is in the cluster and has one of the types {", ".join(TASK_TYPES)}'
    )
