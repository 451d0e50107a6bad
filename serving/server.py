"""The model server: models, both protocols, and the threads that look for what changed."""

import gc
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
from absl import logging
from tensorflow.core.protobuf import config_pb2

from serving.errors import ServingError
from serving.flags import Flags
from serving.inference.metrics import Metrics
from serving.inference.service import Core, Settings
from serving.inference.warmup import WARMUP_FILE, warm_up
from serving.models import cpu_affinity as affinity
from serving.models.configuration import (
    batching_of,
    metrics_path,
    model_configs,
    read_models,
    version_batching,
)
from serving.models.manager import Manager
from serving.models.servable import Servable
from serving.models.versions import Retries
from serving.protocols.grpc_server import GrpcServer
from serving.protocols.http_server import RestServer
from serving.protocols.listening import check_free
from serving.protocols.rest import RestApi

GARBAGE_OBJECTS = 50_000  # before Python looks for cycles; a request of a thousand lists makes none


class ModelServer:
    """Serves models as the flags say.

    Attributes:
        core: What answers.
    """

    def __init__(self, flags: Flags) -> None:
        """Reads what the flags name; nothing is loaded yet.

        Raises:
            ServingError: A file cannot be read, or is wrong.
        """
        if flags.ssl_config_file:
            raise ServingError(
                grpc.StatusCode.UNIMPLEMENTED, "--ssl_config_file is not supported; end TLS before the server"
            )
        self._flags = flags
        self._configs = model_configs(flags)
        self._batching = batching_of(flags)
        common = flags.tensorflow_session_parallelism
        self._session = config_pb2.ConfigProto(
            intra_op_parallelism_threads=flags.tensorflow_intra_op_parallelism or common,
            inter_op_parallelism_threads=flags.tensorflow_inter_op_parallelism or common,
        )
        self._metrics = Metrics()
        retries = Retries(flags.max_num_load_retries, flags.load_retry_interval_micros / 1e6)
        manager = Manager(self._load, retries)
        self.core = Core(
            manager,
            self._metrics,
            Settings(flags.enable_signature_method_name_check, flags.allow_version_labels_for_unavailable_models),
        )
        self._rest = RestServer(RestApi(self.core, metrics_path(flags)), flags) if flags.rest_api_port else None
        self._grpc: GrpcServer | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Loads the models, and opens the ports once each has a version that answers.

        Raises:
            ServingError: A port is taken, or a model has versions, and none can be loaded.
            OSError: The REST port was taken meanwhile.
            RuntimeError: The gRPC port was taken meanwhile.
        """
        self._check_ports()
        gc.collect()
        gc.freeze()  # else what TensorFlow's modules hold, millions of objects, is looked through again and again
        gc.set_threshold(GARBAGE_OBJECTS, *gc.get_threshold()[1:])
        manager = self.core.manager
        self.core.configure(self._configs)
        self._every(self._flags.file_system_poll_wait_seconds, manager.poll)
        names = [config.name for config in self._configs]
        if not manager.wait_available(names):
            text = f"none of the versions of {', '.join(names)} can be loaded: {manager.failures(names)}"
            raise ServingError(grpc.StatusCode.UNKNOWN, text)
        if self._batching and self._flags.gather_python_threads:
            affinity.started_on_one_cpu(self._open)
        else:
            self._open()
        if self._flags.model_config_file:
            self._every(self._flags.model_config_file_poll_wait_seconds, self._read_models_anew)

    def stop(self) -> None:
        """Takes no new connection, answers the requests on those there are until they end, and ends."""
        self._stopped.set()
        self.core.manager.close()  # who waits for a model waits no more
        try:
            if self._grpc:
                self._grpc.refuse_new()
            if self._rest:
                self._rest.stop()
            if self._grpc:
                self._grpc.stop()
        finally:
            self.core.close()

    def _check_ports(self) -> None:
        for flag in ("port", "rest_api_port"):
            number = getattr(self._flags, flag)
            try:
                check_free(self._flags.address, number)
            except socket.gaierror:  # an address in a form that gRPC alone knows
                continue
            except OSError as error:
                text = f"--{flag}={number}: {error.strerror} on {self._flags.address}; expected a port that is free"
                raise ServingError(grpc.StatusCode.UNAVAILABLE, text) from error

    def _open(self) -> None:
        self._grpc = GrpcServer(self.core, self._flags)
        self._grpc.start()
        if self._flags.port:
            logging.info("Running gRPC ModelServer at %s:%d ...", self._flags.address, self._flags.port)
        if self._flags.grpc_socket_path:
            logging.info("Running gRPC ModelServer at UNIX socket %s ...", self._flags.grpc_socket_path)
        if self._rest:
            self._rest.start()
            logging.info("Exporting HTTP/REST API at:%s:%d ...", self._flags.address, self._flags.rest_api_port)

    def _every(self, seconds: int, work: Callable[[], None]) -> None:
        def repeat() -> None:
            while not self._stopped.wait(seconds):
                try:
                    work()
                except Exception:  # whatever it is, the next look may do better
                    logging.exception("Looking for changes failed.")

        if seconds > 0:
            threading.Thread(target=repeat, name="poll", daemon=True).start()

    def _read_models_anew(self) -> None:
        try:
            configs = read_models(Path(self._flags.model_config_file))
            self.core.configure(configs)
        except ServingError as error:
            logging.error("%s; what was served before is served on.", error.message)

    def _load(self, name: str, version: int, path: Path) -> Servable:
        with affinity.spread():
            return self._loaded(name, version, path)

    def _loaded(self, name: str, version: int, path: Path) -> Servable:
        status = "fail"
        try:
            batching = self._batching
            if batching and self._flags.enable_per_model_batching_parameters:
                batching = version_batching(path, batching)
            servable = Servable(name, version, path, batching, self._waited, self._session)
            status = "success"
        finally:
            self._metrics.load_attempts.add((str(path), status))
        if self._flags.enable_model_warmup and (path / WARMUP_FILE).exists():
            self._warm_up(servable)
        return servable

    def _warm_up(self, servable: Servable) -> None:
        start, status = time.perf_counter(), "OK"
        try:
            warm_up(servable, self._flags.num_request_iterations_for_warmup)
        except BaseException as error:
            status = error.code.name if isinstance(error, ServingError) else "INTERNAL"
            servable.close()
            raise
        finally:
            self._metrics.warmup_latency.observe((str(servable.path), status), time.perf_counter() - start)

    def _waited(self, seconds: float) -> None:
        self._metrics.queuing_latency.observe(("",), seconds)
