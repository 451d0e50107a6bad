"""The inference APIs, and what a request asks of them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from serving.inference.classify_regress import classify, multi_inference, regress
from serving.inference.large_predict import predict, record
from serving.inference.predict import CountExamples
from serving.inference.request_log import PredictionLog, classify_record, multi_inference_record, regress_record
from serving.models.servable import LoadedModel

GRPC, REST = "GRPC", "REST"  # entry points


@dataclasses.dataclass(frozen=True)
class Api:
    """An inference API.

    Attributes:
        name: Its name in the metrics.
        run: Runs a request.
        record: Returns the log record of a request and its response.
    """

    name: str
    run: Callable[[LoadedModel, Any, bool, CountExamples], Any]
    record: Callable[[Any, Any], PredictionLog]


PREDICT = Api("Predict", predict, record)
CLASSIFY = Api("Classify", classify, classify_record)
REGRESS = Api("Regress", regress, regress_record)
MULTI_INFERENCE = Api("MultiInference", multi_inference, multi_inference_record)


@dataclasses.dataclass(frozen=True)
class Call:
    """What a request asks for, for the metrics.

    Attributes:
        api: The name of the API.
        entrypoint: ``GRPC`` or ``REST``.
        signatures: Keys of the signatures to run.
    """

    api: str
    entrypoint: str
    signatures: Sequence[str]

    @property
    def api_label(self) -> str:
        """The API in the metrics. As in TensorFlow Serving, that of REST is the method in the URL."""
        return self.api.lower() if self.entrypoint == REST else self.api
