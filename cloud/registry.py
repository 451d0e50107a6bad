"""Vertex AI's model registry: each pushed SavedModel is a version of one model, served by TensorFlow Serving."""

import dataclasses
from typing import Any

from cloud.serving import Serving, container
from cloud.vertex import TIMEOUT, CloudError, Connection, finished, retrying


@dataclasses.dataclass(frozen=True)
class Version:
    """A version of a model in the registry.

    Attributes:
        model: The model's resource name, without the version.
        number: The registry's number of the version.
    """

    model: str
    number: str

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"{self.model}@{self.number}"


def register(here: Connection, serving: Serving, pushed: str, uri: str) -> Version:
    """Uploads a SavedModel as a new version of the model of that name, which is made if there is none.

    Args:
        here: The connection.
        serving: How it is served.
        pushed: The version that it was pushed as; the registry knows it by the alias ``pushed-<version>``, and if it
            has it, nothing is uploaded.
        uri: Folder in a bucket that has the SavedModel in a folder of its own, named by a number.

    Raises:
        GoogleAPICallError: Vertex AI refuses it.
        CloudError: Several models have that name.
    """
    from google.api_core.exceptions import NotFound

    alias = f"pushed-{pushed}"
    parent = found_by_name(here, here.models.list_models, "model", serving.model)
    if parent:
        try:
            known = retrying(lambda: here.models.get_model(name=f"{parent.name}@{alias}", timeout=TIMEOUT))
            return Version(parent.name, known.version_id)
        except NotFound:
            pass
    version: dict[str, Any] = {
        "display_name": serving.model,
        "artifact_uri": uri,
        "container_spec": container(serving),
        "labels": dict(serving.labels),
        "version_aliases": [alias],
        "encryption_spec": {"kms_key_name": serving.encryption_key} if serving.encryption_key else None,
    }
    request = {"parent": here.parent, "parent_model": parent.name if parent else "", "model": version}
    made = finished(retrying(lambda: here.models.upload_model(request=request, timeout=TIMEOUT)))
    return Version(made.model, made.model_version_id)


def found_by_name(here: Connection, list_all: Any, kind: str, name: str) -> Any | None:
    """The resource of that display name, if there is one.

    Args:
        here: The connection.
        list_all: The client's method.
        kind: What a person calls it.
        name: The display name.

    Raises:
        CloudError: There are several.
    """
    request = {"parent": here.parent, "filter": f'display_name="{name}"'}
    found = retrying(lambda: list(list_all(request=request, timeout=TIMEOUT)))
    if len(found) > 1:
        raise CloudError(
            f"Vertex AI in {here.project}, {here.region}: found {len(found)} {kind}s named {name}; expected one: "
            "delete the others in the console"
        )
    return found[0] if found else None
