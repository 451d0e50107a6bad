import dataclasses
import math
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
from small_table import IN_FULL, Row, encode, small_table

from models.features import Problem, transformed_name
from models.network import build_network
from models.preprocessing import categorical_sizes
from models.signatures import SERVING, TRANSFORM_FEATURES, TRANSFORM_LABEL, export

TASKS = sorted(IN_FULL)


@dataclasses.dataclass(frozen=True)
class Exported:
    """A network, and the model made of it, loaded from where it was moved to."""

    problem: Problem
    network: keras.Model
    model: Any

    def answer(self, rows: Sequence[Row], signature: str = SERVING) -> dict[str, np.ndarray[Any, Any]]:
        records = tf.constant([encode(row) for row in rows], tf.string)
        return {name: tensor.numpy() for name, tensor in self.model.signatures[signature](records).items()}


@pytest.fixture(scope="module", params=TASKS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("exported")
    problem = IN_FULL[request.param]
    shutil.copytree(small_table().graph_dir, folder / "graph")
    graph = tft.TFTransformOutput(str(folder / "graph"))
    network = build_network(problem, {"hidden_units": 8}, categorical_sizes(problem.features, graph))
    random = np.random.default_rng(0)
    network.set_weights([random.normal(size=weights.shape) for weights in network.get_weights()])
    export(network, graph, problem, str(folder / "model"))
    shutil.move(folder / "model", folder / "elsewhere")
    shutil.rmtree(folder / "graph")
    return Exported(problem, network, tf.saved_model.load(str(folder / "elsewhere")))


def test_signatures_take_serialized_examples(exported: Exported) -> None:
    assert set(exported.model.signatures) == {"serving_default", "transform_features", "transform_label"}
    for signature in exported.model.signatures.values():
        _, inputs = signature.structured_input_signature
        assert inputs == {"examples": tf.TensorSpec([None], tf.string, "examples")}


def test_outputs_are_those_of_the_task(exported: Exported) -> None:
    signature = exported.model.signatures
    width = 3 if exported.problem.task == "multiclass" else 1
    answer = {"predictions": (tf.float32, [None, width])}
    if exported.problem.class_names:
        classes = len(exported.problem.class_names)
        answer |= {"scores": (tf.float32, [None, classes]), "classes": (tf.string, [None, classes])}
    assert _outputs(signature[SERVING]) == answer
    features = {transformed_name(kind, column) for kind, column in exported.problem.features}
    assert set(_outputs(signature[TRANSFORM_FEATURES])) == features
    assert set(_outputs(signature[TRANSFORM_LABEL])) == {exported.problem.label.name}


def _outputs(signature: Any) -> dict[str, tuple[tf.DType, list[int | None]]]:
    return {name: (spec.dtype, spec.shape.as_list()) for name, spec in signature.structured_outputs.items()}


def test_a_served_prediction_equals_the_network_over_the_transform_graph(exported: Exported) -> None:
    rows = small_table().rows[:60]
    transformed = small_table().transform(rows)
    names = [transformed_name(kind, column) for kind, column in exported.problem.features]
    expected = exported.network({name: tf.constant(transformed[name]) for name in names})
    np.testing.assert_allclose(exported.answer(rows)["predictions"], expected, rtol=1e-6, atol=1e-6)
    assert len(np.unique(np.round(expected, 6), axis=0)) > 30


def test_transformed_values_are_those_of_the_transform_graph_to_the_bit(exported: Exported) -> None:
    expected = small_table().transform(small_table().rows)
    answers = [exported.answer(small_table().rows, name) for name in (TRANSFORM_FEATURES, TRANSFORM_LABEL)]
    for name, column in {**answers[0], **answers[1]}.items():
        assert column.dtype == expected[name].dtype
        assert column.tobytes() == expected[name].tobytes(), name


def test_missing_features_and_a_missing_label_give_an_answer(exported: Exported) -> None:
    rows: list[Row] = [{}, {"no such column": "x"}, {"gain": math.nan, "city": ""}, {"gain": 2.0}, {"city": "東京"}]
    predictions = exported.answer(rows)["predictions"]
    assert np.isfinite(predictions).all()
    np.testing.assert_array_equal(predictions[:3], predictions[[0, 0, 0]])
    assert len(np.unique(predictions, axis=0)) == 3


def test_no_examples_give_no_answers(exported: Exported) -> None:
    assert all(len(output) == 0 for output in exported.answer([]).values())


def test_scores_belong_to_the_class_names(exported: Exported) -> None:
    answer = exported.answer(small_table().rows[:9])
    if exported.problem.task == "regression":
        assert set(answer) == {"predictions"}
        return
    names = [name.encode() for name in exported.problem.class_names]
    assert answer["classes"].tolist() == [names] * 9
    np.testing.assert_allclose(answer["scores"].sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(answer["scores"][:, -1], answer["predictions"][:, -1])
