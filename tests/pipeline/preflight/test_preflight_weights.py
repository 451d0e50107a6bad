from pathlib import Path

import pytest
from tiny_problem import SCHEMA, settings_file

from pipeline.config.errors import ConfigError, UserError
from pipeline.config.loading import load_config
from pipeline.preflight.preflight import CheckedInputs, preflight

WEIGHTS = """
feature { name: "times" type: INT presence { min_fraction: 1 } }
feature { name: "share" type: FLOAT presence { min_fraction: 1 } float_domain { disallow_nan: true } }
feature { name: "some" type: INT presence { min_fraction: 0.9 } }
feature { name: "maybe" type: FLOAT presence { min_fraction: 1 } }
"""
SPLITS = "{train: 1, validation: 1, eval: 1}"


def check(folder: Path, column: str, weights: list[str], tips: list[str] | None = None) -> CheckedInputs:
    (folder / "table").mkdir(exist_ok=True)
    tips = tips or [str(number) for number in range(len(weights))]
    rows = "".join(f"{tip},10,cash,{weight}\n" for tip, weight in zip(tips, weights, strict=True))
    (folder / "table/a.csv").write_text(f"tips,fare,payment,{column}\n{rows}")
    path = settings_file(folder, (SCHEMA + WEIGHTS).encode())
    return preflight(
        load_config(path, {"data.weight_column": column, "data.splits": SPLITS}, data=str(folder / "table")), path
    )


@pytest.mark.parametrize(("column", "weights"), [("times", ["0", "1", "2"]), ("share", ["0", "0.5", "1e6"])])
def test_numbers_of_at_least_zero_are_weights(tmp_path: Path, column: str, weights: list[str]) -> None:
    assert check(tmp_path, column, weights * 10).table.rows == 30


@pytest.mark.parametrize(
    ("column", "weight", "found"),
    [
        ("times", "-1", "found the weight -1; expected a number of at least 0"),
        ("times", "", "found no weight; expected a number of at least 0"),
        ("share", "-0.5", "found the weight -0.5"),
        ("share", "nan", "found the weight nan"),
        ("share", "inf", "found the weight inf"),
    ],
)
def test_other_weights_are_refused_with_their_line(tmp_path: Path, column: str, weight: str, found: str) -> None:
    with pytest.raises(UserError) as error:
        check(tmp_path, column, ["1", "2", weight, "3"])
    assert str(error.value).startswith(f"{tmp_path / 'table/a.csv'}: line 4: column '{column}': {found}")


def test_weights_of_zero_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="column 'times': found only weights of 0"):
        check(tmp_path, "times", ["0", "0", "0"])


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("company", "the schema has type BYTES for 'company'; expected INT or FLOAT"),
        ("some", "the schema allows missing values in 'some'"),
        ("maybe", "the schema allows NaN in 'maybe'"),
        ("tims", "data.weight_column: unknown column of schema.pbtxt 'tims'"),
        ("tips", "data.weight_column: found 'tips', a column of the label"),
    ],
)
def test_columns_that_cannot_be_weights_are_refused(tmp_path: Path, column: str, found: str) -> None:
    with pytest.raises(ConfigError) as error:
        check(tmp_path, column, ["1", "2"])
    assert found in str(error.value)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"evaluation.weighted": "true"}, "evaluation.weighted: found true without data.weight_column"),
        ({"training.class_weights": "{rich: 2}"}, "training.class_weights.rich: unknown class 'rich'; allowed: 0, 1"),
        ({"training.class_weights": "{'1': 0}"}, "training.class_weights"),
        ({"training.class_weights": "even"}, "training.class_weights"),
    ],
)
def test_settings_of_weights_are_checked(tmp_path: Path, settings: dict[str, str], found: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(settings_file(tmp_path), settings)
    assert found in str(error.value)
