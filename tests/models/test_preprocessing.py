import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from small_table import (
    BINARY,
    CODE,
    COLOURS,
    EVERY_KIND,
    EXACT,
    PAINT,
    PLAIN,
    RATIO,
    REGRESSION,
    TAIL,
    USER,
    small_table,
)

from models.preprocessing import preprocessing_fn
from models.problem.categories import Crossed, Hashed, Integer, Vocabulary
from models.problem.dates import Date
from models.problem.features import Features
from models.problem.kinds import FEATURE_KINDS, KINDS, Kind
from models.problem.label import Above, Label
from models.problem.lists import Numbers, Tags, Text
from models.problem.numbers import Bucketed, Cyclical, Dense, Difference, Missing, Ratio
from models.problem.problem import Problem
from models.transforms.columns import as_column
from models.transforms.crosses import FACTOR, PRIME, TEXT_BUCKETS
from models.transforms.kinds import NUMERIC_KINDS, SIZES, TRANSFORMS, categorical_sizes

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
MANY = settings(max_examples=30, deadline=None)
floats = st.none() | st.floats(width=32) | st.sampled_from([3.4e38, -3.4e38, 1e-40, -0.0, 0.0])
integers = st.none() | st.integers(INT64_MIN, INT64_MAX) | st.integers(-10, 80)


def texts(*known: str) -> st.SearchStrategy[Any]:
    return st.none() | st.sampled_from(known) | st.text(max_size=8) | st.binary(max_size=4)


def column_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=60)


def transformed(kind: Kind, column: str, values: Sequence[Any]) -> np.ndarray[Any, Any]:
    return small_table().transform([{column: value} for value in values])[EVERY_KIND.tensor_name(kind, column)]


def as_float(value: Any) -> float:
    """The number, or NaN for a missing value."""
    missing = value is None or value == INT64_MIN
    number = np.float32(math.nan if missing else value)
    return float(number) if np.isfinite(number) else math.nan


def analyzed_numbers(column: str) -> np.ndarray[Any, Any]:
    numbers = np.array([as_float(row[column]) for row in small_table().rows])
    return np.sort(numbers[~np.isnan(numbers)])


def as_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def hash_bucket(value: Any, buckets: int) -> int:
    return int(tf.strings.to_hash_bucket_fast(as_bytes(value), buckets))


def z_score(numbers: np.ndarray[Any, Any], analyzed: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (numbers - analyzed.mean()) / analyzed.std()


def z_score_of_logarithm(numbers: np.ndarray[Any, Any], analyzed: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return z_score(np.sign(numbers) * np.log1p(np.abs(numbers)), np.sign(analyzed) * np.log1p(np.abs(analyzed)))


def min_max(numbers: np.ndarray[Any, Any], analyzed: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (numbers - analyzed.min()) / (analyzed.max() - analyzed.min())


def unscaled(numbers: np.ndarray[Any, Any], analyzed: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return numbers


@pytest.mark.parametrize(
    ("column", "values", "scale"),
    [
        ("gain", floats, z_score),
        (TAIL, floats, z_score_of_logarithm),
        ("age", integers, z_score),
        (RATIO, floats, min_max),
        (PLAIN, floats, unscaled),
    ],
)
@MANY
@given(data=st.data())
def test_dense_is_scaled_over_the_analyzed_rows_and_zero_if_missing(
    column: str, values: st.SearchStrategy[Any], scale: Callable[..., Any], data: st.DataObject
) -> None:
    raw = data.draw(column_of(values))
    numbers = np.array([as_float(value) for value in raw])
    with np.errstate(over="ignore"):
        expected = np.nan_to_num(scale(numbers, analyzed_numbers(column)), nan=0.0)
    found = transformed("dense", column, raw)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("column", "values"), [("gain", floats), ("share", floats), ("age", integers)])
@MANY
@given(data=st.data())
def test_bucketed_is_the_quantile_plus_one_and_zero_if_missing(
    column: str, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    analyzed = analyzed_numbers(column)
    buckets = EVERY_KIND.bucketed[column].buckets
    raw = data.draw(column_of(values | st.sampled_from([row[column] for row in small_table().rows])))
    numbers = np.array([as_float(value) for value in raw])
    ranks = len(analyzed) * np.arange(1, buckets) / buckets
    # A quantile of a finite sample lies between two neighbouring values.
    least = 1 + np.searchsorted(analyzed[np.ceil(ranks).astype(int) + 1], numbers, side="right")
    most = 1 + np.searchsorted(analyzed[np.floor(ranks).astype(int) - 2], numbers, side="right")
    found = transformed("bucketed", column, raw)[:, 0]
    missing = np.isnan(numbers)
    assert (found[missing] == 0).all()
    assert ((least <= found) & (found <= most))[~missing].all()


@pytest.mark.parametrize("column", ["month", "age"])
@MANY
@given(raw=column_of(integers | st.sampled_from([0, 1, 12, 13, -3, -2, 60, 61])))
def test_integer_is_an_index_in_its_range_with_one_index_for_the_rest(column: str, raw: list[int | None]) -> None:
    spec = EVERY_KIND.integer[column]

    def expected(value: int | None) -> int:
        if value is None or value == INT64_MIN:
            return 0
        return value - spec.min + 1 if spec.min <= value <= spec.max else spec.max - spec.min + 2

    found = transformed("integer", column, raw)
    assert found[:, 0].tolist() == [expected(value) for value in raw]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("city", texts("Zürich", "東京", "Bern", "  ", "Genf", "Chur", "bern", "")),
        ("street", texts("a", "b", "c", "d")),
        (PAINT, texts(*COLOURS)),
        (CODE, integers | st.sampled_from([7, -3, 12])),
    ],
)
@MANY
@given(data=st.data())
def test_vocabulary_is_the_rank_by_frequency_or_a_hash_bucket(
    column: str, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    raw = data.draw(column_of(values))
    spec = EVERY_KIND.vocabulary[column]
    missing = (None, "", b"", INT64_MIN)
    counts = Counter(as_bytes(row[column]) for row in small_table().rows if row[column] not in missing)
    ranked = [value for value, count in counts.most_common(spec.top_k) if count >= spec.min_frequency]

    def expected(value: Any) -> int:
        if value in missing:
            return 0
        text = as_bytes(value)
        rank = ranked.index(text) if text in ranked else len(ranked) + hash_bucket(text, spec.oov_buckets)
        return rank + 1

    found = transformed("vocabulary", column, raw)
    assert found[:, 0].tolist() == [expected(value) for value in raw]


@pytest.mark.parametrize(
    ("column", "values"), [(USER, texts("user 1", "Jürgen", "")), (CODE, integers | st.just(INT64_MIN))]
)
@MANY
@given(data=st.data())
def test_hashed_is_the_hash_bucket_plus_one_and_zero_if_missing(
    column: str, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    raw = data.draw(column_of(values))
    buckets = EVERY_KIND.hashed[column].buckets
    missing = (None, "", b"", INT64_MIN)
    expected = [0 if value in missing else 1 + hash_bucket(value, buckets) for value in raw]
    assert transformed("hashed", column, raw)[:, 0].tolist() == expected


@pytest.mark.parametrize(("column", "values"), [("month", integers), (PLAIN, floats)])
@MANY
@given(data=st.data())
def test_cyclical_is_on_the_unit_circle_or_at_its_centre_if_missing(
    column: str, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    raw = data.draw(column_of(values))
    found = transformed("cyclical", column, raw)
    period = EVERY_KIND.cyclical[column].period

    def expected(value: Any) -> tuple[float, float]:
        if value is None or value == INT64_MIN or not math.isfinite(value):
            return 0.0, 0.0
        # Integers are divided as integers: a float64 cannot hold the largest.
        remainder = value % int(period) if isinstance(value, int) else value % period
        angle = 2 * math.pi * remainder / period
        return math.sin(angle), math.cos(angle)

    np.testing.assert_allclose(found, [expected(value) for value in raw], atol=1e-6)


def rows_of(**columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=40)


def transformed_rows(kind: Kind, name: str, rows: Sequence[Any]) -> np.ndarray[Any, Any]:
    return small_table().transform(rows)[EVERY_KIND.tensor_name(kind, name)]


normal_floats = (
    st.none() | st.floats(-1e6, 1e6, width=32, allow_subnormal=False) | st.sampled_from([0.0, -0.0, math.nan])
)


def quotient(row: Any) -> float:
    """The ratio of the gain and the share, or NaN."""
    gain, share = np.float32(as_float(row["gain"])), np.float32(as_float(row["share"]))
    with np.errstate(all="ignore"):
        found = float(gain / share)
    return found if math.isfinite(found) else math.nan


@MANY
@given(rows=rows_of(gain=normal_floats, share=normal_floats))
def test_a_ratio_is_scaled_like_a_number_and_missing_after_a_division_by_zero(rows: list[dict[str, Any]]) -> None:
    analyzed = np.array([quotient(row) for row in small_table().rows])
    found = transformed_rows("ratio", "gain per share", rows)[:, 0]
    quotients = np.array([quotient(row) for row in rows])
    expected = np.nan_to_num(z_score(quotients, analyzed[~np.isnan(analyzed)]), nan=0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_ratio_by_zero_equals_a_missing_one() -> None:
    rows = [{"gain": gain, "share": share} for gain, share in [(2.0, 0.0), (0.0, -0.0), (None, 2.0), (2.0, None)]]
    assert transformed_rows("ratio", "gain per share", rows).tolist() == [[0.0]] * 4
    assert transformed_rows("ratio", "age", [{"age": -24, "month": 3}]) == pytest.approx(-math.log1p(8))


@MANY
@given(rows=rows_of(gain=normal_floats, age=integers))
def test_a_difference_is_scaled_like_a_number(rows: list[dict[str, Any]]) -> None:
    def gap(row: Any) -> float:
        return float(np.float32(as_float(row["gain"])) - np.float32(as_float(row["age"])))

    analyzed = np.array([gap(row) for row in small_table().rows])
    found = transformed_rows("difference", "gain - age", rows)[:, 0]
    expected = np.nan_to_num(z_score(np.array([gap(row) for row in rows]), analyzed[~np.isnan(analyzed)]), nan=0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("age", "code"), [(2**62 + 7, 2**62), (1_700_000_000_007, 1_700_000_000_000)])
def test_integers_are_subtracted_before_they_are_rounded(age: int, code: int) -> None:
    rows = [{"age": age, CODE: code}, {"age": 7, CODE: 0}]
    large, small = transformed_rows("difference", "age - code", rows)
    assert large == small != 0


def test_a_difference_of_integers_does_not_wrap_around() -> None:
    [[found]] = transformed_rows("difference", "age - code", [{"age": 2**63 - 1, CODE: -(2**63) + 1}])
    assert found > 1e16


@pytest.mark.parametrize(
    ("column", "known", "missing"),
    [
        ("gain", [0.0, -1e30], [None, math.nan, math.inf]),
        ("age", [0, INT64_MAX], [None, INT64_MIN]),
        ("city", ["x", " "], [None, ""]),
        (USER, [b"\xff"], [None, b""]),
    ],
)
def test_missing_is_one_where_there_is_no_value(column: str, known: list[Any], missing: list[Any]) -> None:
    assert transformed("missing", column, known).tolist() == [[0.0]] * len(known)
    assert transformed("missing", column, missing).tolist() == [[1.0]] * len(missing)


@MANY
@given(rows=rows_of(share=floats, street=texts("a", "b", "c", "d"), month=integers))
def test_an_exact_cross_numbers_the_combinations_of_the_indices(rows: list[dict[str, Any]]) -> None:
    columns = small_table().transform(rows)
    indexed: list[tuple[Kind, str]] = [("bucketed", "share"), ("vocabulary", "street"), ("integer", "month")]
    share, street, month = (columns[EVERY_KIND.tensor_name(*each)] for each in indexed)
    expected = (share * (3 + 4 + 1) + street) * (12 + 2) + month
    np.testing.assert_array_equal(columns[EVERY_KIND.tensor_name("crossed", EXACT)], expected)


@MANY
@given(rows=rows_of(**{USER: texts("user 1", "user 2"), CODE: integers, "gain": floats}))
def test_a_hashed_cross_is_a_polynomial_of_the_values(rows: list[dict[str, Any]]) -> None:
    buckets = small_table().transform(rows)[EVERY_KIND.tensor_name("bucketed", "gain")][:, 0].tolist()

    def expected(row: dict[str, Any], bucket: int) -> int:
        user, code = row[USER], row[CODE]
        first = 0 if user in (None, "", b"") else 1 + hash_bucket(user, TEXT_BUCKETS)
        second = 0 if code in (None, INT64_MIN) else 1 + code % (PRIME - 1)
        if first == second == bucket == 0:
            return 0
        return 1 + ((first * FACTOR + second) % PRIME * FACTOR + bucket) % PRIME % 97

    found = transformed_rows("crossed", "of values", rows)[:, 0].tolist()
    assert found == [expected(row, bucket) for row, bucket in zip(rows, buckets, strict=True)]


def test_hashed_crosses_spread_over_the_buckets() -> None:
    buckets = 4096
    features = Features(crossed={"a b": Crossed(columns=("a", "b"), buckets=buckets)})
    problem = Problem(task="regression", label=Label(name="y", column="y", scale="none"), features=features)
    pairs = [(a, b) for a in range(64) for b in range(64)]
    inputs = {
        "a": tf.constant([[f"word {a}"] for a, _ in pairs]),
        "b": tf.constant([[b] for _, b in pairs], tf.int64),
        "y": tf.zeros([len(pairs), 1]),
    }
    [name] = features.outputs
    found = preprocessing_fn(inputs, {"problem": problem.to_config()})[name].numpy()
    # Random hashes leave a fraction of 1 / e of the buckets empty.
    assert len(np.unique(found)) > 0.6 * buckets
    assert found.min() >= 1
    assert found.max() <= buckets


def test_the_largest_integers_keep_their_remainder() -> None:
    large = [2**62 + 5, 2**63 - 1, -(2**62) - 7]
    near = [number % 12 for number in large]
    np.testing.assert_array_equal(transformed("cyclical", "month", large), transformed("cyclical", "month", near))


def test_cyclical_repeats_after_a_period() -> None:
    january = transformed("cyclical", "month", [1, 13, 25])
    np.testing.assert_allclose(january, np.repeat(january[:1], 3, axis=0), atol=1e-5)


@MANY
@given(data=st.data())
def test_every_index_is_below_the_categorical_size(data: st.DataObject) -> None:
    by_dtype: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(["age", CODE, "month", "seen at", "due"], integers)
    by_dtype |= {"gain": floats, "share": floats}
    by_dtype |= {"marks": st.lists(st.integers(-10, 80)), "readings": st.lists(st.floats(width=32))}
    row = {
        name: by_dtype.get(name, texts(*COLOURS, "a", "nice size"))
        for name in EVERY_KIND.columns
        if name not in (PLAIN, RATIO, TAIL)
    }
    columns = small_table().transform(data.draw(st.lists(st.fixed_dictionaries(row), min_size=1, max_size=5)))
    sizes = categorical_sizes(EVERY_KIND, small_table().graph)
    assert sorted(sizes) == sorted(name for name in columns if name.rpartition("_")[2] in _INDEXED + _SEVERAL)
    for name, size in sizes.items():
        assert columns[name].min() >= 0, name
        assert columns[name].max() < size, name


def test_a_value_does_not_depend_on_its_position_in_the_batch() -> None:
    rows = small_table().rows[:37]
    together = small_table().transform(rows)
    for index, row in enumerate(rows):
        for name, column in small_table().transform([row]).items():
            assert column.tobytes() == together[name][index : index + 1].tobytes(), name


_INDEXED = ("bucketed", "integer", "vocabulary", "hashed", "crossed")
_SEVERAL = ("text", "tags")


@pytest.mark.parametrize(
    ("kind", "column", "size"),
    [
        ("bucketed", "share", 1 + 4),
        ("integer", "month", 1 + 12 + 1),
        ("vocabulary", "city", 1 + 6 + 1),
        ("vocabulary", "street", 1 + 3 + 4),
        ("vocabulary", PAINT, 1 + 2 + 1),
        ("hashed", USER, 1 + 50),
        ("crossed", EXACT, (1 + 4) * (1 + 3 + 4) * (1 + 12 + 1)),
        ("crossed", "of values", 1 + 97),
        ("text", USER, 1 + 20),
        ("tags", "genres", 1 + 3 + 1),
        ("tags", "likes", 1 + 3 + 2),
        ("tags", "marks", 1 + 9),
    ],
)
def test_sizes_count_missing_known_and_unknown_values(kind: Kind, column: str, size: int) -> None:
    assert categorical_sizes(EVERY_KIND, small_table().graph)[EVERY_KIND.tensor_name(kind, column)] == size


@pytest.mark.parametrize(
    ("kind", "dtype", "width"),
    [
        *[(kind, np.float32, 1) for kind in ("dense", "ratio", "difference", "missing")],
        ("cyclical", np.float32, 2),
        *[(kind, np.int64, 1) for kind in _INDEXED],
    ],
)
def test_shapes_and_dtypes_of_each_kind(kind: Kind, dtype: type, width: int) -> None:
    columns = small_table().transform(small_table().rows[:5])
    for name in getattr(EVERY_KIND, kind):
        column = columns[EVERY_KIND.tensor_name(kind, name)]
        assert (column.dtype, column.shape) == (dtype, (5, width))


@pytest.mark.parametrize(
    ("dtype", "values", "missing"),
    [
        (tf.float32, [1.5, None, 2.5], math.nan),
        (tf.int64, [1, None, -2], INT64_MIN),
        (tf.string, [b"a", None, b"b"], b""),
    ],
)
def test_an_absent_value_equals_the_placeholder_in_a_dense_column(
    dtype: tf.DType, values: list[Any], missing: Any
) -> None:
    dense = tf.constant([[missing if value is None else value] for value in values], dtype)
    np.testing.assert_array_equal(as_column(sparse(values, dtype)), dense)
    np.testing.assert_array_equal(as_column(dense), dense)


@pytest.mark.parametrize("rows", [0, 3])
def test_a_column_without_any_value_keeps_its_rows(rows: int) -> None:
    assert as_column(sparse([None] * rows, tf.float32)).shape == (rows, 1)


def sparse(values: Sequence[Any], dtype: tf.DType) -> tf.SparseTensor:
    """What parsing a ``VarLenFeature`` returns."""
    present = [index for index, value in enumerate(values) if value is not None]
    indices = np.array([[index, 0] for index in present], np.int64).reshape(-1, 2)
    known = tf.constant([values[index] for index in present], dtype)
    return tf.SparseTensor(indices, known, [len(values), 1 if present else 0])


def label_of(problem: Problem, **columns: tf.Tensor | tf.SparseTensor) -> np.ndarray[Any, Any]:
    inputs = {"feature": tf.zeros([len(next(iter(columns.values()))), 1]), **columns}
    outputs = preprocessing_fn(inputs, {"problem": problem.to_config()})
    label: np.ndarray[Any, Any] = outputs[problem.label.name].numpy()
    return label


def problem_of(task: str, **label: Any) -> Problem:
    features = Features(dense={"feature": Dense(scale="none")})
    return Problem(task=task, label=Label(name="label", **label), features=features)  # type: ignore[arg-type]


# TensorFlow flushes subnormal numbers to zero.
known_floats = st.floats(width=32, allow_nan=False, allow_subnormal=False)


@MANY
@given(values=st.lists(known_floats, min_size=1), threshold=known_floats.filter(math.isfinite))
def test_label_above_a_value(values: list[float], threshold: float) -> None:
    problem = problem_of("binary", column="tips", above=Above(value=threshold))
    found = label_of(problem, tips=tf.constant(values)[:, tf.newaxis])
    assert found.dtype == np.int64
    assert found[:, 0].tolist() == [int(value > threshold) for value in values]


@MANY
@given(
    rows=st.lists(st.tuples(known_floats, st.integers(-1000, 1000)), min_size=1),
    fraction=st.floats(-4, 4, width=32, allow_subnormal=False),
)
def test_label_above_a_fraction_of_another_column(rows: list[tuple[float, int]], fraction: float) -> None:
    problem = problem_of("binary", column="tips", above=Above(fraction=fraction, of="fare"))
    tips, fares = (np.array(column)[:, np.newaxis] for column in zip(*rows, strict=True))
    found = label_of(problem, tips=tf.constant(tips, tf.float32), fare=tf.constant(fares, tf.int64))
    expected = tips.astype(np.float32) > np.float32(fraction) * fares.astype(np.float32)
    np.testing.assert_array_equal(found, expected.astype(np.int64))


@MANY
@given(values=st.lists(st.sampled_from(["ja", "nein", "weiß nicht", "JA", ""]) | st.text(max_size=3), min_size=1))
def test_label_classes_from_strings(values: list[str]) -> None:
    names = ("nein", "ja", "weiß nicht")
    found = label_of(
        problem_of("multiclass", column="answer", classes=names), answer=tf.constant(values)[:, tf.newaxis]
    )
    assert found.dtype == np.int64
    assert found[:, 0].tolist() == [names.index(value) if value in names else -1 for value in values]


@MANY
@given(values=st.lists(st.sampled_from([3, 1, 2]) | st.integers(INT64_MIN, INT64_MAX), min_size=1))
def test_label_classes_from_integers(values: list[int]) -> None:
    names = ("3", "1", "2")
    problem = problem_of("multiclass", column="answer", classes=names)
    found = label_of(problem, answer=tf.constant(values, tf.int64)[:, tf.newaxis])
    assert found[:, 0].tolist() == [names.index(str(value)) if str(value) in names else -1 for value in values]


@pytest.mark.parametrize(
    ("names", "values", "dtype", "classes"),
    [
        (("-1", "+1"), [-1, 1, 0, INT64_MIN], tf.int64, [0, 1, -1, -1]),
        (("-1", "1"), [-1.0, 1.0, 0.5, math.nan], tf.float32, [0, 1, -1, -1]),
        (("0.1", "0.5"), [0.1, 0.5, 0.0], tf.float32, [0, 1, -1]),
        (("true", "false"), [1, 0, 2], tf.int64, [0, 1, -1]),
        (("false", "true"), [0.0, 1.0, 2.0], tf.float32, [0, 1, -1]),
        (("false", "true"), ["True", "FALSE", "true", "tRUE", ""], tf.string, [1, 0, 1, -1, -1]),
        (("0.0", "1.0"), [1, 0], tf.int64, [1, 0]),
        ((str(2**53), str(2**53 + 1)), [2**53 + 1, 2**53], tf.int64, [1, 0]),
    ],
)
def test_label_classes_from_other_types(
    names: tuple[str, ...], values: list[Any], dtype: tf.DType, classes: list[int]
) -> None:
    problem = problem_of("multiclass", column="answer", classes=names)
    assert label_of(problem, answer=tf.constant(values, dtype)[:, tf.newaxis])[:, 0].tolist() == classes


@pytest.mark.parametrize("dtype", [tf.int64, tf.float32])
def test_a_plain_binary_label_is_unchanged(dtype: tf.DType) -> None:
    found = label_of(problem_of("binary", column="answer"), answer=tf.constant([[0], [1], [1]], dtype))
    assert found.dtype == np.int64
    assert found.tolist() == [[0], [1], [1]]


@pytest.mark.parametrize("dtype", [tf.int64, tf.float32])
def test_a_regression_label_is_unchanged(dtype: tf.DType) -> None:
    found = label_of(problem_of("regression", column="price", scale="none"), price=tf.constant([[-3], [250]], dtype))
    assert found.dtype == np.float32
    assert found.tolist() == [[-3.0], [250.0]]


def test_the_label_is_in_the_same_graph_as_the_features() -> None:
    columns = small_table().transform([{"amount": amount} for amount in (49.0, 50.0, 51.0)])
    assert columns[BINARY.label.name].tolist() == [[0], [0], [1]]
    assert columns[REGRESSION.label.name].tolist() == [[49.0], [50.0], [51.0]]


@pytest.mark.parametrize(
    ("features", "column"),
    [
        (Features(integer={"x": Integer(min=0, max=3)}), "x_integer"),
        (Features(hashed={"x": Hashed(buckets=9)}), "x_hashed"),
        (Features(cyclical={"x": Cyclical(period=7)}), "x_cyclical"),
        (Features(dense={"x": Dense(scale="none")}), "x_dense"),
        (Features(ratio={"x": Ratio(numerator="x", denominator="two", scale="none")}), "x_ratio"),
        (Features(difference={"x": Difference(of="x", minus="one", scale="none")}), "x_difference"),
        (Features(crossed={"x": Crossed(columns=("x", "none"), buckets=9)}), "x_crossed"),
    ],
)
def test_missing_is_the_same_in_sparse_and_in_dense_columns(features: Features, column: str) -> None:
    problem = Problem(task="regression", label=Label(name="y", column="y", scale="none"), features=features)
    config = {"problem": problem.to_config()}
    others = {
        "y": tf.zeros([2, 1]),
        "one": tf.ones([2, 1], tf.int64),
        "two": tf.fill([2, 1], 2.0),
        "none": tf.constant([["x"], [""]]),
    }
    from_sparse = preprocessing_fn({**others, "x": sparse([2, None], tf.int64)}, config)[column]
    from_dense = preprocessing_fn({**others, "x": tf.constant([[2], [INT64_MIN]], tf.int64)}, config)[column]
    np.testing.assert_array_equal(from_sparse, from_dense)
    assert (from_dense.numpy()[1] == 0).all()
    assert (from_dense.numpy()[0] != 0).any()


def test_every_kind_has_a_transform_and_every_categorical_kind_a_size() -> None:
    assert tuple(TRANSFORMS) == tuple(FEATURE_KINDS) == KINDS
    assert set(SIZES) == {kind for kind, spec in FEATURE_KINDS.items() if spec.is_categorical}
    assert set(NUMERIC_KINDS) < set(KINDS)


def test_every_kind_is_in_the_table() -> None:
    specs = {Bucketed, Crossed, Cyclical, Date, Dense, Difference, Hashed, Integer, Missing, Ratio, Vocabulary}
    specs |= {Numbers, Tags, Text}
    assert {type(getattr(EVERY_KIND, kind)[column]) for kind, column in EVERY_KIND} == specs
