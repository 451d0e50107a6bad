import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from models.problem.categories import Crossed, Hashed, Integer, Vocabulary
from models.problem.features import Features, transformed_name
from models.problem.kinds import KINDS
from models.problem.label import Above, Label
from models.problem.numbers import Bucketed, Cyclical, Dense, Difference, Missing, Ratio
from models.problem.problem import Problem

names = st.text(min_size=1, max_size=6).map("c_{}".format)
numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(1, 10**6)
SPECS: dict[str, st.SearchStrategy[Any]] = {
    "dense": st.builds(Dense, scale=st.sampled_from(["z_score", "min_max", "none"]), log=st.booleans()),
    "bucketed": st.builds(Bucketed, buckets=st.integers(2, 1000)),
    "integer": st.builds(Integer, min=st.integers(-100, 0), max=st.integers(1, 100)),
    "vocabulary": st.builds(Vocabulary, top_k=st.none() | counts, min_frequency=counts, oov_buckets=counts),
    "hashed": st.builds(Hashed, buckets=st.integers(2, 1000)),
    "cyclical": st.builds(Cyclical, period=st.floats(0.001, 1e9) | st.integers(1, 366)),
    "ratio": st.builds(Ratio, numerator=names, denominator=st.just("answers"), log=st.booleans()),
    "difference": st.builds(Difference, of=names, minus=st.just("answers"), log=st.booleans()),
    "missing": st.just(Missing()),
    "crossed": st.builds(
        Crossed, columns=st.lists(names, min_size=2, max_size=3, unique=True).map(tuple), buckets=st.integers(2, 1000)
    ),
}
features = st.builds(Features, **{kind: st.dictionaries(names, spec, max_size=3) for kind, spec in SPECS.items()})
above = st.builds(Above, value=numbers) | st.builds(Above, fraction=numbers, of=names)
classes = st.lists(st.text(max_size=5), min_size=3, max_size=5, unique=True).map(tuple)
labels = {
    "regression": st.builds(Label, name=st.just("y"), column=st.just("answer")),
    "binary": st.builds(Label, name=st.just("y"), column=st.just("answer"), above=st.none() | above),
    "multiclass": st.builds(Label, name=st.just("y"), column=st.just("answer"), classes=classes),
}
problems = st.sampled_from(sorted(labels)).flatmap(
    lambda task: st.builds(
        Problem, task=st.just(task), label=labels[task], features=features.filter(lambda found: bool(found.columns))
    )
)

ONE = Features(dense={"x": Dense()})
PLAIN = Label(name="y", column="answer")


@settings(deadline=None)
@given(problem=problems)
def test_a_problem_survives_json(problem: Problem) -> None:
    assert Problem.from_config(json.loads(json.dumps(problem.to_config()))) == problem


@settings(deadline=None)
@given(declared=features)
def test_features_iterate_in_the_order_of_the_kinds(declared: Features) -> None:
    pairs = list(declared)
    assert pairs == [(kind, name) for kind in KINDS for name in getattr(declared, kind)]
    assert sorted(declared.columns) == sorted({column for each in pairs for column in declared.raw_columns(*each)})


def test_a_column_used_in_two_kinds_has_a_name_for_each() -> None:
    both = Features(dense={"fare": Dense()}, bucketed={"fare": Bucketed(buckets=3)})
    assert both.columns == ("fare",)
    assert [transformed_name(kind, column) for kind, column in both] == ["fare_dense", "fare_bucketed"]


def test_the_last_word_of_a_features_name_is_its_kind() -> None:
    assert [kind for kind in KINDS if "_" in kind] == []  # otherwise two features could have the same name


def test_columns_of_named_features_are_counted_once() -> None:
    declared = Features(
        missing={"fare": Missing()},
        ratio={"fare": Ratio(numerator="fare", denominator="miles")},
        difference={"fare": Difference(of="fare", minus="tips")},
        crossed={"fare": Crossed(columns=("city", "fare", "day"), buckets=9)},
    )
    assert declared.columns == ("fare", "miles", "tips", "city", "day")
    assert set(declared.tensor_names) == set(declared.columns)
    assert sorted(declared.outputs) == ["fare_crossed", "fare_difference", "fare_missing", "fare_ratio"]


def test_features_and_label_have_different_names_in_tensorflow() -> None:
    declared = Features(dense={"a": Dense(), "a_dense": Dense(), "A": Dense(), "a b": Dense()})
    assert len({name.lower() for name in declared.transformed_names}) == 4
    assert list(declared.transformed_names.values()) == ["a_dense", "a_dense_dense", "A_dense", "a b_dense"]
    problem = Problem(task="binary", label=Label(name="x_dense", column="answer"), features=ONE)
    assert problem.label_tensor.startswith("x_dense_")
    assert problem.transformed_names == {"x_dense": "x_dense", problem.label_tensor: "x_dense"}
    assert Problem(task="binary", label=PLAIN, features=ONE).label_tensor == PLAIN.name


def test_label_columns_include_the_one_in_its_threshold() -> None:
    assert PLAIN.columns == ("answer",)
    assert Label(name="y", column="tips", above=Above(value=1.0)).columns == ("tips",)
    assert Label(name="y", column="tips", above=Above(fraction=0.2, of="fare")).columns == ("tips", "fare")


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (["No", "Yes"], ("No", "Yes")),
        ([False, True], ("false", "true")),
        ([0, 1], ("0", "1")),
        ([-1.0, 0.5], ("-1.0", "0.5")),
    ],
)
def test_classes_may_be_what_yaml_reads_as_booleans_and_numbers(classes: list[Any], names: tuple[str, ...]) -> None:
    document = json.dumps({"name": "y", "column": "answer", "classes": classes})
    assert TypeAdapter(Label).validate_json(document).classes == names


@pytest.mark.parametrize(
    ("task", "label", "names"),
    [
        ("regression", PLAIN, ()),
        ("binary", PLAIN, ("0", "1")),
        ("binary", Label(name="y", column="answer", classes=("no", "yes")), ("no", "yes")),
        ("multiclass", Label(name="y", column="answer", classes=("a", "b", "c")), ("a", "b", "c")),
    ],
)
def test_class_names_by_index(task: Any, label: Label, names: tuple[str, ...]) -> None:
    assert Problem(task=task, label=label, features=ONE).class_names == names


@pytest.mark.parametrize(
    ("record", "arguments", "reason"),
    [
        (Dense, {"scale": "zscore"}, "z_score"),
        (Dense, {"log": 1}, "bool"),
        (Dense, {"scales": "none"}, "scales"),
        (Bucketed, {"buckets": 1}, "2"),
        (Bucketed, {"buckets": "10"}, "integer"),
        (Hashed, {"buckets": 1}, "2"),
        (Vocabulary, {"top_k": 0}, "1"),
        (Vocabulary, {"oov_buckets": 0}, "1"),
        (Integer, {"min": 3, "max": 3}, "'min' must be below 'max'; found 3 and 3"),
        (Integer, {"min": 0, "max": 100_000}, "more than 100,000 values; use 'hashed' or 'bucketed'"),
        (Ratio, {"numerator": "x", "denominator": "x"}, "found the column 'x' twice; expected different columns"),
        (Difference, {"of": "x", "minus": "x"}, "found the column 'x' twice"),
        (Difference, {"of": "x"}, "minus"),
        (Crossed, {"columns": ("x", "y", "x")}, "found the column 'x' twice"),
        (Crossed, {"columns": ("x",)}, "at least 2 items"),
        (Crossed, {"columns": ("x", "y"), "buckets": 1}, "2"),
        (Missing, {"column": "x"}, "column"),
        (Cyclical, {"period": 0}, "greater than 0"),
        (Cyclical, {"period": float("inf")}, "finite"),
        (Above, {}, "'value', or 'fraction' together with 'of'"),
        (Above, {"value": 1.0, "fraction": 0.5, "of": "x"}, "'value', or 'fraction' together with 'of'"),
        (Above, {"fraction": 0.5}, "'value', or 'fraction' together with 'of'"),
        (Above, {"value": 1.0, "of": "x"}, "'value', or 'fraction' together with 'of'"),
        (Label, {"name": "y", "column": "answer", "classes": ("only",)}, "2"),
    ],
)
def test_a_record_rejects_invalid_values(record: Any, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        record(**arguments)


@pytest.mark.parametrize(
    ("task", "label", "declared", "reason"),
    [
        ("binary", PLAIN, Features(), "features: found none; expected at least one"),
        ("binary", PLAIN, Features(dense={"answer": Dense()}), "found 'answer', the column of the label; remove"),
        (
            "binary",
            PLAIN,
            Features(crossed={"a x b": Crossed(columns=("x", "answer"), buckets=9)}),
            "features.crossed.a x b: found 'answer', the column of the label",
        ),
        (
            "binary",
            Label(name="y", column="a", above=Above(fraction=0.5, of="a")),
            ONE,
            "of: found 'a', the column of the label",
        ),
        (
            "regression",
            Label(name="y", column="answer", classes=("a", "b")),
            ONE,
            "for a regression; remove them",
        ),
        (
            "regression",
            Label(name="y", column="answer", above=Above(value=1.0)),
            ONE,
            "for a regression; remove them",
        ),
        ("multiclass", PLAIN, ONE, "label.classes: missing"),
        (
            "multiclass",
            Label(name="y", column="answer", classes=("a", "b"), above=Above(value=1.0)),
            ONE,
            "label.above: found task 'multiclass'; expected 'binary'",
        ),
        (
            "binary",
            Label(name="y", column="answer", classes=("a", "b", "c")),
            ONE,
            "found 3 names; expected two for a binary task",
        ),
        ("binary", Label(name="y", column="answer", classes=("a", "a")), ONE, "found a duplicate name"),
        ("ranking", PLAIN, ONE, "binary"),
    ],
)
def test_an_invalid_problem_is_rejected(task: Any, label: Label, declared: Features, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Problem(task=task, label=label, features=declared)
