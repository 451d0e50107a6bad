from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
import numpy as np
import pytest
import tensorflow as tf
from server_process import Embedded, Server, predict_request, wait_for_stack
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    input_pb2,
    predict_pb2,
    regression_pb2,
)
from tiny_models import TYPES

from serving.inference.request_handler import RequestHandler
from serving.protocols.grpc_server import PredictionService

MODEL_SERVICE = {
    "ModelService/GetModelStatus": "GetModelStatusRequest",
    "ModelService/HandleReloadConfigRequest": "ReloadConfigRequest",
}
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Server:
    return shared_server


def example(x: float | None) -> example_pb2.Example:
    features = {} if x is None else {"x": tf.train.Feature(float_list=tf.train.FloatList(value=[x]))}
    return example_pb2.Example(features=tf.train.Features(feature=features))


def example_input(*values: float) -> input_pb2.Input:
    return input_pb2.Input(example_list=input_pb2.ExampleList(examples=[example(x) for x in values]))


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_predict_returns_typed_fields_and_the_version(server: Server) -> None:
    response = server.prediction.Predict(predict_request("tiny", np.array([1, 2], np.float32)))
    assert (response.model_spec.name, response.model_spec.signature_name) == ("tiny", "serving_default")
    assert response.model_spec.version.value == 3
    output = response.outputs["y"]
    assert list(output.float_val) == [2.5, 3.0]
    assert output.tensor_content == b""
    assert [each.size for each in output.tensor_shape.dim] == [2]


def test_tensor_content_is_accepted(server: Server) -> None:
    request = predict_request("tiny", np.array([4], np.float32))
    request.inputs["x"].ClearField("float_val")
    request.inputs["x"].tensor_content = np.array([6], np.float32).tobytes()
    assert list(server.prediction.Predict(request).outputs["y"].float_val) == [5.0]


def test_several_inputs_and_strings(server: Server) -> None:
    request = predict_request("tiny", np.array([1], np.float32), signature_name="two")
    request.inputs["s"].CopyFrom(tf.make_tensor_proto(np.array([b"\xff\x00"], object)))
    outputs = server.prediction.Predict(request).outputs
    assert list(outputs["total"].float_val) == [3.0]
    assert list(outputs["text_bytes"].string_val) == [b"\xff\x00"]


def test_output_filter_selects_outputs(server: Server) -> None:
    request = predict_request("tiny", np.array([1], np.float32), signature_name="two")
    request.inputs["s"].CopyFrom(tf.make_tensor_proto(["a"]))
    request.output_filter.append("total")
    assert list(server.prediction.Predict(request).outputs) == ["total"]
    request.output_filter.append("total")
    assert refused(lambda: server.prediction.Predict(request)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "duplicate output tensor alias: total",
    )
    request.output_filter[:] = ["nothing"]
    code, text = refused(lambda: server.prediction.Predict(request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith("output tensor alias not found in signature: nothing")


def test_predict_runs_a_classification_signature(server: Server) -> None:
    serialized = np.array([example(0.5).SerializeToString()], object)
    request = predict_request("tiny", serialized, name="inputs", signature_name="classify")
    assert list(server.prediction.Predict(request).outputs["classes"].string_val) == [b"low", b"high"]


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({}, "INVALID_ARGUMENT", "Missing ModelSpec"),
        ({"signature_name": "x"}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"name": ""}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"name": "nope"}, "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        ({"name": "tiny", "version": 9}, "NOT_FOUND", "Servable not found for request: Specific(tiny, 9)"),
        ({"name": "tiny", "label": "canary"}, "INVALID_ARGUMENT", "Unrecognized servable version label: canary"),
        (
            {"name": "tiny", "signature_name": "nope"},
            "FAILED_PRECONDITION",
            'Serving signature key "nope" not found.',
        ),
        (
            {"name": "tiny", "signature_name": "two"},
            "INVALID_ARGUMENT",
            "input size does not match signature: 1!=2 len({x})!=len({s,x}). Sent extra: {}. "
            "Missing but required: {s}.",
        ),
    ],
)
def test_request_that_does_not_fit_is_rejected(
    server: Server, change: dict[str, str | int], code: str, message: str
) -> None:
    request = predict_pb2.PredictRequest()
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array([1], np.float32)))
    spec = request.model_spec
    spec.name = str(change.get("name", ""))
    spec.signature_name = str(change.get("signature_name", ""))
    if "version" in change:
        spec.version.value = int(change["version"])
    if "label" in change:
        spec.version_label = str(change["label"])
    if not change:
        request.ClearField("model_spec")
    assert refused(lambda: server.prediction.Predict(request)) == (grpc.StatusCode[code], message)


def test_wrong_dtype_and_malformed_tensor_are_rejected(server: Server) -> None:
    code, text = refused(lambda: server.prediction.Predict(predict_request("tiny", np.array([1]))))
    assert (code, text) == (grpc.StatusCode.INVALID_ARGUMENT, "input x has dtype DT_INT64; expected DT_FLOAT")
    request = predict_request("tiny", np.array([1], np.float32))
    request.inputs["x"].tensor_shape.dim[0].size = 7
    request.inputs["x"].tensor_content = b"abc"
    assert refused(lambda: server.prediction.Predict(request))[0] == grpc.StatusCode.INVALID_ARGUMENT
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array([1], np.float32)))
    request.inputs["x"].tensor_shape.dim[0].size = 4_000_000_000  # of one value
    details = refused(lambda: server.prediction.Predict(request))[1]
    assert "found the shape [4000000000] and 1 values or bytes; expected no negative size, and at most" in details
    request.inputs["x"].tensor_shape.dim[0].size = 1 << 28  # would take a gigabyte, and another one in the response
    assert "expected no negative size, and at most" in refused(lambda: server.prediction.Predict(request))[1]
    request.inputs["x"].tensor_shape.dim[0].size = 0
    assert "found 1 values for the shape [0]" in refused(lambda: server.prediction.Predict(request))[1]
    request.inputs["x"].tensor_shape.dim[0].size = -1
    assert refused(lambda: server.prediction.Predict(request))[0] == grpc.StatusCode.INVALID_ARGUMENT
    request.inputs["x"].dtype = 999
    assert refused(lambda: server.prediction.Predict(request))[1] == "input x has dtype 999; expected DT_FLOAT"
    text_request = predict_request("tiny", np.array([b"a"], object))
    assert refused(lambda: server.prediction.Predict(text_request))[0] == grpc.StatusCode.INVALID_ARGUMENT


FIELDS: dict[str, tuple[str, list[Any]]] = {  # the field, and what it stores for 1 and 0
    **{name: ("half_val", [bits, 0]) for name, bits in (("float16", 0x3C00), ("bfloat16", 0x3F80))},
    "float32": ("float_val", [1.0, 0.0]),
    "float64": ("double_val", [1.0, 0.0]),
    "complex64": ("scomplex_val", [1.0, 0.0, 0.0, 0.0]),
    "complex128": ("dcomplex_val", [1.0, 0.0, 0.0, 0.0]),
    "bool": ("bool_val", [True, False]),
    "string": ("string_val", [b"1\0", b""]),
    **{name: (f"{name}_val", [1, 0]) for name in ("int64", "uint32", "uint64")},
    **{name: ("int_val", [1, 0]) for name in ("int8", "int16", "int32", "uint8", "uint16")},
    **{name: ("int_val", [1, 0]) for name in ("qint8", "qint16", "qint32", "quint8", "quint16")},
}


@pytest.mark.parametrize("copies", [1, 20_000])
def test_tensors_and_scalars_of_each_dtype_are_in_typed_fields(server: Server, copies: int) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "types"
    for dtype in TYPES:
        tensor = request.inputs[dtype.name]
        tensor.dtype = dtype.as_datatype_enum
        tensor.tensor_shape.dim.add(size=2 * copies)
        if dtype == tf.string:
            tensor.string_val.extend(FIELDS["string"][1] * copies)
        else:
            plain = np.dtype(dtype.as_numpy_dtype)
            tensor.tensor_content = np.array([1, 0] * copies).astype(plain[0] if plain.fields else plain).tobytes()
    outputs = server.prediction.Predict(request, timeout=30).outputs
    for name, (field, stored) in FIELDS.items():
        every, first = outputs[f"{name}_all"], outputs[f"{name}_first"]
        assert (name, list(getattr(every, field)), every.tensor_content) == (name, stored * copies, b"")
        assert (name, list(getattr(first, field))) == (name, stored[: len(stored) // 2])
        assert first.HasField("tensor_shape")
        request.inputs[name].CopyFrom(every)
    assert server.prediction.Predict(request, timeout=30).outputs == outputs


def test_scalar_string_is_returned_over_rest(server: Server) -> None:
    request = {"signature_name": "text", "inputs": ["é", "b"]}
    answer = server.json("POST", "/v1/models/types:predict", request)
    assert answer == (200, {"outputs": {"string_all": ["é", "b"], "string_first": "é"}})


def test_error_of_the_model_comes_without_stack_trace(server: Server) -> None:
    request = predict_request("tiny", np.array([b"x" * 5000], object), name="inputs", signature_name="regress")
    code, text = refused(lambda: server.prediction.Predict(request))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "is required but could not be found" in text
    assert "Traceback" not in text
    assert "Errors may have originated" not in text


def test_long_error_is_truncated(server: Server) -> None:
    code, text = refused(lambda: server.predict("x" * 3000))
    assert code == grpc.StatusCode.NOT_FOUND
    assert text == f"Servable not found for request: Latest({'x' * 3000})"[:1024] + "...TRUNCATED"


def test_classify_returns_labels_and_scores(server: Server) -> None:
    request = classification_pb2.ClassificationRequest(input=example_input(-3.0, 1.0))
    request.model_spec.name, request.model_spec.signature_name = "tiny", "classify"
    response = server.prediction.Classify(request)
    found = [[(each.label, each.score) for each in row.classes] for row in response.result.classifications]
    assert found == [[("low", 0.5), ("high", 0.5)], [("low", -1.5), ("high", 2.5)]]
    assert response.model_spec.version.value == 3


def test_regress_returns_one_number_per_example_and_accepts_a_context(server: Server) -> None:
    request = regression_pb2.RegressionRequest(input=example_input(1.0, 2.0))
    request.model_spec.name, request.model_spec.signature_name = "tiny", "regress"
    assert [each.value for each in server.prediction.Regress(request).result.regressions] == [2.5, 3.0]
    with_context = input_pb2.ExampleListWithContext(context=example(8.0), examples=[example(None), example(2.0)])
    request.input.CopyFrom(input_pb2.Input(example_list_with_context=with_context))
    assert [each.value for each in server.prediction.Regress(request).result.regressions] == [6.0, 3.0]


@pytest.mark.parametrize(
    ("signature", "values", "message"),
    [
        ("regress", (), "Input is empty."),
        ("nope", (1.0,), "No signature was found with the name: nope"),
        ("nope", (), "No signature was found with the name: nope"),
        ("serving_default", (1.0,), "Expected signature inputs to be exactly \"inputs\"; found ['x']"),
    ],
)
def test_examples_that_do_not_fit_are_rejected(
    server: Server, signature: str, values: tuple[float, ...], message: str
) -> None:
    request = regression_pb2.RegressionRequest(input=example_input(*values))
    request.model_spec.name, request.model_spec.signature_name = "tiny", signature
    assert refused(lambda: server.prediction.Regress(request)) == (grpc.StatusCode.INVALID_ARGUMENT, message)


def task(signature: str, method: str, model: str = "tiny") -> inference_pb2.InferenceTask:
    made = inference_pb2.InferenceTask(method_name=method)
    made.model_spec.name, made.model_spec.signature_name = model, signature
    return made


def test_multi_inference_runs_several_signatures(server: Server) -> None:
    request = inference_pb2.MultiInferenceRequest(
        tasks=[task("classify", CLASSIFY), task("regress", REGRESS)], input=example_input(1.0)
    )
    first, second = server.prediction.MultiInference(request).results
    assert first.classification_result.classifications[0].classes[1].score == 2.5
    assert second.regression_result.regressions[0].value == 2.5


@pytest.mark.parametrize(
    ("tasks", "code", "message"),
    [
        ([], "INVALID_ARGUMENT", "Inference request must have at least one task."),
        ([task("regress", REGRESS)] * 2, "INVALID_ARGUMENT", "Duplicate evaluation of signature: regress"),
        (
            [task("regress", REGRESS), task("regress", REGRESS, "other")],
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            [task("regress", REGRESS), task("classify", CLASSIFY, "")],
            "INVALID_ARGUMENT",
            "Found ModelSpec with an empty model name.",
        ),
        ([task("nope", CLASSIFY)], "INVALID_ARGUMENT", "Requested signature not found in model graph: nope"),
        ([task("nope", "nope")], "INVALID_ARGUMENT", "Requested signature not found in model graph: nope"),
        ([task("regress", CLASSIFY)], "INVALID_ARGUMENT", "Expected classification signature outputs to contain at"),
        (
            [task("regress", "tensorflow/serving/predict")],
            "UNIMPLEMENTED",
            "Unsupported signature method_name: tensorflow/serving/predict",
        ),
    ],
)
def test_multi_inference_that_does_not_fit_is_rejected(
    server: Server, tasks: list[inference_pb2.InferenceTask], code: str, message: str
) -> None:
    request = inference_pb2.MultiInferenceRequest(tasks=tasks, input=example_input(1.0))
    found, text = refused(lambda: server.prediction.MultiInference(request))
    assert (found, text[: len(message)]) == (grpc.StatusCode[code], message)


def test_multi_inference_checks_all_tasks_before_the_examples(server: Server) -> None:
    tasks = [task("regress", REGRESS), task("nope", REGRESS)]
    request = inference_pb2.MultiInferenceRequest(tasks=tasks)
    assert refused(lambda: server.prediction.MultiInference(request))[1] == (
        "Requested signature not found in model graph: nope"
    )
    del request.tasks[1]
    assert refused(lambda: server.prediction.MultiInference(request))[1] == "Input is empty."


def test_metadata_lists_the_signatures(server: Server) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "tiny"
    response = server.prediction.GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "two", "classify", "__saved_model_init_op"} <= set(signatures.signature_def)
    assert response.model_spec.version.value == 3
    request.metadata_field[:] = ["other"]
    unknown_field = "Metadata field other is not supported"
    for name in ("tiny", ""):
        request.model_spec.name = name
        assert refused(lambda: server.prediction.GetModelMetadata(request))[1] == unknown_field
    request.metadata_field[:] = ["signature_def"]
    assert refused(lambda: server.prediction.GetModelMetadata(request))[1] == "ModelSpec has no name specified."
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["other"])
    assert refused(lambda: server.prediction.GetModelMetadata(request))[1] == "Missing ModelSpec"
    request.model_spec.name = "tiny"
    assert refused(lambda: server.prediction.GetModelMetadata(request)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "Metadata field other is not supported",
    )


def test_status_lists_the_versions(server: Server) -> None:
    assert server.states() == {3: "AVAILABLE"}
    code, text = refused(lambda: server.states("nope"))
    assert (code, text) == (grpc.StatusCode.NOT_FOUND, "Could not find any versions of model nope")


@pytest.mark.parametrize("service", ["", "ModelService", "PredictionService"])
def test_health_service_reports_serving(server: Server, service: str) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415 - of this test alone

    stub = health_pb2_grpc.HealthStub(server.channel)
    assert stub.Check(health_pb2.HealthCheckRequest(service=service)).status == health_pb2.HealthCheckResponse.SERVING


def test_malformed_message_is_rejected_and_the_next_request_handled(server: Server) -> None:
    written = len(server.log.read_text())
    for method, message in (("PredictionService/Predict", "PredictRequest"), *MODEL_SERVICE.items()):
        call = server.channel.unary_unary(f"/tensorflow.serving.{method}")
        code, text = refused(lambda call=call: call(b"\x0a\xff\xff\xff\xff\x01abc"))  # type: ignore[misc]
        assert (code, text) == (grpc.StatusCode.INTERNAL, f"the message is not a valid {message}")
        server.wait_for(lambda message=message: f"Malformed {message} from" in server.log.read_text()[written:])  # type: ignore[misc]
    assert "Traceback" not in server.log.read_text()[written:]
    assert server.predict() == [2.5]


def test_deadline_ends_the_wait(server: Server) -> None:
    request = predict_request("tiny", np.array([1], np.float32), signature_name="wait")
    code, _ = refused(lambda: server.prediction.Predict(request, timeout=0.3))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.predict() == [2.5]
    server.prediction.Predict(predict_request("tiny", np.array([1], np.float32), signature_name="release"))


def test_call_whose_deadline_passes_in_the_queue_is_never_run(
    embed: Callable[..., Embedded], tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/1").symlink_to(tiny)
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true path: '/numbers' }")
    server = embed(
        "--model_name=tiny",
        f"--model_base_path={tmp_path / 'base'}",
        f"--monitoring_config_file={tmp_path / 'monitoring'}",
        "--grpc_max_threads=1",
    )
    wait = predict_request("tiny", np.array([1], np.float32), signature_name="wait")
    running = server.prediction.Predict.future(wait)
    wait_for_stack("Predict", "run")
    queued = refused(lambda: server.prediction.Predict(predict_request("tiny", np.ones(7, np.float32)), timeout=0.1))
    assert not running.done(), "the call was not queued"
    assert queued[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    release = {"signature_name": "release", "inputs": [1.0]}
    assert server.json("POST", "/v1/models/tiny:predict", release)[0] == 200
    assert list(running.result().outputs["y"].float_val) == [1.0]
    assert server.predict() == [2.5]  # queued after the one that was abandoned
    page = server.rest("GET", "/numbers")[1].decode().splitlines()
    assert ':tensorflow:serving:request_count{model_name="tiny",status="OK"} 3' in page
    assert ':tensorflow:serving:request_example_count_total{model="tiny"} 3' in page


@pytest.mark.parametrize("left", [0.0, -1.0])
def test_call_past_its_deadline_is_not_handled(left: float) -> None:
    """In case gRPC has not noticed it yet."""
    context, handler = mock.Mock(spec=grpc.ServicerContext), mock.Mock(spec=RequestHandler)
    context.time_remaining.return_value = left
    context.abort.side_effect = RuntimeError
    with pytest.raises(RuntimeError):
        PredictionService(handler).Predict(predict_pb2.PredictRequest(), context)
    assert context.abort.call_args.args[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    handler.predict.assert_not_called()
