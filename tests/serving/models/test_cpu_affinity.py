import os
import threading

import pytest

from serving.models.cpu_affinity import all_cpus, run_on_one_cpu

ALL = os.sched_getaffinity(os.getpid())


def test_threads_that_are_started_share_one_cpu_and_may_have_all_for_a_while() -> None:
    found: dict[str, set[int]] = {}

    def work() -> None:
        inner = threading.Thread(target=look)
        inner.start()
        inner.join()

    def look() -> None:
        found["before"] = os.sched_getaffinity(0)
        with all_cpus():
            found["spread"] = os.sched_getaffinity(0)
        found["after"] = os.sched_getaffinity(0)

    run_on_one_cpu(work)
    assert len(found["before"]) == 1
    assert found["spread"] == ALL
    assert found["after"] == found["before"]
    assert os.sched_getaffinity(0) == ALL


def test_what_goes_wrong_is_told() -> None:
    with pytest.raises(ZeroDivisionError):
        run_on_one_cpu(lambda: 1 / 0)


def test_cpus_that_cannot_be_had_are_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_thread: int, _cpus: set[int]) -> None:
        raise PermissionError("no")

    done: list[int] = []
    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    run_on_one_cpu(lambda: done.append(1))
    assert done == [1]
