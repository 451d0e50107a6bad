import json
from typing import Any

import pytest

from models.distributed.task import SINGLE_PROCESS, Task, this_task

CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


def test_a_single_process_is_the_chief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert this_task() == SINGLE_PROCESS
    assert (SINGLE_PROCESS.is_chief, SINGLE_PROCESS.num_trainers) == (True, 1)


@pytest.mark.parametrize(
    ("cluster", "kind", "index", "expected"),
    [
        (CLUSTER, "chief", 0, ("chief", True, 3)),
        (CLUSTER, "worker", 0, ("worker 0", False, 3)),
        ({"worker": ["a:1", "b:1"]}, "worker", 0, ("worker 0", True, 2)),
        ({"worker": ["a:1", "b:1"]}, "worker", 1, ("worker 1", False, 2)),
        ({**CLUSTER, "ps": ["d:1"]}, "worker", 0, ("worker 0", False, 2)),
    ],
)
def test_the_task_is_read_from_tf_config(
    monkeypatch: pytest.MonkeyPatch,
    cluster: dict[str, Any],
    kind: str,
    index: int,
    expected: tuple[str, bool, int],
) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))
    task = this_task()
    assert (task.name, task.is_chief, task.num_trainers) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", '{"cluster": 3}', '{"cluster": {}, "task": {"index": "x"}}', '{"cluster": {"worker": 3}}'),
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "wurker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "evaluator": ["b:1"]}, "task": {"type": "evaluator", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}}',
    ],
)
def test_an_invalid_tf_config_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=r"TF_CONFIG: found .*; expected"):
        this_task()


def test_a_task_has_an_address_and_peers() -> None:
    task = Task(CLUSTER, "worker", 1)
    assert task.address == "c:1"
    assert [(each.name, each.address) for each in task.peers] == [("chief", "a:1"), ("worker 0", "b:1")]
    assert not SINGLE_PROCESS.peers


def test_reduction_servers_are_not_parameter_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = {"chief": ["a:1"], "worker": ["b:1"], "ps": ["c:1"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}}))
    assert this_task().is_coordinated
    monkeypatch.setenv("REDUCTION_SERVERS", "1")
    task = this_task()
    assert not task.is_coordinated
    assert ([peer.address for peer in task.peers], task.num_trainers, task.port) == (["a:1"], 2, 1)
