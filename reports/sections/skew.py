"""SkewGuard's comparison of serving with training."""

from artifacts.nodes.skew import SkewReport, read_skew_report
from reports.section import Section
from reports.source import Source


def read(source: Source) -> SkewReport:
    """Reads the report of SkewGuard.

    Raises:
        MissingError: SkewGuard did not finish, or its folder no longer exists.
    """
    return read_skew_report(source.path("SkewGuard", "report"))


SECTION = Section("skew", "Training-serving skew", read, absent="Not checked")
