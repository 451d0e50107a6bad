"""What each column is worth, for a run of ``ablate``."""

from collections.abc import Sequence

from markupsafe import Markup

from artifacts.nodes.ablation import AblationReport, read_ablation
from reports.drawing import charts
from reports.section import Section
from reports.source import Source


def read(source: Source) -> AblationReport:
    """Reads the report of Ablation.

    Raises:
        MissingError: Ablation did not finish, or its folder no longer exists.
    """
    return read_ablation(source.path("Ablation", "report"))


def draw(report: AblationReport) -> Sequence[Markup]:
    """Draws the worth of the columns and of the groups. Those that leak would hide the others, which get their own."""
    columns = [each for each in report.worths if each.kind == "column"]
    groups = [each for each in report.worths if each.kind != "column"]
    others = [each for each in columns if each.verdict != "leak"]
    named = {
        "columns": columns,
        "columns that do not leak": others if len(others) < len(columns) else [],
        "groups": groups,
    }
    return [
        charts.worths(worths, report, f"Worth of {name}", f"ablation{place}")
        for place, (name, worths) in enumerate(named.items())
        if worths
    ]


SECTION = Section("ablation", "What each column is worth", read, absent="No result", draw=draw)
