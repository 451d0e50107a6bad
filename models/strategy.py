"""How training is spread: ``training.strategy`` and ``TF_CONFIG`` as one of TensorFlow's distribution strategies."""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from models.settings import StrategyName

CONFIG = "TF_CONFIG"  # as Vertex AI and TensorFlow know it
CHIEF, WORKER, SERVER = "chief", "worker", "ps"
CHIEFS = (CHIEF, "master")
LOOK_SECONDS = 0.5
MOST_DENSE = 1 << 20  # numbers in a variable
TPU_NAME = "TPU_NAME"
TPU_DEVICES = "/dev/accel0", "/dev/vfio/0"


class PortTakenError(ValueError):
    """The port that a process has to listen on is another's."""


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
    def trainers(self) -> int:
        """Number of processes that take steps: the chief too, unless it gives them to others."""
        workers = len(self.cluster.get(WORKER, ()))
        chiefs = sum(len(self.cluster.get(kind, ())) for kind in CHIEFS)
        return workers if SERVER in self.cluster else workers + chiefs or 1


ALONE = Task()


def this_task() -> Task:
    """What ``TF_CONFIG`` says of this process.

    Raises:
        ValueError: It is no JSON of the form that TensorFlow knows.
    """
    text = os.environ.get(CONFIG, "")
    if not text:
        return ALONE
    try:
        config = json.loads(text)
        cluster = {kind: list(addresses) for kind, addresses in config.get("cluster", {}).items()}
        task = config.get("task", {})
        return Task(cluster, str(task.get("type", CHIEF)), int(task.get("index", 0)))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f'{CONFIG}: found {text[:200]!r}; expected {{"cluster": {{"worker": ["host:port", ...]}}, "task": '
            '{"type": "worker", "index": 0}}'
        ) from error


def make_strategy(name: StrategyName, task: Task) -> tf.distribute.Strategy:
    """The strategy of a process; to be called before any other use of TensorFlow.

    ====================  ==========================================================================================
    ``auto``              ``parameter_server`` or ``multi_worker`` where ``TF_CONFIG`` names several processes,
                          ``tpu`` where there is one, ``mirrored`` for several GPUs, else ``one_device``
    ``one_device``        the first GPU, or the CPU
    ``mirrored``          all GPUs of this machine, each with a part of every batch
    ``multi_worker``      the same over the processes of ``TF_CONFIG``, whose gradients are summed among them
    ``parameter_server``  weights stand on the ``ps`` tasks; workers take steps without waiting for each other
    ``tpu``               all cores of the TPU that ``TPU_NAME`` or this machine has
    ====================  ==========================================================================================

    Args:
        name: ``training.strategy``.
        task: This process.

    Raises:
        ValueError: There is no TPU, or no cluster.
        PortTakenError: A port is taken.
    """
    if name == "auto":
        name = _chosen(task)
    match name:
        case "tpu":
            return _tpu()
        case "mirrored":
            return tf.distribute.MirroredStrategy()
        case "multi_worker":
            return _multi_worker(task)
        case "parameter_server":
            return _parameter_server(task)
    return tf.distribute.get_strategy()  # TensorFlow's own: OneDeviceStrategy's iterators cost half of a small step


def serve(task: Task) -> None:
    """Works for a coordinator, as a worker or a parameter server, and never returns.

    Raises:
        PortTakenError: Its port is taken.
    """
    with _ports_of(task):
        server = tf.distribute.Server(
            tf.train.ClusterSpec(dict(task.cluster)), job_name=task.type, task_index=task.index, protocol="grpc"
        )
    server.join()


def needs_static_shapes(strategy: tf.distribute.Strategy) -> bool:
    """Whether every batch has to be of the same size, since the graph is compiled for it."""
    return isinstance(strategy, tf.distribute.TPUStrategy)


def is_asynchronous(strategy: tf.distribute.Strategy) -> bool:
    """Whether steps are taken by workers that a coordinator schedules."""
    return isinstance(strategy, tf.distribute.ParameterServerStrategy)


def sum_dense_gradients(optimizer: keras.optimizers.Optimizer) -> None:
    """Has an optimizer turn the sparse gradients of small variables into dense ones before replicas sum them.

    Dense ones are summed all at once; a sparse one, as an embedding has, takes several exchanges of its own.
    """
    aggregate = optimizer.aggregate_gradients

    def densely(gradients: Any) -> Any:
        return aggregate(
            [
                (tf.convert_to_tensor(gradient), variable)
                if isinstance(gradient, tf.IndexedSlices) and variable.shape.num_elements() <= MOST_DENSE
                else (gradient, variable)
                for gradient, variable in gradients
            ]
        )

    optimizer.aggregate_gradients = densely


def wait_for_chief(path: str, seconds: float) -> None:
    """Waits until the chief has written a file.

    Vertex AI looks for the model in every process, and ends all of them once one has failed.

    Raises:
        TimeoutError: It does not come.
    """
    end = time.monotonic() + seconds
    while not tf.io.gfile.exists(path):
        if time.monotonic() > end:
            raise TimeoutError(f"found no {path} after {seconds:.0f} s; expected the chief to write it")
        time.sleep(LOOK_SECONDS)


def _chosen(task: Task) -> StrategyName:
    if SERVER in task.cluster:
        return "parameter_server"
    if task.trainers > 1:
        return "multi_worker"
    if os.environ.get(TPU_NAME) or any(map(os.path.exists, TPU_DEVICES)):
        return "tpu"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


def _tpu() -> tf.distribute.Strategy:
    name = os.environ.get(TPU_NAME, "")
    if not name and not any(map(os.path.exists, TPU_DEVICES)):
        raise ValueError(
            f"training.strategy is 'tpu' and there is none: found no {TPU_NAME} and none of {', '.join(TPU_DEVICES)}; "
            "run on a machine that has one, or set training.strategy to 'auto'"
        )
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name or "local")
        if name and name != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        line = str(error).strip().partition("\n")[0]
        raise ValueError(f"the TPU '{name or 'local'}' cannot be used: {line}; expected one that answers") from error


def _multi_worker(task: Task) -> tf.distribute.Strategy:
    if task.trainers < 2:
        # Collectives of one process have no peer to wait for.
        return tf.distribute.MirroredStrategy()
    with _ports_of(task):
        return tf.distribute.MultiWorkerMirroredStrategy()


def _parameter_server(task: Task) -> tf.distribute.Strategy:
    missing = [kind for kind in (CHIEF, WORKER, SERVER) if not task.cluster.get(kind)]
    if missing:
        raise ValueError(
            f"training.strategy is 'parameter_server' and {CONFIG} has no {', '.join(missing)}; expected a chief, "
            "workers and parameter servers"
        )
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    with _ports_of(task):
        return tf.distribute.ParameterServerStrategy(resolver)


@contextlib.contextmanager
def _ports_of(task: Task) -> Iterator[None]:
    """Turns TensorFlow's words for a port that is taken into ours."""
    try:
        yield
    except tf.errors.OpError as error:
        if "gRPC server" not in str(error):
            raise
        address = task.cluster[task.type][task.index]
        raise PortTakenError(
            f"{task.name}: the port of {address} is taken; expected a free one (training.first_port, or {CONFIG})"
        ) from error
