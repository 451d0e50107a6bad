from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_table import A_FEW, BINARY, small_table

from artifacts.nodes.ablation import Estimate, Kind, Worth
from custom_components.ablation.associations import CORRELATED, Associations, named_groups
from custom_components.ablation.executor import Unit
from custom_components.ablation.verdicts import Measured, Scale, judge
from models.training.input import read_table
from models.training.weights import RowWeights

SCALE = Scale(Estimate(0.4, 0.38, 0.42), perfect=0.5, margin=0.01)


def around(value: float, half: float = 0.005) -> Estimate:
    return Estimate(value, value - half, value + half)


def measured(
    name: str,
    worth: Estimate,
    alone: Estimate | None,
    columns: tuple[str, ...] = (),
    kind: Kind = "column",
) -> Measured:
    return Measured(name, kind, columns or (name,), worth, alone, 0.9)


def judged(*given: Measured, scale: Scale = SCALE, **closest: tuple[str, float]) -> dict[str, Worth]:
    return {each.name: each for each in judge(given, scale, closest)}


@pytest.mark.parametrize(
    ("worth", "alone", "verdict"),
    [
        (around(0.05), around(0.2), "useful"),
        (around(0.004, 0.003), around(0.0), "useful"),
        (around(0.001), around(0.2), "redundant"),
        (around(0.001), around(0.02, 0.018), "noise"),  # alone it may be chance
        (around(0.001), around(0.006, 0.001), "noise"),  # alone it is within the margin
        (around(0.001), None, "unclear"),
        (around(0.001, 0.02), around(0.2), "unclear"),
        (around(-0.05), around(0.2), "harmful"),
        (around(-0.006, 0.003), around(0.0), "noise"),
    ],
)
def test_verdicts_of_one_column_beside_a_useful_one(worth: Estimate, alone: Estimate | None, verdict: str) -> None:
    found = judged(measured("fare", worth, alone), measured("miles", around(0.1), around(0.2)))
    assert found["fare"].verdict == verdict


def test_nothing_is_said_if_the_model_learned_nothing() -> None:
    scale = Scale(Estimate(0.001, -0.01, 0.012), 0.5, 0.0)
    found = judged(measured("fare", around(0.1), around(0.2)), scale=scale)
    assert (found["fare"].verdict, found["fare"].reason) == (
        "unclear",
        "the model with all columns is not better than a constant",
    )


def test_a_column_without_a_feature_of_its_own_is_not_said_to_have_a_wide_interval() -> None:
    found = judged(measured("fare", around(0.001), None), measured("miles", around(0.1), around(0.2)))
    assert found["fare"].reason == "leaving it out costs nothing, but no feature is computed from it alone"


def leak(worth: float, alone: float = 0.39, name: str = "refund") -> Measured:
    return measured(name, around(worth), around(alone))


@pytest.mark.parametrize(
    ("suspect", "other", "scale", "verdict"),
    [
        (leak(0.2), 0.05, SCALE, "leak"),
        (leak(0.2), 0.1, SCALE, "useful"),  # another is worth half as much
        (leak(0.2, alone=0.3), 0.0, SCALE, "useful"),  # alone it is far from all columns
        (leak(0.2), 0.05, Scale(SCALE.gain, 1.0, 0.01), "useful"),  # the model is far from perfect
        (leak(0.0, alone=0.495), 0.0, SCALE, "leak"),  # alone it is perfect
    ],
)
def test_a_leak_is_worth_far_more_than_any_other_column(
    suspect: Measured, other: float, scale: Scale, verdict: str
) -> None:
    found = judged(suspect, measured("fare", around(other), around(0.1)), scale=scale)
    assert found["refund"].verdict == verdict


def test_two_columns_that_repeat_a_leak_are_found_by_their_group() -> None:
    pair = ("refund", "returned")
    found = judged(
        leak(0.0),
        leak(0.0, name="returned"),
        measured("fare", around(0.05), around(0.1)),
        measured("refund + returned", around(0.2), around(0.39), pair, "correlated"),
        measured("money", around(0.21), around(0.3), ("refund", "fare"), "declared"),
    )
    assert {name for name, each in found.items() if each.verdict == "leak"} == {*pair, "refund + returned"}


def test_a_group_with_the_name_of_a_leak_is_not_a_leak() -> None:
    group = measured("refund", around(0.0), around(0.1), ("fare", "miles"), "declared")
    found = judge([leak(0.2), group], SCALE, {})
    assert [(each.kind, each.verdict) for each in found] == [("column", "leak"), ("declared", "redundant")]


def test_columns_come_before_groups_and_are_sorted_by_worth() -> None:
    found = judged(
        measured("both", around(0.3), None, ("a", "b"), "declared"),
        measured("a", around(0.0), around(0.2)),
        measured("b", around(0.1), around(0.2)),
        a=("b", 0.9),
        b=("a", 0.4),
    )
    assert list(found) == ["b", "a", "both"]
    assert (found["a"].partner, found["a"].association) == ("b", 0.9)
    assert found["b"].partner is None  # too weak
    assert "'b' has the same information" in found["a"].reason


def test_a_feature_of_two_columns_goes_with_either_and_belongs_to_none() -> None:
    features: Any = SimpleNamespace(origins={"x": ("a",), "y": ("b",), "x_y": ("a", "b")})
    unit = Unit("a", "column", ("a",))
    assert unit.features(features) == ["x", "x_y"]
    assert unit.other_features(features) == ["y", "x_y"]
    both = Unit("both", "declared", ("a", "b"))
    assert (both.features(features), both.other_features(features)) == (["x", "y", "x_y"], [])


def test_correlated_groups_have_no_weak_pair() -> None:
    table = small_table()
    associations = Associations(A_FEW, read_table(table.files, table.graph, BINARY, RowWeights()))
    strengths = {("a", "b"): 0.9, ("b", "c"): 0.85, ("a", "c"): 0.5, ("c", "d"): 0.1, ("a", "d"): 0.0, ("b", "d"): 0.0}
    associations._known.update(strengths)
    assert associations.groups(["a", "b", "c", "d"]) == [("a", "b")]
    assert associations.groups(["a"]) == []
    assert named_groups({}, [("a", "b")]) == {"a + b": ("a", "b")}
    assert associations.closest("a", ["a"]) is None


def test_associations_are_those_of_the_columns() -> None:
    table = small_table()
    associations = Associations(A_FEW, read_table(table.files, table.graph, BINARY, RowWeights()))
    assert associations.between("city", "gain") < CORRELATED
    assert associations.between("gain", "city") == associations.between("city", "gain")
    assert associations.between("city", "city") == pytest.approx(1.0)
    assert np.isfinite(associations.between("month", "share"))
