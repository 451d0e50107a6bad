import json
from typing import Any

import pytest
import tensorflow as tf

from models import strategy
from models.settings import StrategyName
from models.strategy import ALONE, Task, make_strategy, needs_static_shapes, this_task, wait_for_chief

DEFAULT = "_DefaultDistributionStrategy"
CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


@pytest.fixture(autouse=True)
def _no_tpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.setattr(strategy, "TPU_DEVICES", ())


def test_a_process_of_its_own_is_the_chief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert this_task() == ALONE
    assert (ALONE.is_chief, ALONE.trainers) == (True, 1)


@pytest.mark.parametrize(
    ("cluster", "kind", "index", "said"),
    [
        (CLUSTER, "chief", 0, ("chief", True, 3)),
        (CLUSTER, "worker", 0, ("worker 0", False, 3)),
        ({"worker": ["a:1", "b:1"]}, "worker", 0, ("worker 0", True, 2)),
        ({"worker": ["a:1", "b:1"]}, "worker", 1, ("worker 1", False, 2)),
        ({**CLUSTER, "ps": ["d:1"]}, "worker", 0, ("worker 0", False, 2)),
    ],
)
def test_the_task_is_the_one_that_tf_config_says(
    monkeypatch: pytest.MonkeyPatch,
    cluster: dict[str, Any],
    kind: str,
    index: int,
    said: tuple[str, bool, int],
) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))
    task = this_task()
    assert (task.name, task.is_chief, task.trainers) == said


@pytest.mark.parametrize("text", ["{", "[]", '{"cluster": 3}', '{"cluster": {}, "task": {"index": "x"}}'])
def test_a_tf_config_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=r"TF_CONFIG: found .*; expected"):
        this_task()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("auto", "_DefaultDistributionStrategy"),
        ("one_device", "_DefaultDistributionStrategy"),
        ("mirrored", "MirroredStrategy"),
    ],
)
def test_one_process_has_a_strategy_for_its_devices(name: StrategyName, expected: str) -> None:
    assert type(make_strategy(name, ALONE)).__name__ == expected


@pytest.mark.parametrize(
    ("task", "found", "chosen"),
    [
        (Task({**CLUSTER, "ps": ["d:1"]}), {}, "parameter_server"),
        (Task(CLUSTER), {}, "multi_worker"),
        (ALONE, {"TPU_NAME": "local"}, "tpu"),
        (ALONE, {"GPU": 2}, "mirrored"),
        (ALONE, {"GPU": 1}, "one_device"),
        (ALONE, {}, "one_device"),
    ],
)
def test_auto_chooses_by_what_is_there(
    monkeypatch: pytest.MonkeyPatch, task: Task, found: dict[str, Any], chosen: StrategyName
) -> None:
    if "TPU_NAME" in found:
        monkeypatch.setenv("TPU_NAME", found["TPU_NAME"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a device"] * found.get(kind, 0))
    assert strategy._chosen(task) == chosen


def test_a_tpu_that_is_not_there_is_told() -> None:
    with pytest.raises(ValueError, match=r"strategy is 'tpu' and there is none: found no TPU_NAME and none of"):
        make_strategy("tpu", ALONE)


def test_a_tpu_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPU_NAME", "local")
    with pytest.raises(ValueError, match=r"the TPU 'local' cannot be used: .*; expected one that answers"):
        make_strategy("tpu", ALONE)


def test_parameter_servers_need_a_cluster() -> None:
    with pytest.raises(ValueError, match="TF_CONFIG has no chief, worker, ps; expected"):
        make_strategy("parameter_server", ALONE)


def test_only_a_tpu_needs_batches_of_one_size() -> None:
    assert not needs_static_shapes(tf.distribute.MirroredStrategy())


def test_who_waits_for_a_chief_that_does_not_come_says_so(tmp_path: Any) -> None:
    with pytest.raises(TimeoutError, match="expected the chief to write it"):
        wait_for_chief(str(tmp_path / "model"), 0.1)
    (tmp_path / "model").touch()
    wait_for_chief(str(tmp_path / "model"), 0)
