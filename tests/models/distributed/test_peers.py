import socket
import threading
import time
from pathlib import Path

import pytest

from models.distributed.peers import PortTakenError, listen, listening, meet, wait_for_chief
from models.distributed.task import Task


def cluster(*ports: int) -> dict[str, list[str]]:
    return {"worker": [f"127.0.0.1:{port}" for port in ports]}


def free_ports(count: int) -> list[int]:
    listening = [listen(0) for _ in range(count)]
    ports = [each.getsockname()[1] for each in listening]
    for each in listening:
        each.close()
    return ports


def test_processes_meet_whoever_comes_first() -> None:
    workers = cluster(*free_ports(2))
    tasks = [Task(workers, "worker", index) for index in range(2)]
    met: list[int] = []
    done = threading.Event()

    def process(index: int) -> None:
        meet(tasks[index], 20)
        with listening(tasks[index]):  # as TensorFlow's server does then
            met.append(index)
            done.wait(20)

    threads = [threading.Thread(target=process, args=(index,)) for index in range(2)]
    threads[0].start()
    threads[0].join(1)
    assert not met
    threads[1].start()
    end = time.monotonic() + 20
    while len(met) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    done.set()
    for each in threads:
        each.join()
    assert sorted(met) == [0, 1]


def test_those_that_do_not_come_are_named() -> None:
    port, other = free_ports(2)
    with pytest.raises(TimeoutError, match=f"TF_CONFIG: found no worker 1 at 127.0.0.1:{other} in 0 s; expected all"):
        meet(Task(cluster(port, other), "worker", 0), 0.2)


def test_a_port_that_another_process_has_on_any_interface_is_told() -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"^worker 0: the port of 127.0.0.1:{port} cannot be had .*in use"):
            meet(Task(cluster(port, port), "worker", 0), 1)


def test_an_address_without_a_port_is_told() -> None:
    with pytest.raises(PortTakenError, match="worker 0: the port of here cannot be had"):
        meet(Task({"worker": ["here", "there"]}, "worker", 0), 1)


def test_who_waits_for_a_chief_that_does_not_come_says_so(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="expected the chief to write it"):
        wait_for_chief(str(tmp_path / "model"), 0.1)
    (tmp_path / "model").touch()
    wait_for_chief(str(tmp_path / "model"), 0)
