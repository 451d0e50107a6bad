"""Settings of Beam: the local runner, a Flink cluster and Dataflow."""

from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import Field
from pydantic.dataclasses import dataclass

from models.problem.types import STRICT
from pipeline.config.errors import check_names
from pipeline.config.names import Address, Count, Folder, Image, MachineType, OptionalAddress, Subnetwork
from pipeline.nodes import BEAM_NODES


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Flink:
    """The cluster that Beam steps run on if ``beam.runner`` is ``flink``.

    Attributes:
        address: ``host:port`` of the cluster's REST API.
        parallelism: Task slots that each step uses.
        workers: Where Beam's Python workers run: ``loopback`` in this process, for a cluster on this machine, or
            ``external`` in the worker pool at ``pool``, with one pool next to each task manager.
        pool: ``host:port`` of the worker pool, as seen from a task manager.
        job_server: ``host:port`` of a running Beam job server. If empty, the run starts one.
    """

    address: Address = "localhost:8081"
    parallelism: Count = 1
    workers: Literal["loopback", "external"] = "loopback"
    pool: Address = "localhost:50000"
    job_server: OptionalAddress = ""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Beam:
    """The runner of Beam steps.

    Attributes:
        runner: ``local`` (on the machine of the step) or ``flink``. On Vertex AI, a ``dataflow`` block overrides it.
        mode: Mode of the local runner: ``in_memory`` (one thread), ``multi_threading``, ``multi_processing``, or
            ``auto``, which uses several processes for Transform on a large table and one thread for everything else.
        workers: Threads or processes of the local runner. 0 uses one per core.
        flink: The cluster, if ``runner`` is ``flink``.
    """

    runner: Literal["local", "flink"] = "local"
    mode: Literal["auto", "in_memory", "multi_threading", "multi_processing"] = "auto"
    workers: Annotated[int, Ge(0), Le(256)] = 0
    flink: Flink = Field(default_factory=Flink)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Dataflow:
    """How Beam steps run on Dataflow in runs on Vertex AI. Unset values default to those of ``vertex``.

    Attributes:
        image: Container image of the workers (deploy/beam/Dockerfile).
        machine: Machine type of the workers.
        machines: Machine type by node, for nodes that need a different one.
        max_workers: Maximum number of workers.
        disk_gb: Disk size of each worker in GB. 0 uses Dataflow's default.
        temp: Folder in a bucket for temporary files, by default ``beam`` in the output folder.
        subnetwork: Subnetwork of the workers, by default ``vertex.network``.
        public_ips: Whether the workers have public IP addresses.
        flexrs: Whether jobs may wait up to six hours for cheaper machines.
        options: Other Beam options by name, such as ``dataflow_service_options``.
    """

    image: Image | None = None
    machine: MachineType = "n2-standard-4"
    machines: dict[str, MachineType] = Field(default_factory=dict)
    max_workers: Count = 8
    disk_gb: Annotated[int, Ge(0), Le(65_536)] = 0
    temp: Folder | None = None
    subnetwork: Subnetwork | None = None
    public_ips: bool = True
    flexrs: bool = False
    options: dict[str, str | int | bool] = Field(default_factory=dict)

    def __post_init__(self) -> None:
        check_names("machines", "node", self.machines, BEAM_NODES)
