"""The endpoint of the settings: how it serves, and the way back to the version before."""

from cloud import endpoint
from cloud.endpoint import RolledBack
from cloud.serving import Serving
from cloud.vertex import connect
from pipeline.config.cloud import Vertex
from pipeline.config.errors import ConfigError
from pipeline.config.settings import Config


def serving(config: Config) -> Serving:
    """How Vertex AI serves what is pushed.

    Args:
        config: Settings for Vertex AI, with an endpoint.
    """
    vertex, settings = config.vertex, config.vertex.endpoint
    assert settings
    assert settings.image  # checked where settings are loaded
    return Serving(
        endpoint=settings.name,
        model=config.name,
        image=settings.image,
        machine=settings.machine.type,
        accelerator=settings.machine.accelerator,
        accelerators=settings.machine.accelerators,
        min_replicas=settings.min_replicas,
        max_replicas=settings.max_replicas,
        traffic=settings.traffic,
        labels=vertex.labels,
        service_account=vertex.service_account,
        encryption_key=vertex.encryption_key,
    )


def roll_back(vertex: Vertex) -> RolledBack:
    """Gives all traffic of the settings' endpoint back to the version before the newest that has any.

    Args:
        vertex: The block of the settings, of which only project, region and endpoint matter.

    Raises:
        ConfigError: One of these is missing.
        CloudError: There is no such endpoint or no version before, or Vertex AI refuses it.
    """
    if not vertex.endpoint:
        raise ConfigError("vertex.endpoint: missing; expected the endpoint whose traffic is to go back")
    if not vertex.project:
        raise ConfigError("vertex.project: missing; give it there, or with --project")
    if not vertex.region:
        raise ConfigError("vertex.region: missing; give it there, or with --region")
    return endpoint.roll_back(connect(vertex.project, vertex.region), vertex.endpoint.name)
