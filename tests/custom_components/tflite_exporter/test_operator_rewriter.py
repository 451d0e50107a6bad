import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from ai_edge_litert.interpreter import Interpreter
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_rows import random_rows
from small_table import CODE, ON_DEVICES, PAINT, PLAIN, RATIO, TAIL, USER, Row, small_table

from common.error_reason import reason
from custom_components.tflite_exporter.convert import convert_function
from custom_components.tflite_exporter.farmhash import TEXT_BYTES
from custom_components.tflite_exporter.graph_helpers import RewriteError
from custom_components.tflite_exporter.operator_rewriter import _quotient
from custom_components.tflite_exporter.transform_rewriter import TransformRewriter
from models.problem.features import Features
from models.problem.kinds import KINDS
from models.problem.numbers import Dense
from models.transforms.columns import as_column
from serving.edge import encode

PROBLEM = ON_DEVICES["regression"]
TOGETHER = "together"
Columns = dict[str, np.ndarray[Any, Any]]


@functools.cache
def rewritten() -> tuple[TransformRewriter, Callable[..., dict[str, tf.Tensor]]]:
    rewriter = TransformRewriter(small_table().graph, PROBLEM)
    return rewriter, rewriter.concrete_function()


class OnDevice:
    """The features of one kind, or all features, of the small table, transformed by LiteRT."""

    def __init__(self, kind: str) -> None:
        rewriter, complete = rewritten()
        names = {PROBLEM.features.tensor_name(each, column): each for each, column in PROBLEM.features}
        self.names = sorted(name for name, each in names.items() if kind in (each, TOGETHER))

        @tf.function(autograph=False)
        def chosen(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
            transformed = complete(**raw)
            return {name: transformed[name] for name in self.names}

        specs = {
            name: tf.TensorSpec(rewriter.inputs[column].spec.shape, rewriter.inputs[column].spec.dtype, name)
            for name, column in rewriter.input_names.items()
        }
        function = chosen.get_concrete_function(**specs)
        self._features = {feature["name"]: feature for feature in rewriter.features}
        self._columns = rewriter.input_names
        content = convert_function(function, "the graph")
        self._interpreter = Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()

    def transform(self, row: Row) -> Columns:
        for taken in self._interpreter.get_input_details():
            column = self._columns[taken["name"].partition(":")[0]]
            self._interpreter.set_tensor(taken["index"], encode(row.get(column), self._features[column]))
        self._interpreter.invoke()
        given_back = [self._interpreter.get_tensor(each["index"]) for each in self._interpreter.get_output_details()]
        return dict(zip(self.names, given_back, strict=True))


@functools.cache
def on_device(kind: str) -> OnDevice:
    return OnDevice(kind)


def assert_same(device: OnDevice, row: Row) -> None:
    expected, found = small_table().transform([row]), device.transform(row)
    for name in device.names:
        if expected[name].dtype == np.int64:
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
        else:
            # TFLite has no float64, in which the graph takes logarithms and sines.
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


UNUSUAL: list[Row] = [
    {},
    dict.fromkeys(["gain", "share", RATIO, PLAIN, TAIL], float("nan")),
    dict.fromkeys(["gain", "share", RATIO, PLAIN, TAIL], float("inf")),
    dict.fromkeys(["gain", "share", RATIO, PLAIN, TAIL], -1e38),
    dict.fromkeys(["age", "month", CODE], 2**63 - 1),
    dict.fromkeys(["age", "month", CODE], -(2**63) + 1),
    dict.fromkeys(["city", "street", PAINT, USER], ""),
    dict.fromkeys(["city", "street", PAINT, USER], "東京"),
    dict.fromkeys(["city", "street", PAINT, USER], b"\xff\x00\x80"),
    dict.fromkeys(["city", "street", PAINT, USER], "x" * TEXT_BYTES),
]


@pytest.mark.parametrize("kind", [*(kind for kind in KINDS if getattr(PROBLEM.features, kind)), TOGETHER])
def test_each_kind_alone_and_all_together_give_the_graphs_values(kind: str) -> None:
    for row in [*small_table().rows[:60], *UNUSUAL]:
        assert_same(on_device(kind), row)


@pytest.mark.parametrize(("column", "around"), [("gain", True), ("share", True), ("age", False)])
def test_a_value_on_a_boundary_falls_into_the_graphs_bucket(column: str, around: bool) -> None:
    values: Any = {row.get(column) for row in small_table().rows} - {None}
    for value in sorted(each for each in values if np.isfinite(each))[::7]:
        steps = [float(np.nextafter(np.float32(value), np.float32(side))) for side in (-99, 99)] if around else []
        for each in [value, *steps]:
            assert_same(on_device("bucketed"), {column: each})


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(row=random_rows)
def test_random_rows_are_transformed_equally(row: Row) -> None:
    fitting = {name: value[:TEXT_BYTES] if isinstance(value, bytes) else value for name, value in row.items()}
    assert_same(on_device(TOGETHER), fitting)


def test_the_input_of_the_model_is_a_row_of_raw_features() -> None:
    inputs = TransformRewriter(small_table().graph, PROBLEM).inputs
    assert list(inputs) == sorted(PROBLEM.features.columns)
    assert {name for name, each in inputs.items() if each.as_bytes} == {"street", USER, "visit", "born"}
    assert inputs[USER].spec == tf.TensorSpec([1, TEXT_BYTES], tf.int32)
    assert inputs["city"].spec == tf.TensorSpec([1, 1], tf.string)
    assert inputs["age"].spec == tf.TensorSpec([1, 1], tf.int64)


# By column: its dtype, what a preprocessing of one's own might make of it, and what is said of that.
REFUSED: dict[str, tuple[tf.DType, Callable[[tf.Tensor], tf.Tensor], str]] = {
    "length (in letters)": (tf.string, tf.strings.length, "StringLength"),
    "joined": (tf.string, lambda text: tf.strings.to_hash_bucket_fast(tf.strings.join([text, "!"]), 5), "StringJoin"),
    "strong": (tf.string, lambda text: tf.strings.to_hash_bucket_strong(text, 5, [1, 2]), "StringToHashBucketStrong"),
    "itself": (tf.string, lambda text: text, "a string as a transformed feature"),
    "zeros": (
        tf.string,
        lambda text: hashed(text) + tf.cast(tf.equal(tf.zeros_like(text), text), tf.int64),
        "ZerosLike of strings that are also hashed",
    ),
    "chosen": (tf.string, lambda text: hashed(tf.where(tf.equal(text, "a"), text, "b")), "SelectV2 of strings"),
    "constant": (
        tf.string,
        lambda text: hashed(text) + hashed(tf.constant([["a"]])),
        "StringToHashBucketFast of a computed string",
    ),
    "two": (
        tf.int64,
        lambda whole: tf.cast(tf.equal(tf.strings.as_string(whole), tf.strings.as_string(whole + 1)), tf.int64),
        "Equal of two computed strings",
    ),
    "tenth": (
        tf.float32,
        lambda number: tf.cast(tf.equal(tf.cast(number, tf.float64), tf.constant(0.1, tf.float64)), tf.int64),
        "Equal of float64",
    ),
    "bound": (
        tf.float32,
        lambda number: tf.searchsorted(tf.constant([[0.7]], tf.float64), tf.cast(number, tf.float64), side="right"),
        "UpperBound of float64",
    ),
    "rounded": (tf.int64, lambda whole: tf.cast(tf.cast(whole, tf.float64), tf.int32), "Cast of float64 to int32"),
    "difference": (tf.int64, lambda whole: tf.cast(whole, tf.float64) - 1.6e9, "Sub of float64"),
    "decimal": (
        tf.float32,
        lambda number: tf.strings.to_hash_bucket_fast(tf.strings.as_string(number), 5),
        "AsString of float32",
    ),
    "padded": (
        tf.int64,
        lambda whole: tf.strings.to_hash_bucket_fast(tf.strings.as_string(whole, width=9), 5),
        "AsString of int64, or to a fixed width",
    ),
    "tenths": (tf.int64, lambda whole: remainder(whole, 0.1), "FloorMod of int64 by 0.1 in float64"),
    "large": (tf.int64, lambda whole: remainder(whole, 7.0), "FloorMod of int64 by 7.0 in float64"),
    "third": (tf.float32, lambda number: remainder(number, 0.3), "FloorMod of float32 by 0.3 in float64"),
    "modulus": (
        tf.float32,
        lambda number: tf.math.floormod(number, tf.abs(number) + 1),
        "FloorMod by a computed number",
    ),
    "ratio": (tf.int64, lambda whole: whole // (whole + 7), "FloorDiv of int64 by a computed or negative number"),
    "pairs": (
        tf.string,
        lambda text: tf.cast(tf.io.decode_raw(text, tf.int16, fixed_length=2)[:, 0], tf.int64),
        "DecodePaddedRaw to other types than bytes",
    ),
    "double": (tf.float32, lambda number: tf.exp(tf.cast(number, tf.float64)), "Exp of float64"),
}
REFUSED_SPARSE: dict[str, tuple[tf.DType, Callable[[tf.SparseTensor], tf.Tensor], str]] = {
    "zero": (tf.float32, tf.sparse.to_dense, "SparseToDense with the default 0.0, not nan"),
    "count": (tf.float32, lambda column: tf.sparse.reduce_sum(column, axis=1), "SparseReduceSum"),
    "place": (
        tf.float32,
        lambda column: column.indices[:, 1:],
        "an operator that reads the indices of a sparse column",
    ),
}


# Operators that look unsupported but are not.
EXPRESSED: dict[str, tuple[tf.DType, Callable[[tf.Tensor], tf.Tensor]]] = {
    "nested": (tf.string, lambda text: hashed(tf.strings.as_string(hashed(text)))),
    "reversed": (tf.string, lambda text: hashed(text) + 10 * tf.cast(tf.equal("a", text), tf.int64)),
    "days": (tf.int64, lambda whole: whole // 86_400),
    "first byte": (
        tf.string,
        lambda text: tf.cast(tf.io.decode_raw(text, tf.uint8, fixed_length=9)[:, 0, :1], tf.int64),
    ),
    "written": (tf.int64, lambda whole: tf.cast(tf.not_equal(tf.strings.as_string(whole), "1"), tf.int64)),
}


@settings(max_examples=60, deadline=None)
@given(
    number=st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-(10**7), 10**7),
    divisor=st.sampled_from([1, 7, 1000, 86_400, 86_400 * 10**9]) | st.integers(1, 2**62),
)
def test_int64_is_divided_exactly(number: int, divisor: int) -> None:
    assert _quotient(tf.constant([[number]], tf.int64), divisor).numpy().tolist() == [[number // divisor]]


def hashed(text: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_hash_bucket_fast(text, 5)


def remainder(values: tf.Tensor, period: float) -> tf.Tensor:
    return tf.math.floormod(tf.cast(values, tf.float64), tf.constant(period, tf.float64))


def storable(values: tf.Tensor) -> tf.Tensor:
    """In a shape and a dtype that an Example has."""
    dtype = {tf.float64: tf.float32, tf.int32: tf.int64}.get(values.dtype, values.dtype)
    return values if dtype == tf.string else tf.reshape(tf.cast(values, dtype), [-1, 1])


@pytest.fixture(scope="module")
def refused_graph(tmp_path_factory: pytest.TempPathFactory) -> tft.TFTransformOutput:
    """A saved Transform graph with one feature for each thing that is refused, or looks like it."""
    folder = tmp_path_factory.mktemp("refused")
    dtypes = {name: dtype for name, (dtype, *_) in (REFUSED | REFUSED_SPARSE | EXPRESSED).items()}
    metadata = tft.DatasetMetadata.from_feature_spec({name: tf.io.VarLenFeature(each) for name, each in dtypes.items()})

    def preprocess(raw: dict[str, tf.SparseTensor]) -> dict[str, tf.Tensor]:
        dense = {name: make(as_column(raw[name])) for name, (_, make, *_) in (REFUSED | EXPRESSED).items()}
        sparse = {name: make(raw[name]) for name, (_, make, _) in REFUSED_SPARSE.items()}
        return {tensor_name(name): storable(made) for name, made in (dense | sparse).items()}

    row = {name: [dtype.as_numpy_dtype(1) if dtype.is_numeric else "a"] for name, dtype in dtypes.items()}
    with beam.Pipeline(runner=FnApiRunner()) as pipeline, tft_beam.Context(temp_dir=str(folder / "temporary")):
        raw = pipeline | beam.Create([row], reshuffle=False)
        graph = (raw, metadata) | tft_beam.AnalyzeDataset(preprocess)
        _ = graph | tft_beam.WriteTransformFn(str(folder / "graph"))
        _ = metadata | tft_beam.WriteMetadata(str(folder / "graph/metadata"), pipeline)
    return tft.TFTransformOutput(str(folder / "graph"))


def tensor_name(column: str) -> str:
    return Features(dense={column: Dense()}).tensor_name("dense", column)


@pytest.mark.parametrize("name", [*REFUSED, *REFUSED_SPARSE])
def test_an_unsupported_operator_is_reported_with_its_feature(refused_graph: tft.TFTransformOutput, name: str) -> None:
    problem = dataclasses.replace(PROBLEM, features=Features(dense={name: Dense()}))
    with pytest.raises(RewriteError) as caught:
        TransformRewriter(refused_graph, problem).concrete_function()
    text = str(caught.value)
    assert text.startswith(f"feature '{name}_dense': TFLite's builtin operators cannot express ")
    assert (REFUSED | REFUSED_SPARSE)[name][2] in text
    assert text.endswith("; remove the feature, or set tflite.enabled to false")
    assert reason(caught.value) == text  # what a run shows


@pytest.mark.parametrize("name", EXPRESSED)
def test_operators_that_look_unsupported_keep_their_values(refused_graph: tft.TFTransformOutput, name: str) -> None:
    dtype, make = EXPRESSED[name]
    problem = dataclasses.replace(PROBLEM, features=Features(dense={name: Dense()}))
    rewriter = TransformRewriter(refused_graph, problem)
    function, [feature] = rewriter.concrete_function(), rewriter.features
    for value in ["a", "b", "東京"] if dtype == tf.string else [1, 2, -1]:
        found = function(**{tensor_name(name).removesuffix("_dense"): tf.constant(encode(value, feature))})
        [found] = found.values()
        assert found.numpy().tolist() == make(tf.constant([[value]], dtype)).numpy().tolist()
