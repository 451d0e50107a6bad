"""How a pushed model is served on Vertex AI: its container, machines and traffic."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cloud.traffic import ALL

SERVER = "/usr/bin/tensorflow_model_server"
GRPC_PORT, REST_PORT = 8500, 8501
POLL_SECONDS = 30  # between reads of a bucket folder that never changes


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """How a model is served.

    Attributes:
        endpoint: Display name of the endpoint.
        model: Display name of the model.
        image: Image of TensorFlow Serving.
        machine: Machine type of Compute Engine.
        accelerator: Vertex AI's name of the GPU type.
        accelerators: Number of GPUs per machine.
        min_replicas: Minimum number of machines for each version.
        max_replicas: Maximum number of machines for each version.
        traffic: Percentage of the traffic that a new version gets.
        labels: Labels of the endpoint and the versions.
        service_account: Service account of the server.
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


def container(serving: ServingSettings) -> dict[str, Any]:
    """The ``ModelContainerSpec`` of TensorFlow Serving: its command, ports and routes."""
    return {
        "image_uri": serving.image,
        "command": [SERVER],
        "args": [
            f"--port={GRPC_PORT}",
            f"--rest_api_port={REST_PORT}",
            f"--model_name={serving.model}",
            "--model_base_path=$(AIP_STORAGE_URI)",  # Vertex AI inserts the folder of the version
            f"--file_system_poll_wait_seconds={POLL_SECONDS}",
        ],
        "ports": [{"container_port": REST_PORT}],
        "health_route": f"/v1/models/{serving.model}",
        "predict_route": f"/v1/models/{serving.model}:predict",
    }
