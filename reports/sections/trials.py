"""The trials of a run's hyperparameter search."""

import dataclasses
from collections.abc import Sequence

from markupsafe import Markup

from artifacts.nodes.trials import Trial, read_trials
from reports.drawing import charts
from reports.section import Section
from reports.source import Source


@dataclasses.dataclass(frozen=True)
class Search:
    """The trials of the Tuner.

    Attributes:
        trials: Trials, best first.
        names: Names of the hyperparameters that were searched.
    """

    trials: tuple[Trial, ...]
    names: tuple[str, ...]


def read(source: Source) -> Search:
    """Reads the trials of a run.

    Raises:
        MissingError: The Tuner did not finish, or its folder no longer exists.
    """
    trials = read_trials(source.path("Tuner", "tuner_results"))
    return Search(trials, tuple(dict.fromkeys(name for each in trials for name in each.hyperparameters)))


def draw(search: Search) -> Sequence[Markup]:
    """Draws the score of each trial."""
    return [charts.trials(search.trials, "trials")] if any(each.score is not None for each in search.trials) else []


SECTION = Section("trials", "Hyperparameter trials", read, absent="No hyperparameter search", draw=draw)
