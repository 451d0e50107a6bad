from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.results.ablation import next_step


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ({"leak", "redundant"}, "leave what is too good to be true out of the features in a.yaml, then run"),
        ({"redundant", "noise"}, "leave noise and one redundant column out of the features in a.yaml, then run"),
        ({"noise", "useful"}, "leave noise out of the features in a.yaml"),
        ({"useful"}, "python local_runner.py --config a.yaml"),
    ],
)
def test_redundant_columns_are_left_out_one_at_a_time(verdicts: set[str], said: str) -> None:
    report: Any = SimpleNamespace(having=lambda verdict: [verdict] if verdict in verdicts else [])
    assert next_step(report, "a.yaml").startswith(said)
