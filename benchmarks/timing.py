"""Times two ways of doing the same, in turns, so that what else the machine does hits both."""

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 7


def medians(calls: Mapping[str, Callable[[int], object]], repeats: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of one call, by name.

    Args:
        calls: What to time; each is given the number of the repeat.
        repeats: Calls in a round.
        rounds: Rounds, in each of which every one has its turn.

    Returns:
        The median over the rounds of a round's median.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            found[name].append(statistics.median(_seconds(call, repeat) for repeat in range(repeats)))
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def _seconds(call: Callable[[int], object], repeat: int) -> float:
    start = time.perf_counter()
    call(repeat)
    return time.perf_counter() - start
