from typing import Any

import pytest
import tensorflow as tf

from models.distributed import strategy
from models.distributed.strategy import chosen, make_strategy, needs_static_shapes
from models.distributed.task import ALONE, Task
from models.settings import StrategyName

CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


@pytest.fixture(autouse=True)
def _no_tpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.setattr(strategy, "TPU_DEVICES", ())


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
    ("task", "found", "expected"),
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
    monkeypatch: pytest.MonkeyPatch, task: Task, found: dict[str, Any], expected: StrategyName
) -> None:
    if "TPU_NAME" in found:
        monkeypatch.setenv("TPU_NAME", found["TPU_NAME"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a device"] * found.get(kind, 0))
    assert chosen("auto", task) == expected


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
    assert needs_static_shapes(tf.distribute.TPUStrategy.__new__(tf.distribute.TPUStrategy))
