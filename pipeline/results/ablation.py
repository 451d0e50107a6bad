"""The result of an ablation as rows of a table."""

from collections.abc import Iterator, Sequence

from artifacts.nodes.ablation import AblationReport, Estimate

HEADER = ("left out", "worth", "alone", "", "why")


def title(report: AblationReport) -> str:
    """What was measured, in one line."""
    rows = report.rows["validation"]
    return (
        f"Worth in {report.metric} on {rows:,} validation rows, with 95% intervals over {report.repeats} seeds and the "
        f"rows; differences up to {number(report.margin)} count as nothing"
    )


def table_rows(report: AblationReport) -> Iterator[Sequence[str]]:
    """One row per column and group."""
    for each in report.worths:
        name = each.name if each.kind == "column" else f"{each.name} ({each.kind} group)"
        alone = number(each.alone.value) if each.alone else ""
        yield name, interval(each.worth), alone, each.said, each.reason


def headline(report: AblationReport) -> str:
    """The metric with all columns, compared with the trivial model."""
    return (
        f"{report.metric} {number(report.value)} with all columns, {number(report.trivial)} for a constant; "
        f"{report.trainings} trainings"
    )


def next_step(report: AblationReport, settings: str) -> str:
    """What to do about the result.

    Args:
        report: The result.
        settings: The settings file, quoted for a shell.
    """
    if report.having("leak"):
        return f"leave what is too good to be true out of the features in {settings}, then run ablate again"
    if report.having("redundant"):  # one at a time: it may be the others that repeat it
        return f"leave noise and one redundant column out of the features in {settings}, then run ablate again"
    if report.having("noise"):
        return f"leave noise out of the features in {settings}"
    return f"python local_runner.py --config {settings}"


def interval(estimate: Estimate) -> str:
    """An estimate with its interval.

    >>> interval(Estimate(0.25, 0.2, 0.3)), interval(Estimate(-12.5, -15, -10))
    ('+0.2500 (+0.2000 to +0.3000)', '-12.50 (-15.00 to -10.00)')
    """
    return f"{_signed(estimate.value)} ({_signed(estimate.low)} to {_signed(estimate.high)})"


def number(value: float) -> str:
    """A metric with four decimals, or four digits if it is large.

    >>> number(0.93125), number(1234.5678)
    ('0.9313', '1,235')
    """
    if abs(value) < 10:
        return f"{value:.4f}"
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:,.0f}"


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{number(abs(value))}"
