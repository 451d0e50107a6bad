"""A Flink cluster on this machine: one job manager and one task manager."""

import contextlib
import dataclasses
import functools
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import click
import yaml

from common.terminal import run_command
from pipeline.beam.flink import rest
from pipeline.beam.flink.addresses import HOST, free_port, is_listening, split_address
from pipeline.beam.flink.jar import java
from pipeline.beam.flink.process import EndedError, Process
from pipeline.config.errors import ConfigError

JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
START_SECONDS = 120.0
WAIT_SECONDS = 1.0
# In MB. Flink's scripts derive these from the memory of the complete process.
HEAP, OFF_HEAP, NETWORK, METASPACE = 1024, 128, 512, 512
MEMORY = {
    "task.heap.size": HEAP - 128,
    "framework.heap.size": 128,
    "task.off-heap.size": OFF_HEAP,
    "framework.off-heap.size": OFF_HEAP,
    "network.min": NETWORK,
    "network.max": NETWORK,
    "managed.size": 256,
    "jvm-metaspace.size": METASPACE,
    "jvm-overhead.min": 192,
    "jvm-overhead.max": 192,
}


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        address: ``host:port`` of the REST API.
        processes: The job manager and the task manager.
    """

    address: str
    processes: Sequence[Process]

    def wait(self) -> NoReturn:
        """Waits until one of the processes ends by itself.

        Raises:
            EndedError: A process has ended.
        """
        while True:
            for each in self.processes:
                if each.ends_within(WAIT_SECONDS):
                    raise EndedError(each.describe_end())


@contextlib.contextmanager
def running(port: int = 0, slots: int = 2) -> Iterator[Cluster]:
    """Runs a cluster on the loopback interface.

    Args:
        port: Port of the REST API. 0 picks a free one.
        slots: Task slots of the task manager.

    Raises:
        ConfigError: Java or Maven is missing.
        EndedError: The cluster does not start, or the port is taken.
    """
    address = f"{HOST}:{port or free_port()}"
    if is_listening(address):
        raise EndedError(f"--port: {address} is already in use; expected a free port")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flink")))
        (folder / "config.yaml").write_text(yaml.safe_dump(_settings(address, slots, folder)))
        processes = []
        for name, main in (("Flink's job manager", JOB_MANAGER), ("Flink's task manager", TASK_MANAGER)):
            process = Process(name, java(main, "--configDir", str(folder), megabytes=HEAP))
            stack.callback(process.close)
            processes.append(process)
            process.wait_for(functools.partial(_is_ready, address, main == TASK_MANAGER), START_SECONDS)
        yield Cluster(address, processes)


def _settings(address: str, slots: int, folder: Path) -> dict[str, str | int]:
    memory = {f"taskmanager.memory.{key}": f"{megabytes}m" for key, megabytes in MEMORY.items()}
    host_settings = ("jobmanager.rpc.address", "jobmanager.bind-host", "taskmanager.host", "taskmanager.bind-host")
    return {
        **dict.fromkeys((*host_settings, "rest.address", "rest.bind-address"), HOST),
        "rest.port": split_address(address)[1],
        "jobmanager.rpc.port": free_port(),
        "taskmanager.numberOfTaskSlots": slots,
        "taskmanager.cpu.cores": slots,
        "io.tmp.dirs": str(folder),
        # Per shuffle, and a TFX step has many of them. Flink's default is 512.
        "taskmanager.network.sort-shuffle.min-buffers": 64,
        **memory,
    }


def _is_ready(address: str, with_slots: bool) -> bool:
    try:
        found = rest.request_json(address, "/overview")
    except (OSError, ValueError):
        return False
    return bool(found["slots-total"]) or not with_slots


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8081,
    show_default=True,
    help="Port of the REST API and the web page.",
)
@click.option("--slots", type=click.IntRange(1), default=2, show_default=True, help="Task slots.")
def main(port: int, slots: int) -> None:
    """Run a Flink cluster on this machine until you press Ctrl-C."""
    for stop in (signal.SIGINT, signal.SIGTERM):  # background jobs of a shell ignore Ctrl-C by default
        signal.signal(stop, signal.default_int_handler)
    try:
        with running(port, slots) as cluster, contextlib.suppress(KeyboardInterrupt):
            click.echo(f"Flink with {slots} slots: http://{cluster.address}. Press Ctrl-C to stop.")
            cluster.wait()
    except (ConfigError, EndedError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    run_command(main)
