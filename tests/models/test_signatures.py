import dataclasses
import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras as keras
from predictions import assert_same_predictions
from small_table import IN_FULL, LISTS, SPEC, Row, encode, small_table, values_of
from tensorflow.core.protobuf import saved_model_pb2

from models.network import build_network
from models.problem.problem import Problem
from models.signatures import CLASSIFY, REGRESS, SERVE_RAW, SERVING, TRANSFORM_FEATURES, TRANSFORM_LABEL, export
from models.transforms.columns import MISSING
from models.transforms.kinds import categorical_sizes
from serving.models.servable import Servable
from serving.rest_json.dtype_rules import rules_for
from serving.rest_json.predict import read_inputs

TASKS = sorted(IN_FULL)


@dataclasses.dataclass(frozen=True)
class Exported:
    """A network, and the exported model, moved to another folder and loaded."""

    problem: Problem
    network: keras.Model
    model: Any
    directory: Path

    def call(self, rows: Sequence[Row], signature: str = SERVING) -> dict[str, np.ndarray[Any, Any]]:
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
    network.set_weights([random.normal(0, len(each) ** -0.5, each.shape) for each in network.get_weights()])
    export(network, graph, problem, str(folder / "model"))
    shutil.move(folder / "model", folder / "elsewhere")
    shutil.rmtree(folder / "graph")
    directory = folder / "elsewhere"
    return Exported(problem, network, tf.saved_model.load(str(directory)), directory)


def test_the_graph_and_the_network_are_saved_once_without_layer_functions(exported: Exported) -> None:
    saved = saved_model_pb2.SavedModel.FromString((exported.directory / "saved_model.pb").read_bytes())
    names = [function.signature.name for function in saved.meta_graphs[0].graph_def.library.function]
    counts = Counter(re.sub(r"^__inference_|_\d+$", "", name) for name in names)
    assert [counts[name] for name in ("transform", "predict", "pruned")] == [1, 1, 1]  # the last is Transform's graph
    assert [name for name in counts if "layer" in name] == []
    assert {each.name for each in exported.network.weights} <= {each.name for each in exported.model.variables}


@pytest.mark.parametrize("signature", [SERVING, TRANSFORM_FEATURES, TRANSFORM_LABEL])
def test_signatures_take_serialized_examples(exported: Exported, signature: str) -> None:
    _, inputs = exported.model.signatures[signature].structured_input_signature
    assert inputs == {"examples": tf.TensorSpec([None], tf.string, "examples")}


def test_serve_raw_takes_one_column_per_raw_feature_and_no_label(exported: Exported) -> None:
    _, inputs = exported.model.signatures[SERVE_RAW].structured_input_signature
    names = exported.problem.features.tensor_names
    # TensorFlow keeps the case of an argument's name, but not of its tensor's.
    specs = {
        name: tf.TensorSpec([None, None if column in LISTS else 1], SPEC[column].dtype, name.lower())
        for column, name in names.items()
    }
    assert inputs == specs


def test_servers_see_the_names_of_the_table(exported: Exported) -> None:
    served = Servable("small", 1, exported.directory)
    features, label = exported.problem.features, exported.problem.label
    assert set(served.signatures[SERVE_RAW].inputs) == set(features.columns)
    transformed = set(served.signatures[TRANSFORM_FEATURES].outputs)
    assert transformed == {f"{column}_{kind}" for kind, column in features} | {"note_text_weights"}
    assert set(served.signatures[TRANSFORM_LABEL].outputs) == {label.name}
    rows = small_table().rows[:9]
    document = {"instances": [{name: as_list(row[name], name) for name in features.columns} for row in rows]}
    rules = {name: rules_for(info.dtype) for name, info in served.signatures[SERVE_RAW].inputs.items()}
    inputs, _ = read_inputs(json.loads(json.dumps(document)), rules)
    found = served.run(SERVE_RAW, inputs, ["predictions"])
    assert_same_predictions(found, {"predictions": exported.call(rows)["predictions"]})
    served.close()


def as_list(value: Any, name: str) -> list[Any]:
    """The values of a cell as clients send them, with placeholders for missing ones."""
    missing = MISSING[SPEC[name].dtype]
    found = [missing if isinstance(each, float) and not math.isfinite(each) else each for each in values_of(value)]
    return found + [missing] * ((5 if name in LISTS else 1) - len(found))


def test_the_signatures_and_their_outputs_depend_on_the_task(exported: Exported) -> None:
    classes = exported.problem.class_names
    predict = {"predictions": tf.float32}
    method = {"outputs": tf.float32}
    if classes:
        method = {"classes": tf.string, "scores": tf.float32}
        predict |= method
    expected = {
        SERVING: predict,
        SERVE_RAW: predict,
        CLASSIFY if classes else REGRESS: method,
        TRANSFORM_FEATURES: {
            name: tf.as_dtype(output.dtype) for name, output in exported.problem.features.outputs.items()
        },
        TRANSFORM_LABEL: {exported.problem.label_tensor: tf.int64 if classes else tf.float32},
    }
    found = exported.model.signatures
    assert {name: _dtypes(signature) for name, signature in found.items()} == expected


def _dtypes(signature: Any) -> dict[str, tf.DType]:
    return {name: spec.dtype for name, spec in signature.structured_outputs.items()}


def test_a_served_prediction_equals_the_network_over_the_transform_graph(exported: Exported) -> None:
    rows = small_table().rows[:60]
    transformed = small_table().transform(rows)
    names = exported.problem.features.transformed_names
    expected = exported.network({name: tf.constant(transformed[name]) for name in names})
    found = exported.call(rows)["predictions"]
    if exported.problem.has_scaled_label:
        mean, std, low, high = transformed[exported.problem.scaling_tensor][0].astype(np.float64)
        logarithms = np.clip(expected.numpy() * std + mean, low - np.log(10), high + np.log(10))
        np.testing.assert_allclose(found, np.sign(logarithms) * np.expm1(np.abs(logarithms)), rtol=1e-4, atol=1e-4)
    else:
        assert_same_predictions({"predictions": found}, {"predictions": expected})
    assert expected.shape == (60, 3 if exported.problem.task == "multiclass" else 1)
    assert len(np.unique(np.round(expected, 6), axis=0)) > 30


def test_serve_raw_predicts_the_same_for_columns_with_placeholders(exported: Exported) -> None:
    rows = small_table().rows[:60]
    columns = {}
    for name in exported.problem.features.columns:
        dtype = SPEC[name].dtype
        values = [as_list(row[name], name) for row in rows]
        columns[exported.problem.features.tensor_names[name]] = tf.constant(values, dtype)
    assert_same_predictions(exported.model.signatures[SERVE_RAW](**columns), exported.call(rows))


def test_classify_and_regress_predict_the_same_as_the_default(exported: Exported) -> None:
    rows = small_table().rows[:9]
    method = REGRESS if exported.problem.task == "regression" else CLASSIFY
    records = tf.constant([encode(row) for row in rows])
    found = exported.model.signatures[method](inputs=records)
    names = {"outputs": "predictions"} if method == REGRESS else {"classes": "classes", "scores": "scores"}
    default = exported.call(rows)
    assert_same_predictions(found, {name: default[same] for name, same in names.items()})


def test_transformed_values_equal_the_transform_graphs_to_the_bit(exported: Exported) -> None:
    expected = small_table().transform(small_table().rows)
    found = [exported.call(small_table().rows, name) for name in (TRANSFORM_FEATURES, TRANSFORM_LABEL)]
    for name, column in {**found[0], **found[1]}.items():
        assert column.dtype == expected[name].dtype
        assert column.tobytes() == expected[name].tobytes(), name


def test_missing_features_and_a_missing_label_are_allowed(exported: Exported) -> None:
    missing: list[Row] = [{}, {"no such column": "x"}, {"gain": math.nan, "city": ""}]
    known: list[Row] = [{"gain": 20.0}, {"city": "東京"}]
    outputs = exported.call([*missing, *known] * 8)  # at positions that vector instructions treat differently
    assert np.isfinite(outputs["predictions"]).all()
    alone = exported.call([missing[0]])
    for index in range(len(missing)):
        every = {name: values[index::5] for name, values in outputs.items()}
        assert_same_predictions(every, {name: np.repeat(values, 8, axis=0) for name, values in alone.items()})
    distinct = outputs["predictions"][[0, 3, 4]]
    assert all(np.abs(distinct[one] - distinct[other]).max() > 1e-3 for one, other in ((0, 1), (0, 2), (1, 2)))


def test_an_empty_batch_has_empty_outputs(exported: Exported) -> None:
    assert all(len(output) == 0 for output in exported.call([]).values())


def test_scores_match_the_class_names(exported: Exported) -> None:
    outputs = exported.call(small_table().rows[:9])
    if exported.problem.task == "regression":
        assert set(outputs) == {"predictions"}
        return
    names = [name.encode() for name in exported.problem.class_names]
    assert outputs["classes"].tolist() == [names] * 9
    np.testing.assert_allclose(outputs["scores"].sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(outputs["scores"][:, -1], outputs["predictions"][:, -1])
