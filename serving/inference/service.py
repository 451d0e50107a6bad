"""What both protocols call: finds the version, runs the request, counts it, and logs it."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

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

from serving.errors import Code, ServingError, invalid
from serving.inference import methods as inference
from serving.inference.metrics import Metrics
from serving.inference.request_log import (
    PredictionLog,
    RequestLog,
    classify_record,
    multi_inference_record,
    predict_record,
    regress_record,
)
from serving.models.configuration import ModelConfig, checked
from serving.models.manager import Manager
from serving.models.servable import Servable
from serving.rest_json.predict import read_inputs, write_outputs
from serving.rest_json.values import SIGNATURE_NAME, Json

SIGNATURE_DEF = "signature_def"
UNKNOWN_MODEL = "unknown"


@dataclasses.dataclass(frozen=True)
class Settings:
    """How requests are answered.

    Attributes:
        check_method: Whether Predict, Classify and Regress ask for their own signatures.
        early_labels: Whether a label may be given to a version that is not loaded yet.
    """

    check_method: bool = False
    early_labels: bool = False


@dataclasses.dataclass(frozen=True)
class _Asked:
    """What is asked.

    Attributes:
        api: ``Predict``, ``Classify``, ``Regress`` or ``MultiInference``.
        entry: ``GRPC`` or ``REST``.
        spec: The model, and its version if one is asked for.
    """

    api: str
    entry: str
    spec: model_pb2.ModelSpec


class Core:
    """Answers requests over the loaded models."""

    def __init__(self, manager: Manager, metrics: Metrics, settings: Settings) -> None:
        self.manager = manager
        self.metrics = metrics
        self._settings = settings
        self._logs: dict[str, RequestLog] = {}
        self._configuring = threading.Lock()

    def configure(self, configs: Sequence[ModelConfig]) -> list[str]:
        """Replaces all models, and what is logged of them.

        Returns:
            The names of the models that were not served before.

        Raises:
            ServingError: A label or a log makes no sense; then nothing is changed.
        """
        with self._configuring:  # the config file is read anew while a client reloads
            before = self.manager.configs()
            logs = {}
            for config in configs:
                known, past = self._logs.get(config.name), before.get(config.name)
                if known and past and past.logging_config == config.logging_config:
                    logs[config.name] = known
                elif config.HasField("logging_config"):
                    logs[config.name] = self._open_log(config)
            self.manager.configure(configs, self._settings.early_labels)
            names = [config.name for config in configs]
            ended = [log for name, log in self._logs.items() if logs.get(name) is not log]
            # The log of a model that is taken away is kept for its requests that are under way.
            self._logs = {name: log for name, log in self._logs.items() if name not in names} | logs
            for log in ended:
                log.close()
            return [name for name in names if name not in before]

    def close(self) -> None:
        """Unloads all, and writes what is still to be logged."""
        self.manager.close()
        for log in self._logs.values():
            log.close()

    def predict(self, request: predict_pb2.PredictRequest, entry: str) -> predict_pb2.PredictResponse:
        """Answers Predict.

        Args:
            request: The request.
            entry: ``GRPC`` or ``REST``, for the metrics.

        Raises:
            ServingError: It cannot be answered.
        """
        asked = _Asked("Predict", entry, request.model_spec)
        return self._answer(asked, request, inference.predict, predict_record)

    def predict_json(self, spec: model_pb2.ModelSpec, document: dict[str, Json]) -> bytes:
        """Answers Predict of REST; see :meth:`predict`."""
        with self._servable(spec, "Predict", "REST") as servable:
            key = document.get(SIGNATURE_NAME) or inference.DEFAULT
            signature = servable.signatures.get(key)
            if signature is None:
                raise invalid(f'Serving signature name: "{key}" not found in signature def')
            if not signature.inputs:
                raise invalid(f"Failed to get input map for signature: {document.get(SIGNATURE_NAME) or 'DEFAULT'}")
            try:
                inputs, form = read_inputs(document, signature.inputs)
            except (ValueError, RecursionError) as error:  # of numpy, which knows 64 levels, or of Python
                raise invalid(f"JSON Value cannot be made a tensor: {error}") from error
            self.metrics.examples.add((servable.name,), inference.rows(inputs))
            outputs = self._timed("Predict", servable, lambda: servable.run(key, inputs, sorted(signature.outputs)))
            self._log(servable, lambda: predict_record(*inference.as_messages(servable, key, inputs, outputs)))
            return write_outputs(outputs, form)

    def classify(
        self, request: classification_pb2.ClassificationRequest, entry: str
    ) -> classification_pb2.ClassificationResponse:
        """Answers Classify; see :meth:`predict`."""
        asked = _Asked("Classify", entry, request.model_spec)
        return self._answer(asked, request, inference.classify, classify_record)

    def regress(self, request: regression_pb2.RegressionRequest, entry: str) -> regression_pb2.RegressionResponse:
        """Answers Regress; see :meth:`predict`."""
        asked = _Asked("Regress", entry, request.model_spec)
        return self._answer(asked, request, inference.regress, regress_record)

    def multi_inference(
        self, request: inference_pb2.MultiInferenceRequest, entry: str
    ) -> inference_pb2.MultiInferenceResponse:
        """Answers MultiInference; see :meth:`predict`."""
        if not request.tasks:
            raise invalid("Inference request must have at least one task.")
        asked = _Asked("MultiInference", entry, request.tasks[0].model_spec)
        return self._answer(asked, request, inference.multi_inference, multi_inference_record)

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Answers GetModelMetadata.

        Raises:
            ServingError: Another field than ``signature_def`` is asked for, or there is no such version.
        """
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURE_DEF:
                raise invalid(f"Metadata field {field} is not supported")
        _check_spec(request.model_spec)
        with self.manager.servable(request.model_spec) as servable:
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
        """Answers GetModelStatus: all versions of a model, those that have ended too.

        Raises:
            ServingError: There is no such model or version.
        """
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, version in self.manager.statuses(request.model_spec).items():
            found = response.model_version_status.add(version=number, state=version.state)
            found.status.SetInParent()
            if version.error:
                found.status.error_code = version.error.code.value[0]
                found.status.error_message = version.error.message
        return response

    def reload(
        self, request: model_management_pb2.ReloadConfigRequest, going_on: Callable[[], bool]
    ) -> model_management_pb2.ReloadConfigResponse:
        """Answers HandleReloadConfigRequest: returns once each new model has a version that answers.

        The metrics that the request names are answered with what they grew by: over all of their labels, where the
        original looks at the first only.

        Args:
            request: The new list of models.
            going_on: Whether the client still waits; the models are replaced, whatever it says.

        Raises:
            ServingError: The list cannot be served, a new model has no version that can be loaded, or the client went.
        """
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported"
            )
        before = self.metrics.values(request.metric_names)
        new = self.configure(checked(list(request.config.model_config_list.config)))
        if not self.manager.wait_available(new, going_on):
            code = Code.UNKNOWN if going_on() else Code.CANCELLED
            raise ServingError(code, f"Some models did not become available: {self.manager.failures(new)}")
        response = model_management_pb2.ReloadConfigResponse()
        response.status.SetInParent()
        for name, value in self.metrics.values(before).items():
            response.metric.add(name=name, int64_value_increase=value - before[name])
        return response

    def _answer(
        self,
        asked: "_Asked",
        request: Any,
        run: Callable[[Servable, Any, bool, inference.Count], Any],
        record: Callable[[Any, Any], PredictionLog],
    ) -> Any:
        """Runs a request that is a message, counts it, and logs it."""
        with self._servable(asked.spec, asked.api, asked.entry) as servable:
            check_method, labels = self._settings.check_method, (servable.name,)
            response = self._timed(
                asked.api,
                servable,
                lambda: run(servable, request, check_method, lambda rows: self.metrics.examples.add(labels, rows)),
            )
            self._log(servable, lambda: record(request, response))
            return response

    @contextmanager
    def _servable(self, spec: model_pb2.ModelSpec, api: str, entry: str) -> Iterator[Servable]:
        start = time.perf_counter()
        status, name = "OK", UNKNOWN_MODEL  # a name that a client made up must not be kept for ever
        try:
            _check_spec(spec)
            with self.manager.servable(spec) as servable:
                name = servable.name
                yield servable
        except ServingError as error:
            status = error.code.name
            if self.manager.serves(spec.name):
                name = spec.name
            raise
        except Exception:  # a defect of ours
            status = Code.INTERNAL.name
            raise
        finally:
            self.metrics.requests.add((name, status))
            self.metrics.request_latency.observe((name, api, entry), time.perf_counter() - start)

    def _open_log(self, config: ModelConfig) -> RequestLog:
        name = config.name
        return RequestLog(name, config.logging_config, lambda status: self.metrics.logged.add((name, status)))

    def _log(self, servable: Servable, make: Callable[[], PredictionLog]) -> None:
        log = self._logs.get(servable.name)
        if log:
            log.offer(make)

    def _timed(self, api: str, servable: Servable, run: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        answer = run()
        self.metrics.runtime_latency.observe((servable.name, api, "TF1"), time.perf_counter() - start)
        return answer


def _check_spec(spec: model_pb2.ModelSpec) -> None:
    if not spec.name:
        raise invalid("ModelSpec has no name specified." if spec.ByteSize() else "Missing ModelSpec")
