"""Distribution strategies: which one ``training.strategy`` and ``TF_CONFIG`` ask for, and how to make it."""

import os
import signal
import threading
from typing import Any

import tensorflow as tf
import tf_keras as keras

from models.distributed.peers import listen_on_task_port, wait_for_chief, wait_for_peers
from models.distributed.task import CHIEF, PARAMETER_SERVER, REDUCTION_SERVERS, TF_CONFIG, WORKER, Task
from models.training_settings import StrategyName

MAX_DENSE_ELEMENTS = 1 << 20
TPU_NAME = "TPU_NAME"
TPU_DEVICES = "/dev/accel0", "/dev/vfio/0"


def make_strategy(name: StrategyName, task: Task) -> tf.distribute.Strategy:
    """Makes the strategy of this process. Call it before any other use of TensorFlow.

    ====================  ==========================================================================================
    ``auto``              ``parameter_server`` or ``multi_worker`` if ``TF_CONFIG`` names several processes,
                          ``tpu`` if there is one, ``mirrored`` for several GPUs, else ``one_device``
    ``one_device``        the first GPU, or the CPU
    ``mirrored``          all GPUs of this machine, each with a part of every batch
    ``multi_worker``      the same across the processes of ``TF_CONFIG``, which sum their gradients
    ``parameter_server``  the ``ps`` tasks hold the weights, and workers do not wait for each other
    ``tpu``               all cores of the TPU named in ``TPU_NAME`` or attached to this machine
    ====================  ==========================================================================================

    Args:
        name: ``training.strategy``.
        task: Task of this process.

    Raises:
        ValueError: There is no TPU, or no cluster.
        PortTakenError: Another process uses its port.
        TimeoutError: A peer did not come up.
    """
    match resolve_strategy(name, task):
        case "tpu":
            return _tpu()
        case "mirrored":
            return tf.distribute.MirroredStrategy()
        case "multi_worker":
            return _multi_worker(task)
        case "parameter_server":
            return _parameter_server(task)
    return tf.distribute.get_strategy()  # faster than OneDeviceStrategy, whose iterators double the time of small steps


def resolve_strategy(name: StrategyName, task: Task) -> StrategyName:
    """Replaces ``auto`` with the strategy that it stands for. See :func:`make_strategy`."""
    if name != "auto":
        return name
    if task.is_coordinated:
        return "parameter_server"
    if task.num_trainers > 1:
        return "multi_worker"
    if os.environ.get(TPU_NAME) or any(map(os.path.exists, TPU_DEVICES)):
        return "tpu"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


def run_server(task: Task, path: str) -> None:
    """Runs a worker or a parameter server for a coordinator, until the chief has written a file.

    Raises:
        PortTakenError: Another process uses its port.
    """
    listen_on_task_port(task).close()
    server = tf.distribute.Server(
        tf.train.ClusterSpec(dict(task.cluster)), job_name=task.type, task_index=task.index, protocol="grpc"
    )
    wait_for_chief(path)
    del server  # it stops with its last reference


def needs_static_shapes(strategy: tf.distribute.Strategy) -> bool:
    """Whether all batches must have the same size, because the graph is compiled for it."""
    return isinstance(strategy, tf.distribute.TPUStrategy)


def is_asynchronous(strategy: tf.distribute.Strategy) -> bool:
    """Whether a coordinator schedules steps on workers."""
    return isinstance(strategy, tf.distribute.ParameterServerStrategy)


def densify_gradients(optimizer: keras.optimizers.Optimizer) -> None:
    """Makes an optimizer convert sparse gradients of small variables to dense ones before replicas sum them.

    Dense gradients are summed all at once. Each sparse one, such as that of an embedding, takes several exchanges.
    """
    aggregate = optimizer.aggregate_gradients

    def aggregate_dense(gradients: Any) -> Any:
        return aggregate(
            [
                (tf.convert_to_tensor(gradient), variable)
                if isinstance(gradient, tf.IndexedSlices) and variable.shape.num_elements() <= MAX_DENSE_ELEMENTS
                else (gradient, variable)
                for gradient, variable in gradients
            ]
        )

    optimizer.aggregate_gradients = aggregate_dense


def _tpu() -> tf.distribute.Strategy:
    name = os.environ.get(TPU_NAME, "")
    if not name and not any(map(os.path.exists, TPU_DEVICES)):
        raise ValueError(
            f"training.strategy: found 'tpu', but neither {TPU_NAME} nor one of {', '.join(TPU_DEVICES)}; run on a "
            "machine with a TPU, or set it to 'auto'"
        )
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name or "local")
        if name and name != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        line = str(error).strip().partition("\n")[0]
        raise ValueError(f"cannot use the TPU '{name or 'local'}': {line}; expected one that responds") from error


def _multi_worker(task: Task) -> tf.distribute.Strategy:
    if task.num_trainers < 2:
        # A single process has no peer to exchange gradients with.
        return tf.distribute.MirroredStrategy()
    wait_for_peers(task)
    # Made from our parsed TF_CONFIG, since TensorFlow would treat reduction servers as parameter servers.
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(dict(task.cluster)), task_type=task.type, task_id=task.index, rpc_layer="grpc"
    )
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds.NCCL if REDUCTION_SERVERS in os.environ else kinds.AUTO  # reduction servers need NCCL
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # TensorFlow's server ignores SIGTERM, so take the handler back
    return strategy


def _parameter_server(task: Task) -> tf.distribute.Strategy:
    missing = [kind for kind in (CHIEF, WORKER, PARAMETER_SERVER) if not task.cluster.get(kind)]
    if missing:
        raise ValueError(
            f"training.strategy: found 'parameter_server', but {TF_CONFIG} has no {', '.join(missing)}; expected a "
            "chief, workers and parameter servers"
        )
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    wait_for_peers(task)
    return tf.distribute.ParameterServerStrategy(resolver)
