"""Vertex AI's model registry: each pushed SavedModel is a version of one model, served by TensorFlow Serving."""

import dataclasses
from typing import Any

from cloud.calls import TIMEOUT, finished_once, retrying
from cloud.serving import Serving, container
from cloud.vertex import Connection, found_by_name


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

    An upload whose answer is lost is looked for before it is tried again. If it is still under way then, there are two
    versions at the end, or of a new model two models, which the next call tells; only the deployed one costs more than
    its files.

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
    alias = f"pushed-{pushed}"
    if known := _known(here, serving.model, alias):
        return known
    version: dict[str, Any] = {
        "display_name": serving.model,
        "artifact_uri": uri,
        "container_spec": container(serving),
        "labels": dict(serving.labels),
        "version_aliases": [alias],
        "encryption_spec": {"kms_key_name": serving.encryption_key} if serving.encryption_key else None,
    }
    parent = _model(here, serving.model)
    request = {"parent": here.parent, "parent_model": parent.name if parent else "", "model": version}
    made = finished_once(
        lambda: here.models.upload_model(request=request, timeout=TIMEOUT),
        done=lambda: _known(here, serving.model, alias),
    )
    return made if isinstance(made, Version) else Version(made.model, made.model_version_id)


def _known(here: Connection, model: str, alias: str) -> Version | None:
    """The version of an alias, if there is one."""
    from google.api_core.exceptions import NotFound

    parent = _model(here, model)
    if not parent:
        return None
    try:
        found = retrying(lambda: here.models.get_model(name=f"{parent.name}@{alias}", timeout=TIMEOUT))
    except NotFound:
        return None
    return Version(parent.name, found.version_id)


def _model(here: Connection, name: str) -> Any | None:
    return found_by_name(here, here.models.list_models, "model", name)
