"""Times several functions in turn, so that other load on the machine affects all of them equally."""

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 7


def median_seconds(
    calls: Mapping[str, Callable[[int], object]], repeats: int, rounds: int = ROUNDS
) -> dict[str, float]:
    """Returns the median duration of one call in seconds, by name.

    Args:
        calls: Functions to time, by name. Each is called with the number of the repeat.
        repeats: Calls per function and round.
        rounds: Number of rounds. The functions take turns in each round.

    Returns:
        The median over all rounds of each round's median.
    """
    medians: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            medians[name].append(statistics.median(_seconds(call, repeat) for repeat in range(repeats)))
    return {name: statistics.median(seconds) for name, seconds in medians.items()}


def _seconds(call: Callable[[int], object], repeat: int) -> float:
    start = time.perf_counter()
    call(repeat)
    return time.perf_counter() - start
