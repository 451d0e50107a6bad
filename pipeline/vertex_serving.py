"""Settings of the Vertex AI endpoint that serves the pushed model."""

from cloud.serving import ServingSettings
from pipeline.config.settings import Config


def serving_settings(config: Config) -> ServingSettings:
    """Returns how Vertex AI serves a pushed model.

    Args:
        config: Settings for Vertex AI, with an endpoint.
    """
    vertex, settings = config.vertex, config.vertex.endpoint
    assert settings
    assert settings.image  # checked when the settings are loaded
    return ServingSettings(
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
