"""Settings of the cloud: Vertex AI, and the Beam runners beside the local one."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass

from models.features import STRICT
from pipeline.config.cron import check_cron
from pipeline.config.errors import unknown_name
from pipeline.nodes import BEAM_NODES, NODES


def _text(pattern: str) -> Any:
    return Field(pattern=pattern)


def _check_port(address: str) -> str:
    port = address.rpartition(":")[2]
    if port and not 1 <= int(port) <= 65_535:
        raise ValueError(f"found port {port}; expected one from 1 to 65535")
    return address


ProjectId = Annotated[str, _text(r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
Region = Annotated[str, _text(r"^[a-z]+-[a-z]+[0-9]+$")]
Bucket = Annotated[str, _text(r"^gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")]
Folder = Annotated[str, _text(r"^gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[^/\s]+)*$")]
Image = Annotated[
    str,
    _text(r"^[a-z0-9][a-z0-9.:_-]*(/[a-z0-9][a-z0-9._-]*)+(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$"),
]
Email = Annotated[str, _text(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Network = Annotated[str, _text(r"^projects/[^/\s]+/global/networks/[^/\s]+$")]
Subnetwork = Annotated[str, _text(r"^(https://\S+/)?(projects/[^/\s]+/)?regions/[^/\s]+/subnetworks/[^/\s]+$")]
Key = Annotated[str, _text(r"^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$")]
LabelKey = Annotated[str, _text(r"^[a-z][a-z0-9_-]{0,62}$")]
LabelValue = Annotated[str, _text(r"^[a-z0-9_-]{0,63}$")]
MachineType = Annotated[str, _text(r"^([a-z][a-z0-9]*-[a-z]+-[0-9]+[a-z0-9]*|cloud-tpu)$")]
Accelerator = Annotated[str, _text(r"^(NVIDIA|TPU)_[A-Z0-9_]+$")]
_ADDRESS = r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}:[0-9]{1,5}"
Address = Annotated[str, _text(rf"^{_ADDRESS}$"), AfterValidator(_check_port)]
Cron = Annotated[str, _text(r"^(TZ=\S+ )?\S+ \S+ \S+ \S+ \S+$"), AfterValidator(check_cron)]
Count = Annotated[int, Ge(1), Le(1_000)]
# Of single hosts; the first is that of TPU v2 and v3, whose accelerator says which.
TPU_HOSTS = ("cloud-tpu", "ct5lp-hightpu-", "ct6e-standard-")
TOPOLOGIES = {"1t": "1x1", "4t": "2x2", "8t": "2x4"}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Machine:
    """A kind of machine.

    Attributes:
        type: Compute Engine's name for it, such as ``n2-standard-8``.
        accelerator: Vertex AI's name of its GPUs or TPUs, such as ``NVIDIA_TESLA_T4``.
        accelerators: How many of them.
    """

    type: MachineType = "n2-standard-4"
    accelerator: Accelerator | None = None
    accelerators: Annotated[int, Ge(1), Le(64)] = 1

    def __post_init__(self) -> None:
        if self.accelerators > 1 and not self.accelerator:
            raise ValueError(f"'accelerators' is {self.accelerators}, of no kind; expected 'accelerator' to name it")

    @property
    def is_tpu(self) -> bool:
        """Whether it is the host of a TPU."""
        return self.type.startswith(TPU_HOSTS)

    @property
    def tpu_topology(self) -> str | None:
        """How the chips of its TPU are joined, which Vertex AI asks for where the type does not tell the TPU's kind."""
        chips = self.type.rpartition("-")[2]
        return TOPOLOGIES.get(chips) if self.is_tpu and not self.accelerator else None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReductionServers:
    """Machines that sum the gradients of several GPU workers, in place of the workers themselves.

    Attributes:
        count: How many machines.
        machine: Of which type; one with a wide network and no accelerator.
        image: The server's image, Google's own.
    """

    count: Count = 1
    machine: MachineType = "n1-highcpu-16"
    image: Image = "us-docker.pkg.dev/vertex-ai-restricted/training/reductionserver:latest"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Schedule:
    """When Vertex AI starts a run by itself.

    Attributes:
        cron: Five fields, with ``TZ=Europe/Berlin`` before them where UTC is not meant.
        max_concurrent_runs: Runs that may be under way at one time.
    """

    cron: Cron
    max_concurrent_runs: Annotated[int, Ge(1), Le(10)] = 1


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Endpoint:
    """Where Vertex AI answers requests with the pushed model.

    Attributes:
        name: Display name; it is made if there is none.
        machine: What answers.
        min_replicas: Minimum number of machines for each deployed version.
        max_replicas: Maximum number of machines for each deployed version.
        traffic: Share of the requests, in per cent, that a new version gets. The two newest of the others that have any
            share the rest as before, and older ones lose theirs and are undeployed; with 0 nobody loses any.
        image: Container that serves, in Artifact Registry: TensorFlow Serving's; runs on Vertex AI need it.
    """

    name: Annotated[str, _text(r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}$")]
    machine: Machine = Field(default_factory=Machine)
    min_replicas: Count = 1
    max_replicas: Count = 1
    traffic: Annotated[int, Ge(0), Le(100)] = 100
    image: Image | None = None

    def __post_init__(self) -> None:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"'min_replicas' is {self.min_replicas} and 'max_replicas' is {self.max_replicas}; "
                f"expected at most 'max_replicas'"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Vertex:
    """How the pipeline runs on Vertex AI. Runs here read ``project`` and ``bucket`` for BigQuery alone.

    Attributes:
        project: Google Cloud project; ``--project`` overrides it.
        region: Such as ``europe-west4``; ``--region`` overrides it.
        bucket: ``gs://…``, for everything that runs leave behind; ``--bucket`` overrides it.
        image: Container of the steps (deploy/vertex/Dockerfile); ``--image`` overrides it.
        service_account: Who the steps act as, and the jobs, Dataflow's workers and the endpoint's servers that they
            start; the project's default one if none. What submits is whoever is logged in.
        network: VPC that the steps are peered with.
        encryption_key: Cloud KMS key for all that is kept.
        labels: On the run and all that it starts.
        retries: How often a failed step is tried again.
        schedule: When runs start by themselves.
        machines: By node, what it runs on. Of the Trainer and the Tuner it is each worker's.
        parameter_servers: What each parameter server runs on.
        reduction_servers: Machines that sum gradients, for ``multi_worker`` with GPUs.
        endpoint: Where Vertex AI serves the model, beside the bucket.
    """

    project: ProjectId | None = None
    region: Region | None = None
    bucket: Bucket | None = None
    image: Image | None = None
    service_account: Email | None = None
    network: Network | None = None
    encryption_key: Key | None = None
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    retries: Annotated[int, Ge(0), Le(10)] = 1
    schedule: Schedule | None = None
    machines: dict[str, Machine] = Field(default_factory=dict)
    parameter_servers: Machine = Field(default_factory=Machine)
    reduction_servers: ReductionServers | None = None
    endpoint: Endpoint | None = None

    def __post_init__(self) -> None:
        _check_nodes("machines", self.machines, NODES)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Dataflow:
    """How Beam's steps run on Dataflow, under Vertex AI; what is not set is as in ``vertex``.

    Attributes:
        image: Container of the workers (deploy/beam/Dockerfile).
        machine: Type of the workers.
        machines: The same by node, for those that need another.
        max_workers: Workers at most.
        disk_gb: Disk of each, in GB; 0 leaves it to Dataflow.
        temp: Folder, ``gs://…``, for what is gone after the job; ``beam`` below the output if none.
        subnetwork: Where the workers are; ``vertex.network`` if none.
        public_ips: Whether they have public addresses.
        flexrs: Whether jobs may wait up to six hours for cheaper machines.
        options: Any option of Beam's that has no setting, by name, such as ``dataflow_service_options``.
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
        _check_nodes("machines", self.machines, BEAM_NODES)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Flink:
    """The cluster that Beam's steps run on, where ``beam.runner`` is ``flink``.

    Attributes:
        address: ``host:port`` of its REST API.
        parallelism: Slots that each step takes.
        workers: Where Beam's Python workers run: ``loopback`` in this process, for a cluster on this machine, or
            ``external`` in the worker pool at ``pool``, one beside each task manager.
        pool: ``host:port`` of the worker pool, as a task manager sees it.
        job_server: ``host:port`` of a running Beam job server; one is started if it is empty.
    """

    address: Address = "localhost:8081"
    parallelism: Count = 1
    workers: Literal["loopback", "external"] = "loopback"
    pool: Address = "localhost:50000"
    job_server: Annotated[str, _text(rf"^({_ADDRESS})?$"), AfterValidator(_check_port)] = ""


def _check_nodes(key: str, found: Iterable[str], known: tuple[str, ...]) -> None:
    for name in found:
        if name not in known:
            raise ValueError(unknown_name(f"{key}.{name}", "node", name, known))
