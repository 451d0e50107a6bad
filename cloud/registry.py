"""Vertex AI's model registry: each pushed SavedModel is a version of one model, served by TensorFlow Serving."""

import dataclasses
from typing import Any

from cloud.calls import TIMEOUT, run_operation, with_retries
from cloud.serving import ServingSettings, container
from cloud.vertex import Connection, find_by_name


@dataclasses.dataclass(frozen=True)
class ModelVersion:
    """A version of a model in the registry.

    Attributes:
        model: Resource name of the model, without the version.
        number: The registry's number of the version.
    """

    model: str
    number: str

    @property
    def name(self) -> str:
        """Resource name of the version.

        >>> ModelVersion("projects/p/locations/r/models/7", "2").name
        'projects/p/locations/r/models/7@2'
        """
        return f"{self.model}@{self.number}"


def register_version(connection: Connection, serving: ServingSettings, pushed: str, uri: str) -> ModelVersion:
    """Uploads a SavedModel as a new version of a model. The model is created if it does not exist.

    If the response to an upload is lost, the version is looked up before the upload is tried again. If the first upload
    is still running then, there are two versions in the end, or two models if the model is new, which the next call
    reports. Only the deployed version costs more than its storage.

    Args:
        connection: The connection to Vertex AI.
        serving: How the model is served.
        pushed: The pushed version. Its alias in the registry is ``pushed-<version>``. If the alias exists, nothing is
            uploaded.
        uri: Folder in a bucket that contains the SavedModel in a subfolder named by a number.

    Raises:
        GoogleAPICallError: Vertex AI rejects the request.
        CloudError: Several models have this name.
    """
    alias = f"pushed-{pushed}"
    if found := _find_version(connection, serving.model, alias):
        return found
    version: dict[str, Any] = {
        "display_name": serving.model,
        "artifact_uri": uri,
        "container_spec": container(serving),
        "labels": dict(serving.labels),
        "version_aliases": [alias],
        "encryption_spec": {"kms_key_name": serving.encryption_key} if serving.encryption_key else None,
    }
    model = _find_model(connection, serving.model)
    request = {"parent": connection.parent, "parent_model": model.name if model else "", "model": version}
    uploaded = run_operation(
        lambda: connection.models.upload_model(request=request, timeout=TIMEOUT),
        find_result=lambda: _find_version(connection, serving.model, alias),
    )
    if isinstance(uploaded, ModelVersion):
        return uploaded
    return ModelVersion(uploaded.model, uploaded.model_version_id)


def _find_version(connection: Connection, model_name: str, alias: str) -> ModelVersion | None:
    """The version with an alias, if any."""
    from google.api_core.exceptions import NotFound

    model = _find_model(connection, model_name)
    if not model:
        return None
    try:
        found = with_retries(lambda: connection.models.get_model(name=f"{model.name}@{alias}", timeout=TIMEOUT))
    except NotFound:
        return None
    return ModelVersion(model.name, found.version_id)


def _find_model(connection: Connection, name: str) -> Any | None:
    return find_by_name(connection, connection.models.list_models, "model", name)
