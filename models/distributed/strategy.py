"""How training is spread: ``training.strategy`` and ``TF_CONFIG`` as one of TensorFlow's distribution strategies."""

import os
import signal
import threading
from typing import Any

import tensorflow as tf
import tf_keras as keras

from models.distributed.peers import listening, meet, wait_for_chief
from models.distributed.task import CHIEF, CONFIG, REDUCTION, SERVER, WORKER, Task
from models.settings import StrategyName

MOST_DENSE = 1 << 20  # numbers in a variable
TPU_NAME = "TPU_NAME"
TPU_DEVICES = "/dev/accel0", "/dev/vfio/0"


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
        TimeoutError: Others of the cluster do not come.
    """
    match chosen(name, task):
        case "tpu":
            return _tpu()
        case "mirrored":
            return tf.distribute.MirroredStrategy()
        case "multi_worker":
            return _multi_worker(task)
        case "parameter_server":
            return _parameter_server(task)
    return tf.distribute.get_strategy()  # TensorFlow's own: OneDeviceStrategy's iterators cost half of a small step


def chosen(name: StrategyName, task: Task) -> StrategyName:
    """``training.strategy``, or what it is where that is ``auto``; see :func:`make_strategy`."""
    if name != "auto":
        return name
    if task.is_coordinated:
        return "parameter_server"
    if task.trainers > 1:
        return "multi_worker"
    if os.environ.get(TPU_NAME) or any(map(os.path.exists, TPU_DEVICES)):
        return "tpu"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one_device"


def serve(task: Task, path: str) -> None:
    """Works for a coordinator, as a worker or a parameter server, until the chief has written a file.

    Raises:
        PortTakenError: Its port is taken.
    """
    listening(task).close()
    server = tf.distribute.Server(
        tf.train.ClusterSpec(dict(task.cluster)), job_name=task.type, task_index=task.index, protocol="grpc"
    )
    wait_for_chief(path)
    del server  # which ends with its last reference


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
    meet(task)
    # Of our own reading of TF_CONFIG: TensorFlow's takes reduction servers for parameter servers.
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(dict(task.cluster)), task_type=task.type, task_id=task.index, rpc_layer="grpc"
    )
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds.NCCL if REDUCTION in os.environ else kinds.AUTO  # it is NCCL that reduction servers serve
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # TensorFlow's server has taken it, to ignore it
    return strategy


def _parameter_server(task: Task) -> tf.distribute.Strategy:
    missing = [kind for kind in (CHIEF, WORKER, SERVER) if not task.cluster.get(kind)]
    if missing:
        raise ValueError(
            f"training.strategy is 'parameter_server' and {CONFIG} has no {', '.join(missing)}; expected a chief, "
            "workers and parameter servers"
        )
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    meet(task)
    return tf.distribute.ParameterServerStrategy(resolver)
