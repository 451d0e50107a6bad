import os
import threading

import pytest

from serving.models.cpu_affinity import all_cpus, run_on_one_cpu

ALL = os.sched_getaffinity(os.getpid())


def test_started_threads_share_one_cpu_and_can_use_all_temporarily() -> None:
    affinities: dict[str, set[int]] = {}

    def work() -> None:
        inner = threading.Thread(target=record)
        inner.start()
        inner.join()

    def record() -> None:
        affinities["before"] = os.sched_getaffinity(0)
        with all_cpus():
            affinities["inside"] = os.sched_getaffinity(0)
        affinities["after"] = os.sched_getaffinity(0)

    run_on_one_cpu(work)
    assert len(affinities["before"]) == 1
    assert affinities["inside"] == ALL
    assert affinities["after"] == affinities["before"]
    assert os.sched_getaffinity(0) == ALL


def test_exception_is_raised_in_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        run_on_one_cpu(lambda: 1 / 0)


def test_failure_to_set_the_affinity_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(_thread: int, _cpus: set[int]) -> None:
        raise PermissionError("not permitted")

    calls: list[int] = []
    monkeypatch.setattr(os, "sched_setaffinity", reject)
    run_on_one_cpu(lambda: calls.append(1))
    assert calls == [1]
