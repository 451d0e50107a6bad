"""Handles the requests of all protocols: finds the version, runs the model, counts and logs."""

import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from numpy.typing import NDArray
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
    regression_pb2,
)

from serving.current_call import CURRENT
from serving.errors import Code, ServingError, invalid_argument
from serving.inference.apis import CLASSIFY, MULTI_INFERENCE, PREDICT, REGRESS, Api, Call
from serving.inference.large_predict import LargeRequest, Response, predict
from serving.inference.metrics import Metrics
from serving.inference.predict import DEFAULT_SIGNATURE, batch_size, to_messages
from serving.inference.request_log import PredictionLog, RequestLog, predict_record
from serving.models.manager import ModelManager
from serving.models.model_config import ModelConfig, validated
from serving.models.servable import LoadedModel

SIGNATURE_DEF = "signature_def"
UNKNOWN = "unknown"
T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class HandlerSettings:
    """Options for handling requests.

    Attributes:
        check_method: Whether Predict, Classify and Regress check the signature's method name.
        allow_unavailable_labels: Whether labels may refer to versions that are not loaded yet.
        as_content: Whether Predict over gRPC responds in ``tensor_content`` instead of typed fields.
    """

    check_method: bool = False
    allow_unavailable_labels: bool = False
    as_content: bool = False


class RequestHandler:
    """Handles requests for the loaded models.

    Attributes:
        manager: The models.
        metrics: The metrics of all requests.
    """

    def __init__(self, manager: ModelManager, metrics: Metrics, settings: HandlerSettings) -> None:
        self.manager = manager
        self.metrics = metrics
        self._settings = settings
        self._predict = dataclasses.replace(PREDICT, run=functools.partial(predict, as_content=settings.as_content))
        self._logs: dict[str, RequestLog] = {}
        self._configuring = threading.Lock()

    def configure(self, configs: Sequence[ModelConfig]) -> list[str]:
        """Replaces all models and their request logs.

        Returns:
            The names of the new models.

        Raises:
            ServingError: A label or a log configuration is invalid. Nothing is changed in this case.
        """
        with self._configuring:  # the config file may be read again during a reload request
            before = self.manager.configs()
            logs = {}
            for config in configs:
                log, previous = self._logs.get(config.name), before.get(config.name)
                if log and previous and previous.logging_config == config.logging_config:
                    logs[config.name] = log
                elif config.HasField("logging_config"):
                    logs[config.name] = self._open_log(config)
            self.manager.configure(configs, self._settings.allow_unavailable_labels)
            names = [config.name for config in configs]
            ended = [log for name, log in self._logs.items() if logs.get(name) is not log]
            # The log of a removed model is kept for requests that are still running.
            self._logs = {name: log for name, log in self._logs.items() if name not in names} | logs
            for log in ended:
                log.close()
            return [name for name in names if name not in before]

    def close(self) -> None:
        """Stops the model manager and closes the request logs."""
        self.manager.close()
        for log in self._logs.values():
            log.close()

    @contextmanager
    def servable(self, spec: model_pb2.ModelSpec | None, call: Call) -> Iterator[LoadedModel]:
        """Yields the version for a request, and adds the request to the metrics when the block ends.

        Args:
            spec: The model, and optionally the version or label. ``None`` is an error of the client.
            call: What the request asks for.

        Raises:
            ServingError: There is no such version.
        """
        start = time.perf_counter()
        # Arbitrary names from clients must not become labels of metrics.
        status, name, keys = "OK", UNKNOWN, [UNKNOWN]
        try:
            with self.manager.servable(_named(spec)) as servable:
                name = servable.name
                current = CURRENT.get()
                if current:
                    current.model, current.version, current.signatures = name, servable.version, call.signatures
                keys = [key if key in servable.signatures else UNKNOWN for key in dict.fromkeys(call.signatures)]
                yield servable
        except ServingError as error:
            status = error.code.name
            if spec and self.manager.is_configured(spec.name):
                name = spec.name
            raise
        except Exception:  # a bug in the server
            status = Code.INTERNAL.name
            raise
        finally:
            seconds = time.perf_counter() - start
            self.metrics.requests.add((name, status))
            self.metrics.request_latency.observe((name, call.api_label, call.entrypoint), seconds)
            for key in keys:
                self.metrics.signature_requests.add((name, key, status))
                self.metrics.signature_latency.observe((name, key), seconds)

    def predict(self, request: predict_pb2.PredictRequest | LargeRequest, entrypoint: str) -> Response:
        """Handles Predict. A large response is serialized already.

        Args:
            request: The request.
            entrypoint: ``GRPC`` or ``REST``, for the metrics.

        Raises:
            ServingError: The request cannot be answered.
        """
        return self._handle(self._predict, _spec(request), request, entrypoint)

    def predict_arrays(
        self, servable: LoadedModel, key: str, inputs: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """Handles a Predict request whose inputs are arrays already.

        Args:
            servable: The version, from :meth:`servable`.
            key: Key of the signature.
            inputs: All inputs by name.

        Returns:
            All outputs by name.

        Raises:
            ServingError: TensorFlow rejects the inputs or fails.
        """
        names = sorted(servable.signatures[key].outputs)
        self.metrics.examples.add((servable.name,), batch_size(inputs))
        outputs = self._timed(PREDICT.name, servable, lambda: servable.run(key, inputs, names))
        self._log(servable, lambda: predict_record(*to_messages(servable, key, inputs, outputs)))
        return outputs

    def classify(
        self, request: classification_pb2.ClassificationRequest, entrypoint: str
    ) -> classification_pb2.ClassificationResponse:
        """Handles Classify. See :meth:`predict`."""
        return self._handle(CLASSIFY, _spec(request), request, entrypoint)

    def regress(self, request: regression_pb2.RegressionRequest, entrypoint: str) -> regression_pb2.RegressionResponse:
        """Handles Regress. See :meth:`predict`."""
        return self._handle(REGRESS, _spec(request), request, entrypoint)

    def multi_inference(
        self, request: inference_pb2.MultiInferenceRequest, entrypoint: str
    ) -> inference_pb2.MultiInferenceResponse:
        """Handles MultiInference. See :meth:`predict`."""
        if not request.tasks:
            raise invalid_argument("Inference request must have at least one task.")
        return self._handle(MULTI_INFERENCE, request.tasks[0].model_spec, request, entrypoint)

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Handles GetModelMetadata.

        Raises:
            ServingError: A metadata field is not ``signature_def``, or there is no such version.
        """
        spec = _present(_spec(request))
        if not request.metadata_field:
            raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid_argument(f"Metadata field {field} is not supported")
        with self.manager.servable(_named(spec)) as servable:
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name = servable.name
            response.model_spec.version.value = servable.version
            signatures = get_model_metadata_pb2.SignatureDefMap()
            for key, signature in servable.signatures.items():
                signatures.signature_def[key].CopyFrom(signature)
            response.metadata[SIGNATURE_DEF].Pack(signatures)
            return response

    def status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Handles GetModelStatus. The response lists all versions of a model, including those that have ended.

        Raises:
            ServingError: There is no such model or version.
        """
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, version in self.manager.statuses(_present(_spec(request))).items():
            entry = response.model_version_status.add(version=number, state=version.state)
            entry.status.SetInParent()
            if version.error:
                entry.status.error_code = version.error.code.value[0]
                entry.status.error_message = version.error.message
        return response

    def reload(
        self, request: model_management_pb2.ReloadConfigRequest, is_active: Callable[[], bool]
    ) -> model_management_pb2.ReloadConfigResponse:
        """Handles HandleReloadConfigRequest. Returns once each new model has an available version.

        The response contains the increase of each metric that the request names, summed over all labels.
        ``tensorflow_model_server`` reports only the first label.

        Args:
            request: The new models.
            is_active: Whether the client still waits. The models are replaced in any case.

        Raises:
            ServingError: The configuration is invalid, a new model has no version that can be loaded, or the client
                has disconnected.
        """
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid_argument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported"
            )
        before = self.metrics.values(request.metric_names)
        new = self.configure(validated(list(request.config.model_config_list.config)))
        if not self.manager.wait_available(new, is_active):
            code = Code.UNKNOWN if is_active() else Code.CANCELLED
            raise ServingError(code, f"Some models did not become available: {self.manager.failures(new)}")
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        for name, value in self.metrics.values(before).items():
            response.metric.add(name=name, int64_value_increase=value - before[name])
        return response

    def _handle(self, api: Api, spec: model_pb2.ModelSpec | None, request: Any, entrypoint: str) -> Any:
        """Runs a request given as a message, counts it and logs it."""
        specs = [task.model_spec for task in request.tasks] if api is MULTI_INFERENCE else [request.model_spec]
        call = Call(api.name, entrypoint, [each.signature_name or DEFAULT_SIGNATURE for each in specs])
        with self.servable(spec, call) as servable:
            check_method, labels = self._settings.check_method, (servable.name,)
            response = self._timed(
                api.name,
                servable,
                lambda: api.run(servable, request, check_method, lambda rows: self.metrics.examples.add(labels, rows)),
            )
            self._log(servable, lambda: api.record(request, response))
            return response

    def _open_log(self, config: ModelConfig) -> RequestLog:
        name = config.name
        return RequestLog(name, config.logging_config, lambda status: self.metrics.logged.add((name, status)))

    def _log(self, servable: LoadedModel, make: Callable[[], PredictionLog]) -> None:
        log = self._logs.get(servable.name)
        if log:
            log.offer(make)

    def _timed(self, api: str, servable: LoadedModel, run: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = run()
        self.metrics.runtime_latency.observe((servable.name, api, "TF1"), time.perf_counter() - start)
        return result


def _spec(request: Any) -> model_pb2.ModelSpec | None:
    return request.model_spec if request.HasField("model_spec") else None


def _present(spec: model_pb2.ModelSpec | None) -> model_pb2.ModelSpec:
    if spec is None:
        raise invalid_argument("Missing ModelSpec")
    return spec


def _named(spec: model_pb2.ModelSpec | None) -> model_pb2.ModelSpec:
    if not _present(spec).name:
        raise invalid_argument("ModelSpec has no name specified.")
    return _present(spec)
