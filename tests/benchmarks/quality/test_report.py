import io

from rich.console import Console

from benchmarks.quality.__main__ import OURS, Result, print_report
from benchmarks.quality.rivals import RIVALS

SCORES = dict.fromkeys((OURS, *RIVALS), 0.5)
GOOD = Result("iris", 150, "multiclass", SCORES, dict.fromkeys(SCORES, 1.0), dict.fromkeys(RIVALS, "tie"))


def lines(*results: Result) -> list[str]:
    out = io.StringIO()
    print_report(results, Console(file=out, width=200))
    return out.getvalue().splitlines()


def test_an_error_stands_in_the_last_column() -> None:
    found = lines(GOOD, Result("ames", error="no rows"))
    header, good, bad = (next(line for line in found if word in line) for word in ("metric", "iris", "ames"))
    assert header.count("┃") == 9
    assert good.count("│") == bad.count("│") == 9
    assert "no rows" in bad
