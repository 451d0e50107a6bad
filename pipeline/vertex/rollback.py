"""Rolls the endpoint of the settings back to its previous version."""

from cloud import endpoint
from cloud.endpoint import Rollback
from cloud.vertex import connect
from pipeline.config.errors import ConfigError
from pipeline.config.vertex import Vertex


def roll_back(vertex: Vertex) -> Rollback:
    """Sends all traffic of the endpoint back to the version before the newest one that gets traffic.

    Args:
        vertex: The ``vertex`` block of the settings. Only project, region and endpoint are used.

    Raises:
        ConfigError: Project, region or endpoint is missing.
        CloudError: The endpoint does not exist, there is no previous version, or Vertex AI refuses the change.
    """
    if not vertex.endpoint:
        raise ConfigError("vertex.endpoint: missing; expected the endpoint to roll back")
    if not vertex.project:
        raise ConfigError("vertex.project: missing; set it there or with --project")
    if not vertex.region:
        raise ConfigError("vertex.region: missing; set it there or with --region")
    return endpoint.roll_back(connect(vertex.project, vertex.region), vertex.endpoint.name)
