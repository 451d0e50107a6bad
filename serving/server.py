"""The model server: assembles the model manager, the request handler and the two protocols."""

import gc
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import grpc
from absl import logging
from tensorflow.core.protobuf import config_pb2

from artifacts.names import TFLITE_FILE, WARMUP_FILE
from serving.access.settings import read_access
from serving.errors import ServingError
from serving.flags import Flags
from serving.inference.metrics import Metrics, metrics_path
from serving.inference.request_handler import HandlerSettings, RequestHandler
from serving.inference.warmup import warm_up
from serving.models.batching_config import batching_from_flags, version_batching
from serving.models.cpu_affinity import all_cpus, run_on_one_cpu
from serving.models.manager import ModelManager
from serving.models.model_config import model_configs, read_model_configs
from serving.models.servable import DEFAULTS, LoadedModel, Loading, Servable
from serving.models.versions import Retries
from serving.protocols.grpc_server import GrpcServer
from serving.protocols.http_server import RestServer
from serving.protocols.rest import RestApi
from serving.protocols.sockets import check_port

GC_THRESHOLD = 50_000  # allocated objects per garbage collection, more than a request with a thousand lists has


class ModelServer:
    """A model server.

    Attributes:
        handler: Handles the requests of both protocols.
    """

    def __init__(self, flags: Flags, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        """Reads the configuration files. Models are not loaded before :meth:`start`.

        Args:
            flags: The server's options.
            environment: Environment variables, for the bearer token.

        Raises:
            OptionError: A file or a variable for encryption, tokens or the access log cannot be used.
            ServingError: Another file cannot be read or is invalid.
        """
        self._flags = flags
        self._configs = model_configs(flags)
        self._batching = batching_from_flags(flags)
        threads = flags.tensorflow_session_parallelism
        session_config = config_pb2.ConfigProto(
            intra_op_parallelism_threads=flags.tensorflow_intra_op_parallelism or threads,
            inter_op_parallelism_threads=flags.tensorflow_inter_op_parallelism or threads,
        )
        tags = tuple(tag for tag in flags.saved_model_tags.split(",") if tag)
        self._loading = Loading(tags or DEFAULTS.tags, session_config)
        self._metrics = Metrics()
        retries = Retries(flags.max_num_load_retries, flags.load_retry_interval_micros / 1e6)
        self.handler = RequestHandler(
            ModelManager(self._load, retries),
            self._metrics,
            HandlerSettings(
                flags.enable_signature_method_name_check,
                flags.allow_version_labels_for_unavailable_models,
                flags.enable_serialization_as_tensor_content,
            ),
        )
        api = RestApi(self.handler, metrics_path(flags))
        self._access = read_access(flags, environment)
        self._rest = RestServer(api, flags, self._access) if flags.rest_api_port else None
        self._grpc: GrpcServer | None = None
        self._stopped, self._lame_duck_over = threading.Event(), threading.Event()

    def start(self) -> None:
        """Loads the models, and opens the ports once each model has an available version.

        Raises:
            ServingError: A port is in use, or none of a model's versions can be loaded.
            OSError: The REST port was taken while the models were loaded.
            RuntimeError: The gRPC port was taken while the models were loaded.
        """
        self._check_ports()
        gc.collect()
        gc.freeze()  # otherwise each full collection traverses the millions of objects of TensorFlow's modules
        gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
        manager = self.handler.manager
        self.handler.configure(self._configs)
        self._repeat(self._flags.file_system_poll_wait_seconds, manager.poll)
        names = [config.name for config in self._configs]
        if not manager.wait_available(names):
            text = f"none of the versions of {', '.join(names)} can be loaded: {manager.failures(names)}"
            raise ServingError(grpc.StatusCode.UNKNOWN, text)
        if self._batching and self._flags.gather_python_threads:
            run_on_one_cpu(self._open)
        else:
            self._open()
        if self._flags.model_config_file:
            self._repeat(self._flags.model_config_file_poll_wait_seconds, self._reload_model_configs)

    def end_lame_duck(self) -> None:
        """Makes :meth:`stop` skip or end the time in which the server still accepts connections."""
        self._lame_duck_over.set()

    def stop(self) -> None:
        """Accepts no more connections, handles the requests on open connections until these end, and stops.

        From the start, health checks report NOT_SERVING. With ``--lame_duck_seconds``, connections are accepted for
        that time.
        """
        self._access.draining.set()
        if self._grpc:
            self._grpc.announce_stop()
            self._lame_duck_over.wait(self._flags.lame_duck_seconds)
        self._stopped.set()
        self.handler.manager.close()  # ends waiting for models
        try:
            if self._grpc:
                self._grpc.stop_accepting()
            if self._rest:
                self._rest.stop()
            if self._grpc:
                self._grpc.stop()
        finally:
            self.handler.close()
            if self._access.log:
                self._access.log.close()

    def _check_ports(self) -> None:
        for flag in ("port", "rest_api_port"):
            number = getattr(self._flags, flag)
            try:
                check_port(self._flags.address, number)
            except socket.gaierror:  # a form of address that only gRPC understands
                continue
            except OSError as error:
                text = f"--{flag}={number}: {error.strerror} on {self._flags.address}; expected a free port"
                raise ServingError(grpc.StatusCode.UNAVAILABLE, text) from error

    def _open(self) -> None:
        self._grpc = GrpcServer(self.handler, self._flags, self._access)
        self._grpc.start()
        if self._flags.port:
            logging.info("Running gRPC ModelServer at %s:%d ...", self._flags.address, self._flags.port)
        if self._flags.grpc_socket_path:
            logging.info("Running gRPC ModelServer at UNIX socket %s ...", self._flags.grpc_socket_path)
        if self._rest:
            self._rest.start()
            logging.info("Exporting HTTP/REST API at:%s:%d ...", self._flags.address, self._flags.rest_api_port)

    def _repeat(self, seconds: int, function: Callable[[], None]) -> None:
        def repeat_until_stopped() -> None:
            while not self._stopped.wait(seconds):
                try:
                    function()
                except Exception:  # the next poll may succeed
                    logging.exception("Polling for changes failed.")

        if seconds > 0:
            threading.Thread(target=repeat_until_stopped, name="poll", daemon=True).start()

    def _reload_model_configs(self) -> None:
        try:
            self.handler.configure(read_model_configs(Path(self._flags.model_config_file)))
        except ServingError as error:
            logging.error("%s; the previous configuration stays in use.", error.message)

    def _load(self, name: str, version: int, path: Path) -> LoadedModel:
        with all_cpus():
            return self._load_servable(name, version, path)

    def _load_servable(self, name: str, version: int, path: Path) -> LoadedModel:
        status = "fail"
        try:
            if self._flags.prefer_tflite_model and (path / TFLITE_FILE).exists():
                servable = self._load_tflite(name, version, path)
            else:
                servable = self._load_saved_model(name, version, path)
            status = "success"
        finally:
            self._metrics.load_attempts.add((str(path), status))
        if self._flags.enable_model_warmup and (path / WARMUP_FILE).exists():
            self._warm_up(servable)
        return servable

    def _load_saved_model(self, name: str, version: int, path: Path) -> LoadedModel:
        batching = self._batching
        if batching and self._flags.enable_per_model_batching_parameters:
            batching = version_batching(path, batching)
        return Servable(name, version, path, batching, self._observe_queuing, self._loading)

    @staticmethod
    def _load_tflite(name: str, version: int, path: Path) -> LoadedModel:
        from serving.models.tflite_servable import TfliteServable  # noqa: PLC0415 - few servers need LiteRT

        return TfliteServable(name, version, path)

    def _warm_up(self, servable: LoadedModel) -> None:
        start, status = time.perf_counter(), "OK"
        try:
            warm_up(servable, self._flags.num_request_iterations_for_warmup)
        except BaseException as error:
            status = error.code.name if isinstance(error, ServingError) else "INTERNAL"
            servable.close()
            raise
        finally:
            self._metrics.warmup_latency.observe((str(servable.path), status), time.perf_counter() - start)

    def _observe_queuing(self, seconds: float) -> None:
        self._metrics.queuing_latency.observe(("",), seconds)
