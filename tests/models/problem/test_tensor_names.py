import keyword
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.problem.tensor_names import tensor_names

WORDS = ["Mass", "mass", "MASS", "a b", "a.b", "a_b", "1st", "class", "self", "_x", "", "x" * 128, "x" * 129, "东京"]
names = st.lists(st.sampled_from(WORDS) | st.text(max_size=12), unique=True)


@given(names=names, random=st.randoms(use_true_random=False))
def test_names_fit_tensorflow_differ_in_more_than_case_and_do_not_depend_on_order(
    names: list[str], random: object
) -> None:
    found = tensor_names(names)
    assert list(found) == names
    assert len({each.lower() for each in found.values()}) == len(names)
    for each in found.values():
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,127}", each)
        assert not keyword.iskeyword(each)
        assert each != "self"
    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert tensor_names(shuffled) == found


@pytest.mark.parametrize("name", ["trip_miles", "Fare2", "x" * 128, "examples", "inputs", "Mass"])
def test_a_name_that_fits_is_kept(name: str) -> None:
    assert tensor_names([name, "other name"])[name] == name


def test_a_replaced_name_shows_the_column_and_is_the_same_in_every_version() -> None:
    # Names in models that were trained earlier. They must never change.
    assert tensor_names(["Größe (cm)", "1stFlrSF", "class", "mass", "Mass"]) == {
        "Größe (cm)": "Gr_e_cm_519f0ee9",
        "1stFlrSF": "column_1stFlrSF_00b1c19f",
        "class": "class_e30c5a67",
        "mass": "mass_18594b5c",
        "Mass": "Mass",
    }


def test_a_column_that_has_the_replaced_name_of_another_keeps_it() -> None:
    [replaced] = tensor_names(["a b"]).values()
    both = tensor_names(["a b", replaced.upper()])
    assert both[replaced.upper()] == replaced.upper()
    assert both["a b"].startswith("a_b_")
    assert both["a b"] != replaced


def test_a_name_that_is_taken_is_replaced() -> None:
    assert tensor_names(["fare", "tips"], taken=["Fare"])["fare"].startswith("fare_")
