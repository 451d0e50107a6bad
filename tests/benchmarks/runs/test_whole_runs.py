import sys

import pytest

from benchmarks.runs import __main__ as runs


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--rounds", "0", "found '0'; expected a number of at least 1"),
        ("--starts", "-1", "found '-1'; expected a number of at least 0"),
        ("--copies", "1,x", "found '1,x'; expected numbers above 0"),
    ],
)
def test_numbers_that_would_fail_late_are_refused_first(
    option: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "_measure", pytest.fail)
    monkeypatch.setattr(runs, "measure_starts", pytest.fail)
    monkeypatch.setattr(sys, "argv", ["runs", f"{option}={value}"])
    with pytest.raises(SystemExit):
        runs.main()
    assert said in capsys.readouterr().err
