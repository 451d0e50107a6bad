"""How a pushed model is served on Vertex AI: by what, on which machines, with which share of the requests."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cloud.traffic import ALL

SERVER = "/usr/bin/tensorflow_model_server"
GRPC_PORT, REST_PORT = 8500, 8501
POLL_SECONDS = 30  # between looks into a bucket where nothing changes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Serving:
    """How a model is served.

    Attributes:
        endpoint: The endpoint's display name.
        model: The model's display name.
        image: TensorFlow Serving.
        machine: Compute Engine's type.
        accelerator: Vertex AI's name of its GPUs.
        accelerators: How many of them.
        min_replicas: Machines at least.
        max_replicas: Machines at most.
        traffic: A new version's share of the requests, in per cent.
        labels: On the endpoint and the versions.
        service_account: Who the server acts as.
        encryption_key: Cloud KMS key of the endpoint and the versions.
    """

    endpoint: str
    model: str
    image: str
    machine: str
    accelerator: str | None = None
    accelerators: int = 1
    min_replicas: int = 1
    max_replicas: int = 1
    traffic: int = ALL
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    service_account: str | None = None
    encryption_key: str | None = None


def container(serving: Serving) -> dict[str, Any]:
    """TensorFlow Serving as Vertex AI starts it, and asks it for its health and for predictions."""
    return {
        "image_uri": serving.image,
        "command": [SERVER],
        "args": [
            f"--port={GRPC_PORT}",
            f"--rest_api_port={REST_PORT}",
            f"--model_name={serving.model}",
            "--model_base_path=$(AIP_STORAGE_URI)",  # Vertex AI fills in where it keeps the version
            f"--file_system_poll_wait_seconds={POLL_SECONDS}",
        ],
        "ports": [{"container_port": REST_PORT}],
        "health_route": f"/v1/models/{serving.model}",
        "predict_route": f"/v1/models/{serving.model}:predict",
    }
