import pytest
from pydantic import TypeAdapter, ValidationError

from models.training_settings import Network, Training
from pipeline.config.errors import unknown_name
from pipeline.config.pydantic_errors import describe


def failure(record: type, text: str) -> ValidationError:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(record).validate_json(text)
    return error.value


@pytest.mark.parametrize(
    ("found", "known", "line"),
    [
        ("stpes", ["steps", "seed"], "key: unknown name 'stpes'; allowed: seed, steps; did you mean 'steps'?"),
        ("zzz", ["steps", "seed"], "key: unknown name 'zzz'; allowed: seed, steps"),
        ("zzz", [], "key: unknown name 'zzz'; allowed: none"),
    ],
)
def test_unknown_name_lists_the_allowed_names_and_suggests_a_near_one(found: str, known: list[str], line: str) -> None:
    assert unknown_name("key", "name", found, known) == line


def test_long_list_of_names_is_cut_to_the_nearest() -> None:
    known = [f"option_{number}" for number in range(200)]
    line = unknown_name("key", "option", "option_77x", known)
    assert line.startswith("key: unknown option 'option_77x'; allowed: option_77, ")
    assert line.endswith(" (and 190 more); did you mean 'option_77'?")


def test_key_follows_the_prefix_of_its_record() -> None:
    error = failure(Training, '{"steps": "x"}')
    assert describe(error, Training).startswith("steps: found 'x'")
    assert describe(error, Training, "training").startswith("training.steps: found 'x'")


def test_union_branches_are_not_part_of_the_key() -> None:
    error = failure(Network, '{"hyperparameters": {"dropout": [1]}}')
    assert describe(error, Network).startswith("hyperparameters.dropout: found [1] (list)")


def test_long_value_is_truncated() -> None:
    line = describe(failure(Training, '{"steps": "' + "x" * 5000 + '"}'), Training)
    assert "xxx... (str)" in line
    assert len(line) < 150
