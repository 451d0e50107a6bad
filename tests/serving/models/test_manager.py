import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from server_process import wait_for_stack
from tensorflow_serving.apis import model_pb2

from serving.errors import Code, ServingError
from serving.models.manager import ModelManager
from serving.models.model_config import ModelConfig
from serving.models.servable import Servable
from serving.models.versions import Retries, State

TINY = model_pb2.ModelSpec(name="tiny")


class Loaded:
    """A fake servable."""

    def close(self) -> None:
        """Does nothing."""


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


def test_version_wanted_again_during_unloading_is_loaded_without_another_poll(
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
        assert state(manager) == State.UNLOADING, "a request is still using it"
        with pytest.raises(ServingError), manager.servable(TINY):
            pass
    assert manager.wait_available(["tiny"])
    assert len(loads) == 2


def test_abandoned_version_is_loaded_when_wanted_again(config: ModelConfig) -> None:
    started, proceed = threading.Event(), threading.Event()
    attempts: list[int] = []

    def load() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            started.set()
            proceed.wait(10)
            raise ServingError(Code.UNAVAILABLE, "not yet")

    manager = manager_of(load, retries=3, seconds=10)
    manager.configure([config])
    assert started.wait(10)
    manager.configure([])
    proceed.set()
    wait_for(lambda: state(manager) == State.END)
    assert len(attempts) == 1, "an unwanted version is not retried"
    manager.configure([config])
    assert manager.wait_available(["tiny"])


def test_loading_is_retried_and_the_last_error_kept(config: ModelConfig) -> None:
    times: list[float] = []

    def load() -> None:
        times.append(time.monotonic())
        raise ServingError(Code.DATA_LOSS, "half a file\nand a stack trace")

    manager = manager_of(load, retries=2, seconds=0.1)
    manager.configure([config])
    assert not manager.wait_available(["tiny"])
    assert len(times) == 3
    assert all(later - earlier >= 0.1 for earlier, later in itertools.pairwise(times))
    ended = manager.statuses(TINY)[1]
    assert (ended.state, ended.error.code if ended.error else None) == (State.END, Code.DATA_LOSS)
    assert manager.failures(["tiny"]) == "tiny/1: half a file"
    manager.poll()
    assert state(manager) == State.END
    assert len(times) == 3, "a poll does not retry"


def test_version_passes_through_all_states(config: ModelConfig) -> None:
    proceed = threading.Event()
    manager = manager_of(lambda: proceed.wait(10))
    manager.configure([config])
    wait_for(lambda: state(manager) == State.LOADING)
    proceed.set()
    assert manager.wait_available(["tiny"])
    assert state(manager) == State.AVAILABLE
    with manager.servable(TINY):
        manager.configure([])
        assert state(manager) == State.UNLOADING
    wait_for(lambda: state(manager) == State.END)


def test_waiting_for_a_model_without_a_version_can_be_abandoned(config: ModelConfig, tmp_path: Path) -> None:
    (tmp_path / "1").rmdir()
    manager = manager_of(lambda: None)
    manager.configure([config])
    gone = threading.Event()
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.append(manager.wait_available(["tiny"], lambda: not gone.is_set())))
    waiting.start()
    wait_for_stack("wait_available")
    gone.set()
    manager.wake()
    waiting.join(10)
    assert found == [False]
    assert manager.failures(["tiny"]) == "tiny: no version was found"
