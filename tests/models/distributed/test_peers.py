import socket
import threading
import time
from pathlib import Path

import pytest

from models.distributed.peers import (
    PortTakenError,
    listen,
    listen_on_task_port,
    wait_for_chief,
    wait_for_peers,
    wait_until_reachable,
)
from models.distributed.task import Task


def cluster(*ports: int) -> dict[str, list[str]]:
    return {"worker": [f"127.0.0.1:{port}" for port in ports]}


def free_ports(count: int) -> list[int]:
    listeners = [listen(0) for _ in range(count)]
    ports = [each.getsockname()[1] for each in listeners]
    for each in listeners:
        each.close()
    return ports


def test_peers_wait_for_each_other_in_any_order() -> None:
    workers = cluster(*free_ports(2))
    tasks = [Task(workers, "worker", index) for index in range(2)]
    met: list[int] = []
    done = threading.Event()

    def process(index: int) -> None:
        wait_for_peers(tasks[index], 20)
        with listen_on_task_port(tasks[index]):  # as TensorFlow's server would
            met.append(index)
            done.wait(20)

    threads = [threading.Thread(target=process, args=(index,)) for index in range(2)]
    threads[0].start()
    wait_until_reachable([tasks[0]], 20)
    assert not met
    threads[1].start()
    end = time.monotonic() + 20
    while len(met) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    done.set()
    for each in threads:
        each.join()
    assert sorted(met) == [0, 1]


def test_a_timeout_names_the_peers_that_are_not_up() -> None:
    port, other = free_ports(2)
    with pytest.raises(
        TimeoutError, match=f"TF_CONFIG: cannot reach worker 1 at 127.0.0.1:{other} after 0 s; expected all"
    ):
        wait_for_peers(Task(cluster(port, other), "worker", 0), 0.2)


def test_a_port_that_is_taken_on_any_interface_is_an_error() -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"^worker 0: cannot listen on the port of 127.0.0.1:{port} .*in use"):
            wait_for_peers(Task(cluster(port, port), "worker", 0), 1)


def test_an_address_without_a_port_is_an_error() -> None:
    with pytest.raises(PortTakenError, match="worker 0: cannot listen on the port of here"):
        wait_for_peers(Task({"worker": ["here", "there"]}, "worker", 0), 1)


def test_waiting_for_the_chief_has_a_timeout(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="expected the chief to write it"):
        wait_for_chief(str(tmp_path / "model"), 0.1)
    (tmp_path / "model").touch()
    wait_for_chief(str(tmp_path / "model"), 0)
