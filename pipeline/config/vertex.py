"""Settings of Vertex AI: machines, the schedule and the endpoint."""

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field
from pydantic.dataclasses import dataclass

from models.problem.types import STRICT
from pipeline.config.errors import check_names
from pipeline.config.names import (
    Accelerator,
    Bucket,
    Count,
    Cron,
    Email,
    EndpointName,
    Image,
    Key,
    LabelKey,
    LabelValue,
    MachineType,
    Network,
    ProjectId,
    Region,
)
from pipeline.nodes import NODES

# Single hosts. The first is for TPU v2 and v3, whose accelerator gives the version.
TPU_HOSTS = ("cloud-tpu", "ct5lp-hightpu-", "ct6e-standard-")
TOPOLOGIES = {"1t": "1x1", "4t": "2x2", "8t": "2x4"}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Machine:
    """A machine and its accelerators.

    Attributes:
        type: Compute Engine machine type, such as ``n2-standard-8``.
        accelerator: Vertex AI's name of the GPU or TPU, such as ``NVIDIA_TESLA_T4``.
        accelerators: Number of accelerators.
    """

    type: MachineType = "n2-standard-4"
    accelerator: Accelerator | None = None
    accelerators: Annotated[int, Ge(1), Le(64)] = 1

    def __post_init__(self) -> None:
        if self.accelerators > 1 and not self.accelerator:
            raise ValueError(
                f"'accelerators' is {self.accelerators} and 'accelerator' is missing; expected 'accelerator' to name it"
            )

    @property
    def is_tpu(self) -> bool:
        """Whether the machine is the host of a TPU."""
        return self.type.startswith(TPU_HOSTS)

    @property
    def tpu_topology(self) -> str | None:
        """Topology of the TPU chips, which Vertex AI requires if the accelerator does not give the TPU version."""
        chips = self.type.rpartition("-")[2]
        return TOPOLOGIES.get(chips) if self.is_tpu and not self.accelerator else None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ReductionServers:
    """Machines that sum the gradients of several GPU workers.

    Attributes:
        count: Number of machines.
        machine: Machine type. Choose one with high network bandwidth and no accelerator.
        image: Google's image of the server.
    """

    count: Count = 1
    machine: MachineType = "n1-highcpu-16"
    image: Image = "us-docker.pkg.dev/vertex-ai-restricted/training/reductionserver:latest"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Schedule:
    """When Vertex AI starts runs by itself.

    Attributes:
        cron: Five cron fields in UTC, or in another time zone with a prefix such as ``TZ=Europe/Berlin``.
        max_concurrent_runs: Maximum number of runs at the same time.
    """

    cron: Cron
    max_concurrent_runs: Annotated[int, Ge(1), Le(10)] = 1


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Endpoint:
    """The Vertex AI endpoint that serves the pushed model.

    Attributes:
        name: Display name. The endpoint is created if it does not exist.
        machine: Machine of each replica.
        min_replicas: Minimum number of machines for each deployed version.
        max_replicas: Maximum number of machines for each deployed version.
        traffic: Percentage of requests that a new version gets. The two newest versions with traffic share the rest
            in the same ratio as before, and older ones are undeployed. With 0, no version loses traffic.
        image: TensorFlow Serving image in Artifact Registry. Runs on Vertex AI require it.
    """

    name: EndpointName
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
    """How the pipeline runs on Vertex AI. Local runs only use ``project`` and ``bucket``, for BigQuery.

    Attributes:
        project: Google Cloud project. ``--project`` overrides it.
        region: Region, such as ``europe-west4``. ``--region`` overrides it.
        bucket: ``gs://…`` bucket for everything that runs write. ``--bucket`` overrides it.
        image: Container image of the steps (deploy/vertex/Dockerfile). ``--image`` overrides it.
        service_account: Service account of the steps, and of the jobs, Dataflow workers and endpoint replicas that
            they start, by default the project's own. Submitting uses your own credentials.
        network: VPC network to peer the steps with.
        encryption_key: Cloud KMS key for everything that is stored.
        labels: Labels of the run and of everything that it starts.
        retries: How many times a failed step is retried.
        schedule: When runs start by themselves.
        machines: Machine by node. For Trainer and Tuner it is the machine of each worker.
        parameter_servers: Machine of each parameter server.
        reduction_servers: Machines that sum gradients, for ``multi_worker`` with GPUs.
        endpoint: The endpoint that serves the model, in addition to the bucket.
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
        check_names("machines", "node", self.machines, NODES)
