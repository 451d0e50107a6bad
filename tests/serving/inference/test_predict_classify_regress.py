from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from server_process import predict_request
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, input_pb2, predict_pb2, regression_pb2

from serving.errors import Code, ServingError
from serving.inference import classify_regress, predict
from serving.models.servable import Servable

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


def write_odd(path: Path) -> Path:
    """Writes a model with all kinds of signatures, valid and invalid ones."""
    module = tf.Module()
    examples = tf.TensorSpec([None], tf.string, "inputs")
    numbers = tf.TensorSpec([None], tf.float32, "x")

    def size(inputs: tf.Tensor) -> tf.Tensor:
        return tf.shape(inputs)[0]

    functions: dict[str, tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]] = {
        "none": (lambda: {"y": tf.constant([1.0, 2.0])}, []),
        "plain": (lambda x: {"y": x * 2}, [numbers]),
        "default": (lambda x, k: {"y": x * k}, [numbers, tf.TensorSpec([None], tf.float32, "k")]),
        "scores": (lambda inputs: {"scores": tf.fill([size(inputs), 2], 0.5)}, [examples]),
        "classes": (lambda inputs: {"classes": tf.fill([size(inputs), 2], "a")}, [examples]),
        "numbers": (lambda inputs: {"classes": tf.fill([size(inputs), 2], 1)}, [examples]),
        "half": (lambda inputs: {"scores": tf.cast(tf.fill([size(inputs), 2], 0.5), tf.float16)}, [examples]),
        "flat": (lambda inputs: {"scores": tf.fill([size(inputs)], 0.5)}, [examples]),
        "single": (lambda inputs: {"scores": tf.fill([1, 2], 0.5), "outputs": tf.fill([1], 0.5)}, [examples]),
        "column": (lambda inputs: {"outputs": tf.fill([size(inputs), 1], 1.5)}, [examples]),
        "wide": (lambda inputs: {"outputs": tf.fill([size(inputs), 2], 1.5)}, [examples]),
        "double": (lambda inputs: {"outputs": tf.cast(tf.fill([size(inputs)], 1.5), tf.float64)}, [examples]),
    }
    signatures = {key: tf.function(run, input_signature=specs) for key, (run, specs) in functions.items()}
    tf.saved_model.save(module, str(path), signatures=signatures)
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    definitions = saved.meta_graphs[0].signature_def
    definitions["default"].defaults["k"].CopyFrom(tf.make_tensor_proto([3.0], tf.float32))
    definitions["scores"].method_name, definitions["column"].method_name = CLASSIFY, REGRESS
    definitions["plain"].method_name = "not/a/method"
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    return path


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Servable:
    return Servable("odd", 1, write_odd(tmp_path_factory.mktemp("odd") / "model"))


def example_input(count: int) -> input_pb2.Input:
    request = input_pb2.Input()
    request.example_list.SetInParent()
    for _ in range(count):
        request.example_list.examples.add()
    return request


def classify(odd: Servable, key: str, count: int = 2, check: bool = False) -> Any:
    request = classification_pb2.ClassificationRequest(input=example_input(count))
    request.model_spec.name, request.model_spec.signature_name = "odd", key
    return classify_regress.classify(odd, request, check).result


def regress(odd: Servable, key: str, count: int = 2, check: bool = False) -> Any:
    request = regression_pb2.RegressionRequest(input=example_input(count))
    request.model_spec.name, request.model_spec.signature_name = "odd", key
    return classify_regress.regress(odd, request, check).result


def test_omitted_input_has_its_default(odd: Servable) -> None:
    request = predict_request("odd", np.array([1, 2], np.float32), signature_name="default")
    assert list(predict.predict(odd, request).outputs["y"].float_val) == [3.0, 6.0]
    request.inputs["k"].CopyFrom(tf.make_tensor_proto([5.0], tf.float32))
    assert list(predict.predict(odd, request).outputs["y"].float_val) == [5.0, 10.0]
    del request.inputs["x"]
    with pytest.raises(ServingError, match=r"Missing but required: \{x\}"):
        predict.predict(odd, request)


def test_signature_without_inputs_runs(odd: Servable) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "odd", "none"
    assert list(predict.predict(odd, request).outputs["y"].float_val) == [1.0, 2.0]


def test_shape_is_checked_by_the_model_only(odd: Servable) -> None:
    request = predict_request("odd", np.array([[1, 2], [3, 4]], np.float32), signature_name="plain")
    output = predict.predict(odd, request).outputs["y"]
    assert [each.size for each in output.tensor_shape.dim] == [2, 2]
    assert list(output.float_val) == [2, 4, 6, 8]


def test_classes_or_scores_are_sufficient(odd: Servable) -> None:
    scores = [[(each.label, each.score) for each in row.classes] for row in classify(odd, "scores").classifications]
    assert scores == [[("", 0.5), ("", 0.5)]] * 2
    classes = [[(each.label, each.score) for each in row.classes] for row in classify(odd, "classes").classifications]
    assert classes == [[("a", 0.0), ("a", 0.0)]] * 2


def test_regression_output_may_be_a_column(odd: Servable) -> None:
    assert [each.value for each in regress(odd, "column").regressions] == [1.5, 1.5]


@pytest.mark.parametrize(
    ("ask", "key", "count", "message"),
    [
        (classify, "scores", 0, "Input is empty."),
        (classify, "nope", 2, "No signature was found with the name: nope"),
        (classify, "plain", 2, 'Expected signature inputs to be exactly "inputs"'),
        (classify, "column", 2, 'to contain at least one of "classes" or "scores"'),
        (classify, "numbers", 2, "Expected classes Tensor of DT_STRING. Got: DT_INT32"),
        (classify, "half", 2, "Expected scores Tensor of DT_FLOAT. Got: DT_HALF"),
        (classify, "flat", 2, "Expected Tensor shape: [batch_size num_scores] but got [2]"),
        (classify, "single", 2, "Expected scores output batch size of 2. Got: 1"),
        (regress, "scores", 2, 'Expected regression signature outputs to contain "outputs"'),
        (regress, "wide", 2, "to be either [batch_size] or [batch_size, 1] but got [2, 2]"),
        (regress, "single", 2, "to be either [batch_size] or [batch_size, 1] but got [1]"),
        (regress, "double", 2, "Expected output Tensor of DT_FLOAT. Got: DT_DOUBLE"),
    ],
)
def test_unsuitable_signature_is_rejected(
    odd: Servable, ask: Callable[..., Any], key: str, count: int, message: str
) -> None:
    with pytest.raises(ServingError) as caught:
        ask(odd, key, count)
    assert message in caught.value.message
    assert caught.value.code == Code.INVALID_ARGUMENT


def test_method_name_is_checked_only_on_request(odd: Servable) -> None:
    assert classify(odd, "classes", check=False)
    assert regress(odd, "column", check=True)
    assert classify(odd, "scores", check=True)
    for ask, key in ((classify, "classes"), (regress, "double")):
        with pytest.raises(ServingError, match="signature method_name to be"):
            ask(odd, key, check=True)
    request = predict_request("odd", np.array([1], np.float32), signature_name="plain")
    assert predict.predict(odd, request)
    with pytest.raises(ServingError, match="Was: not/a/method"):
        predict.predict(odd, request, check_method=True)
    for key in ("default", "none"):
        request.model_spec.signature_name = key
        if key == "none":
            request.inputs.clear()
        assert predict.predict(odd, request, check_method=True)


def test_multi_inference_keeps_the_order_of_tasks_and_knows_the_default_signature(odd: Servable) -> None:
    request = inference_pb2.MultiInferenceRequest(input=example_input(1))
    for key, method in (("column", REGRESS), ("scores", CLASSIFY)):
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = "odd", key
    results = classify_regress.multi_inference(odd, request).results
    assert [each.model_spec.signature_name for each in results] == ["column", "scores"]
    assert [each.WhichOneof("result") for each in results] == ["regression_result", "classification_result"]
    request.tasks[1].model_spec.ClearField("signature_name")
    with pytest.raises(ServingError, match="Requested signature not found in model graph: serving_default"):
        classify_regress.multi_inference(odd, request)
