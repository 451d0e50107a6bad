from pathlib import Path
from typing import Any

import pytest
from tiny_problem import settings_file

from pipeline.config.errors import UserError
from pipeline.config.loading import load_config
from pipeline.preflight.eval_rows import check_eval_rows
from pipeline.preflight.labels import LabelSummary
from pipeline.preflight.table import CheckedTable


def check(folder: Path, classes: dict[str, int], policy: str, **settings: Any) -> list[str]:
    """Checks a table, given the rows of its classes, or the rows of a regression under the name of "all"."""
    given = {"evaluation.metrics": "[accuracy, auc]", "evaluation.thresholds": policy}
    given["evaluation.min_rows"] = "10"
    if "all" in classes:
        given |= {"task": "regression", "label": "{name: y, column: tips}", "evaluation.metrics": "[mae, mse]"}
    config = load_config(
        settings_file(folder), given | {key.replace("__", "."): value for key, value in settings.items()}
    )
    rows = sum(classes.values())
    labels = LabelSummary(rows, 0, {} if "all" in classes else classes, 0, (0.0, 1.0))
    return check_eval_rows(config, CheckedTable(rows, None, labels, test_rows=12))


BETTER = "[{metric: accuracy, better_than_trivial: 0.05}]"


@pytest.mark.parametrize(
    ("rows", "settings", "found"),
    [
        (20, {}, "found 40 rows, of which about 8 would be in the eval split; expected at least 10"),
        (5, {"evaluation__min_rows": "3"}, "about 2 would be in the eval split; expected at least 3"),
        (400, {"data__splits": "{train: 98, validation: 1, eval: 1}"}, "about 8 would"),
        (400, {"data__test_path": "test.csv", "evaluation__min_rows": "13"}, "about 12 would"),
    ],
)
def test_a_table_with_too_few_rows_to_evaluate_on_is_refused(
    tmp_path: Path, rows: int, settings: dict[str, Any], found: str
) -> None:
    with pytest.raises(UserError) as error:
        check(tmp_path, {"a": rows, "b": rows}, BETTER, **settings)
    assert found in str(error.value)


@pytest.mark.parametrize(
    ("classes", "policy", "found"),
    [
        ({"a": 100, "b": 100}, BETTER, "with about 40 rows in the eval split, accuracy is only known to ±0.15 (95%)"),
        ({"a": 100, "b": 100}, "[{metric: accuracy, min: 0.6}]", "but the margin over the trivial model is 0.1"),
        ({"a": 90, "b": 10}, "[{metric: auc, better_than_trivial: 0.2}]", "auc is only known to ±0.3"),
        ({"all": 200}, "[{metric: mae, better_than_trivial: 0.05}]", "mae is only known to ±0.23"),
        ({"all": 200}, "[{metric: mse, better_than_trivial: 0.05}]", "mse is only known to ±0.44"),
    ],
)
def test_a_margin_that_the_eval_split_cannot_tell_is_a_warning(
    tmp_path: Path, classes: dict[str, int], policy: str, found: str
) -> None:
    [warning] = check(tmp_path, classes, policy)
    assert warning.startswith("evaluation.thresholds.0: ")
    assert found in warning


@pytest.mark.parametrize(
    ("classes", "policy", "settings"),
    [
        ({"a": 3000, "b": 3000}, BETTER, {}),
        ({"a": 100, "b": 100}, "[{metric: auc, min: 0.9}]", {}),
        ({"a": 100, "b": 100}, "[{metric: accuracy, min: 0.3}, {metric: accuracy, min_change: 0}]", {}),
        ({"a": 3, "b": 3}, BETTER, {"data__split_column": "payment"}),  # its rows are not counted before the run
        ({"all": 20_000}, "[{metric: mse, better_than_trivial: 0.05}]", {}),
    ],
)
def test_enough_rows_are_no_warning(
    tmp_path: Path, classes: dict[str, int], policy: str, settings: dict[str, Any]
) -> None:
    assert check(tmp_path, classes, policy, **settings) == []
