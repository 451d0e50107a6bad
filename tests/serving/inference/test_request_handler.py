from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server_process import predict_request
from tensorflow_serving.apis import classification_pb2

from serving.errors import ServingError
from serving.inference.metrics import Metrics
from serving.inference.request_handler import HandlerSettings, RequestHandler
from serving.models.manager import ModelManager
from serving.models.model_config import ModelConfig
from serving.models.servable import Servable
from serving.models.versions import Retries
from serving.protocols.rest import RestApi

EXAMPLES = ":tensorflow:serving:request_example_count_total"


@pytest.fixture(scope="module")
def handler(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RequestHandler]:
    base = tmp_path_factory.mktemp("base")
    (base / "1").symlink_to(tiny)
    handler = RequestHandler(ModelManager(Servable, Retries(0, 0)), Metrics(), HandlerSettings())
    handler.configure([ModelConfig(name="tiny", base_path=str(base), model_platform="tensorflow")])
    assert handler.manager.wait_available(["tiny"])
    yield handler
    handler.close()


def counted(handler: RequestHandler) -> int:
    return handler.metrics.values([EXAMPLES])[EXAMPLES]


def test_examples_are_counted_once_they_are_parsed(handler: RequestHandler) -> None:
    before = counted(handler)
    request = predict_request("tiny", np.zeros(3, np.float32))
    handler.predict(request, "GRPC")
    assert (
        RestApi(handler, None).handle("POST", "/v1/models/tiny:predict", [b'{"instances": [1.0, 2.0]}']).status == 200
    )
    classified = classification_pb2.ClassificationRequest()
    classified.model_spec.name, classified.model_spec.signature_name = "tiny", "classify"
    for _ in range(4):
        classified.input.example_list.examples.add().features.feature["x"].float_list.value.append(1.0)
    handler.classify(classified, "GRPC")
    assert counted(handler) - before == 3 + 2 + 4
    request.inputs["x"].tensor_shape.dim[0].size = 4_000_000_000
    with pytest.raises(ServingError, match="expected no negative size, and at most"):
        handler.predict(request, "GRPC")
    assert counted(handler) - before == 9


def test_unexpected_error_is_counted_as_internal(handler: RequestHandler, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    def lines() -> list[str]:
        return [line for line in handler.metrics.requests.lines() if 'status="INTERNAL"' in line]

    assert lines() == []
    monkeypatch.setattr(Servable, "run", fail)
    with pytest.raises(RuntimeError):
        handler.predict(predict_request("tiny", np.zeros(1, np.float32)), "GRPC")
    assert lines() == [':tensorflow:serving:request_count{model_name="tiny",status="INTERNAL"} 1']
