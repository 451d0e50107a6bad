import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorflow_serving.apis import model_pb2

from serving.errors import Code, ServingError
from serving.models.manager import ModelManager
from serving.models.model_config import ModelConfig
from serving.models.servable import Servable
from serving.models.versions import Retries, State

TINY = model_pb2.ModelSpec(name="tiny")


class Loaded:
    """Stands for a version in memory; only its life is looked at."""

    def close(self) -> None:
        """Frees nothing."""


def manager_of(load: Callable[[], object], retries: int = 0, seconds: float = 0.0) -> ModelManager:
    def loaded(_name: str, _version: int, _path: Path) -> Servable:
        load()
        return Loaded()  # type: ignore[return-value]

    return ModelManager(loaded, Retries(retries, seconds))


def state(manager: ModelManager, number: int = 1) -> int:
    return manager.statuses(TINY)[number].state


def wait_for(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not check():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def config(tmp_path: Path) -> ModelConfig:
    (tmp_path / "1").mkdir()
    return ModelConfig(name="tiny", base_path=str(tmp_path))


def test_a_version_that_is_wanted_again_while_it_is_unloaded_comes_back_without_another_look(
    config: ModelConfig,
) -> None:
    loads: list[float] = []
    manager = manager_of(lambda: loads.append(time.monotonic()))
    manager.configure([config])
    assert manager.wait_available(["tiny"])
    with manager.servable(TINY):
        manager.configure([])
        assert state(manager) == State.UNLOADING
        manager.configure([config])
        assert state(manager) == State.UNLOADING, "a request still uses it"
        with pytest.raises(ServingError), manager.servable(TINY):
            pass
    assert manager.wait_available(["tiny"])
    assert len(loads) == 2


def test_a_version_that_was_given_up_unwanted_is_tried_when_it_is_wanted_again(config: ModelConfig) -> None:
    begun, go_on = threading.Event(), threading.Event()
    tries: list[int] = []

    def load() -> None:
        tries.append(1)
        if len(tries) == 1:
            begun.set()
            go_on.wait(10)
            raise ServingError(Code.UNAVAILABLE, "not yet")

    manager = manager_of(load, retries=3, seconds=10)
    manager.configure([config])
    assert begun.wait(10)
    manager.configure([])
    go_on.set()
    wait_for(lambda: state(manager) == State.END)
    assert len(tries) == 1, "what nobody wants is not tried again"
    manager.configure([config])
    assert manager.wait_available(["tiny"])


def test_a_version_that_cannot_be_loaded_is_tried_as_often_as_told_and_then_says_why(config: ModelConfig) -> None:
    times: list[float] = []

    def load() -> None:
        times.append(time.monotonic())
        raise ServingError(Code.DATA_LOSS, "half a file\nand its trace")

    manager = manager_of(load, retries=2, seconds=0.25)
    manager.configure([config])
    assert not manager.wait_available(["tiny"])
    assert len(times) == 3
    assert all(later - earlier >= 0.25 for earlier, later in itertools.pairwise(times))
    ended = manager.statuses(TINY)[1]
    assert (ended.state, ended.error.code if ended.error else None) == (State.END, Code.DATA_LOSS)
    assert manager.failures(["tiny"]) == "tiny/1: half a file"
    manager.poll()
    time.sleep(0.05)
    assert len(times) == 3, "another look is not another try"


def test_a_version_goes_through_the_states_in_their_order(config: ModelConfig) -> None:
    go_on = threading.Event()
    manager = manager_of(lambda: go_on.wait(10))
    manager.configure([config])
    wait_for(lambda: state(manager) == State.LOADING)
    go_on.set()
    assert manager.wait_available(["tiny"])
    assert state(manager) == State.AVAILABLE
    with manager.servable(TINY):
        manager.configure([])
        assert state(manager) == State.UNLOADING
    wait_for(lambda: state(manager) == State.END)


def test_who_waits_for_a_model_without_a_version_may_give_up(config: ModelConfig, tmp_path: Path) -> None:
    (tmp_path / "1").rmdir()
    manager = manager_of(lambda: None)
    manager.configure([config])
    gone = threading.Event()
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(manager.wait_available(["tiny"], lambda: not gone.is_set())))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    gone.set()
    manager.wake()
    waiting.join(10)
    assert found == [False]
    assert manager.failures(["tiny"]) == "tiny: no version was found"
