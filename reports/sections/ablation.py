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
    """Draws the worth of the columns and of the groups."""
    columns = [each for each in report.worths if each.kind == "column"]
    groups = [each for each in report.worths if each.kind != "column"]
    named = (("columns", columns), ("groups", groups))
    return [charts.worths(worths, report, f"Worth of {name}", f"ablation-{name}") for name, worths in named if worths]


SECTION = Section("ablation", "What each column is worth", read, absent="No result", draw=draw)
