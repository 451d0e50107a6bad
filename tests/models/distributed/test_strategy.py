from typing import Any

import pytest
import tensorflow as tf

from models.distributed import strategy
from models.distributed.strategy import make_strategy, needs_static_shapes, resolve_strategy
from models.distributed.task import SINGLE_PROCESS, Task
from models.training_settings import StrategyName

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
def test_the_strategy_of_one_process_suits_its_devices(name: StrategyName, expected: str) -> None:
    assert type(make_strategy(name, SINGLE_PROCESS)).__name__ == expected


@pytest.mark.parametrize(
    ("task", "found", "expected"),
    [
        (Task({**CLUSTER, "ps": ["d:1"]}), {}, "parameter_server"),
        (Task(CLUSTER), {}, "multi_worker"),
        (SINGLE_PROCESS, {"TPU_NAME": "local"}, "tpu"),
        (SINGLE_PROCESS, {"GPU": 2}, "mirrored"),
        (SINGLE_PROCESS, {"GPU": 1}, "one_device"),
        (SINGLE_PROCESS, {}, "one_device"),
    ],
)
def test_auto_depends_on_the_cluster_and_the_devices(
    monkeypatch: pytest.MonkeyPatch, task: Task, found: dict[str, Any], expected: StrategyName
) -> None:
    if "TPU_NAME" in found:
        monkeypatch.setenv("TPU_NAME", found["TPU_NAME"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a device"] * found.get(kind, 0))
    assert resolve_strategy("auto", task) == expected


def test_a_missing_tpu_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"strategy: found 'tpu', but neither TPU_NAME nor one of"):
        make_strategy("tpu", SINGLE_PROCESS)


def test_a_tpu_that_does_not_respond_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TPU_NAME", "local")
    with pytest.raises(ValueError, match=r"cannot use the TPU 'local': .*; expected one that responds"):
        make_strategy("tpu", SINGLE_PROCESS)


def test_parameter_servers_need_a_cluster() -> None:
    with pytest.raises(ValueError, match="TF_CONFIG has no chief, worker, ps; expected"):
        make_strategy("parameter_server", SINGLE_PROCESS)


def test_only_a_tpu_needs_batches_of_equal_size() -> None:
    assert not needs_static_shapes(tf.distribute.MirroredStrategy())
    assert needs_static_shapes(tf.distribute.TPUStrategy.__new__(tf.distribute.TPUStrategy))
