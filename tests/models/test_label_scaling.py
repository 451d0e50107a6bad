import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from small_table import BINARY, REGRESSION, UNSCALED, small_table

from models.label_scaling import LabelScaling, magnitudes

Arrays = np.ndarray[Any, Any]


def raw(scaling: LabelScaling, *predictions: float) -> list[float]:
    found: list[float] = scaling.to_raw(tf.constant([predictions], tf.float32)).numpy()[0].tolist()
    return found


def test_the_target_is_the_z_score_of_the_logarithm_over_the_analyzed_rows() -> None:
    columns = small_table().transform(small_table().rows)
    label, target = (columns[name][:, 0] for name in (REGRESSION.label_tensor, REGRESSION.target_tensor))
    amounts = np.array([row["amount"] for row in small_table().rows], np.float32)
    np.testing.assert_array_equal(label, amounts)  # metrics and thresholds have the unit of the table
    logarithms = np.sign(amounts) * np.log1p(np.abs(amounts.astype(np.float64)))
    assert logarithms.min() < 0
    np.testing.assert_allclose(target, (logarithms - logarithms.mean()) / logarithms.std(), atol=1e-6)
    assert LabelScaling.of(small_table().graph, REGRESSION) == pytest.approx(
        (True, logarithms.mean(), logarithms.std(), logarithms.min(), logarithms.max()), rel=1e-6
    )


def test_the_target_is_undone_exactly() -> None:
    scaling = LabelScaling.of(small_table().graph, REGRESSION)
    assert scaling
    columns = small_table().transform(small_table().rows)
    found = scaling.to_raw(tf.constant(columns[REGRESSION.target_tensor])).numpy()
    np.testing.assert_allclose(found, columns[REGRESSION.label_tensor], rtol=2e-6)


def test_other_labels_are_not_scaled() -> None:
    assert LabelScaling.of(small_table().graph, UNSCALED) is None
    assert LabelScaling.of(small_table().graph, BINARY) is None
    assert UNSCALED.target_tensor == UNSCALED.label_tensor


@pytest.mark.parametrize(
    ("scaling", "prediction", "expected"),
    [
        (LabelScaling(False, 5.0, 2.0, 0, 0), 1e6, 2_000_005.0),
        (LabelScaling(True, 0.0, 1.0, 0.0, math.log1p(99)), 1e6, 999.0),
        (LabelScaling(True, 0.0, 1.0, 0.0, math.log1p(99)), -1e6, 0.0),
        (LabelScaling(True, 0.0, 1.0, 1.0, math.log1p(99)), 0.5, math.expm1(0.5)),
        (LabelScaling(True, 0.0, 1.0, -math.log1p(9), 1.0), -1e6, -99.0),
        (LabelScaling(True, 0.0, 1.0, -math.log1p(9), 1.0), -0.5, -math.expm1(0.5)),
        (LabelScaling(True, 0.0, 1.0, -2.0, -1.0), 1e6, math.expm1(math.log(10) - 1)),
    ],
)
def test_a_logarithm_is_limited_to_a_factor_of_ten_around_the_train_split(
    scaling: LabelScaling, prediction: float, expected: float
) -> None:
    assert raw(scaling, prediction) == pytest.approx([expected], rel=1e-5)


def test_no_prediction_is_infinite() -> None:
    huge = LabelScaling(True, 80.0, 5.0, -88.7, 88.7)
    assert np.isfinite(raw(huge, 1e30, -1e30, 3.0)).all()


@pytest.mark.parametrize(
    "scaling",
    [
        LabelScaling(True, 3.0, 2.0, 0.0, 9.0),
        LabelScaling(True, 0.5, 3.0, -9.0, 9.0),
        LabelScaling(False, 9.0, 1e4, 0, 0),
    ],
)
def test_an_error_of_the_networks_last_bits_is_within_the_magnitude(scaling: LabelScaling) -> None:
    targets = np.linspace(-3, 3, 500, dtype=np.float32)
    found, moved = (np.array(raw(scaling, *each)) for each in (targets, targets + np.float32(3e-7)))
    assert (np.abs(found - moved) <= 1e-6 * magnitudes(scaling, found)).all()


def test_without_scaling_the_magnitude_is_the_prediction() -> None:
    assert magnitudes(None, np.array([0.1, -7.0])).tolist() == [1.0, 7.0]


@pytest.mark.parametrize("scaling", [LabelScaling(True, 3.0, 2.0, -1.0, 9.0), LabelScaling(True, 3.0, 2.0, 0.0, 9.0)])
def test_devices_have_all_operators(scaling: LabelScaling) -> None:
    spec = tf.TensorSpec([1, 1], tf.float32)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [tf.function(scaling.to_raw).get_concrete_function(spec)]
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    [taken], [given] = interpreter.get_input_details(), interpreter.get_output_details()
    for target in (-9.0, -1.6, 0.3, 99.0):
        interpreter.set_tensor(taken["index"], np.array([[target]], np.float32))
        interpreter.invoke()
        assert interpreter.get_tensor(given["index"])[0].tolist() == pytest.approx(raw(scaling, target), rel=1e-5)
