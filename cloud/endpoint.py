"""Endpoints of Vertex AI: a new version beside the earlier ones, their shares of the requests, and the way back."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from cloud.registry import Version, found_by_name, register
from cloud.serving import Serving
from cloud.traffic import ALL, share
from cloud.vertex import TIMEOUT, CloudError, Connection, explained, explaining, finished, retrying

MOST_EARLIER = 2  # versions that stay deployed beside the new one, to go back to
NEW = "0"  # how Vertex AI calls the version that is being deployed


@dataclasses.dataclass(frozen=True)
class Deployed:
    """A version that an endpoint serves.

    Attributes:
        endpoint: The endpoint's resource name.
        version: The registry's name of the version.
        traffic: Per cent of the requests, by the versions' names on the endpoint.
    """

    endpoint: str
    version: str
    traffic: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class RolledBack:
    """What a way back did.

    Attributes:
        endpoint: The endpoint's display name.
        left: The version that has no more traffic.
        serving: The version that has all of it.
    """

    endpoint: str
    left: str
    serving: str


def deploy(here: Connection, serving: Serving, pushed: str, uri: str) -> Deployed:
    """Registers a pushed model as a version and deploys it, beside the earlier ones.

    Trying again after a failure goes on where it ended: a version that is registered or deployed already is not again.

    Args:
        here: The connection.
        serving: How it is served.
        pushed: The version that it was pushed as.
        uri: Folder in a bucket that has the SavedModel in a folder of its own, named by a number.

    Raises:
        CloudError: Vertex AI refuses it. If the deployment failed, the traffic is as it was before.
    """
    with explaining():
        version = register(here, serving, pushed, uri)
        endpoint = _found_or_made(here, serving)
        known = _of_version(endpoint, version)
        if known:
            _set_traffic(here, endpoint, share(known.id, serving.traffic, _traffic(endpoint, without=known.id)))
        else:
            with _restoring(here, endpoint, version):
                _start(here, endpoint, serving, version, f"{serving.model}-{pushed}")
        served = _get(here, endpoint.name)
        _undeploy_old(here, served, version)
        names = {each.id: each.display_name for each in served.deployed_models}
        return Deployed(served.name, version.name, {names[key]: value for key, value in _traffic(served).items()})


def roll_back(here: Connection, name: str) -> RolledBack:
    """Gives all traffic of an endpoint back to the version before the newest that has any.

    Args:
        here: The connection.
        name: The endpoint's display name.

    Raises:
        CloudError: There is no such endpoint or no version before, or Vertex AI refuses it.
    """
    place = f"Vertex AI in {here.project}, {here.region}"
    with explaining():
        endpoint = found_by_name(here, here.endpoints.list_endpoints, "endpoint", name)
        if not endpoint:
            raise CloudError(f"{place}: found no endpoint named {name}; expected one: look at vertex.endpoint.name")
        traffic = _traffic(endpoint)
        deployed = sorted(endpoint.deployed_models, key=lambda each: each.create_time)
        serving = [index for index, each in enumerate(deployed) if each.id in traffic]
        if not serving or not serving[-1]:
            what = f"no version before {deployed[0].display_name}" if serving else "no version with traffic"
            raise CloudError(
                f"{place}: found {what} on the endpoint {name}; expected one to go back to: run the pipeline"
            )
        left, before = deployed[serving[-1]], deployed[serving[-1] - 1]
        _set_traffic(here, endpoint, {before.id: ALL})
        return RolledBack(name, left.display_name, before.display_name)


def _found_or_made(here: Connection, serving: Serving) -> Any:
    found = found_by_name(here, here.endpoints.list_endpoints, "endpoint", serving.endpoint)
    if found:
        return found
    made = {
        "display_name": serving.endpoint,
        "labels": dict(serving.labels),
        "encryption_spec": {"kms_key_name": serving.encryption_key} if serving.encryption_key else None,
    }
    operation = retrying(lambda: here.endpoints.create_endpoint(parent=here.parent, endpoint=made, timeout=TIMEOUT))
    return _get(here, finished(operation).name)


def _start(here: Connection, endpoint: Any, serving: Serving, version: Version, name: str) -> None:
    machine: dict[str, object] = {"machine_type": serving.machine}
    if serving.accelerator:
        machine |= {"accelerator_type": serving.accelerator, "accelerator_count": serving.accelerators}
    request = {
        "endpoint": endpoint.name,
        "deployed_model": {
            "model": version.name,
            "display_name": name,
            "service_account": serving.service_account or "",
            "dedicated_resources": {
                "machine_spec": machine,
                "min_replica_count": serving.fewest,
                "max_replica_count": serving.most,
            },
        },
        "traffic_split": share(NEW, serving.traffic, _traffic(endpoint)),
    }
    finished(retrying(lambda: here.endpoints.deploy_model(request=request, timeout=TIMEOUT)))


@contextlib.contextmanager
def _restoring(here: Connection, before: Any, version: Version) -> Iterator[None]:
    """Undoes what a deployment that fails has done to the endpoint.

    Raises:
        CloudError: In place of what Vertex AI refused it with.
    """
    from google.api_core.exceptions import GoogleAPICallError

    try:
        yield
    except GoogleAPICallError as error:
        told = explained(error)
        try:
            now = _get(here, before.name)
            if _traffic(before) and _traffic(now) != _traffic(before):
                now = _set_traffic(here, now, _traffic(before))
            if left_over := _of_version(now, version):
                _undeploy(here, now, left_over)
        except GoogleAPICallError as second:
            raise CloudError(f"{told}; and the traffic may not be as before: {explained(second)}") from error
        raise CloudError(f"{told}; the endpoint {before.display_name} serves as before") from error


def _undeploy_old(here: Connection, endpoint: Any, new: Version) -> None:
    """Leaves beside the new version those that have traffic, and of the others the newest, up to two in all."""
    traffic = _traffic(endpoint)
    earlier = [each for each in endpoint.deployed_models if not _is_version(each, new)]
    idle = [each for each in earlier if each.id not in traffic]
    idle.sort(key=lambda each: each.create_time, reverse=True)
    for each in idle[max(0, MOST_EARLIER - (len(earlier) - len(idle))) :]:
        _undeploy(here, endpoint, each)


def _undeploy(here: Connection, endpoint: Any, deployed: Any) -> None:
    request = {"endpoint": endpoint.name, "deployed_model_id": deployed.id}
    finished(retrying(lambda: here.endpoints.undeploy_model(request=request, timeout=TIMEOUT)))


def _set_traffic(here: Connection, endpoint: Any, traffic: Mapping[str, int]) -> Any:
    """Shares the requests anew, unless another has changed the endpoint meanwhile."""
    changed = {"name": endpoint.name, "traffic_split": dict(traffic), "etag": endpoint.etag}
    mask = {"paths": ["traffic_split"]}
    return retrying(lambda: here.endpoints.update_endpoint(endpoint=changed, update_mask=mask, timeout=TIMEOUT))


def _get(here: Connection, name: str) -> Any:
    return retrying(lambda: here.endpoints.get_endpoint(name=name, timeout=TIMEOUT))


def _traffic(endpoint: Any, without: str = "") -> dict[str, int]:
    """Per cent by the id of what is deployed, where there is any."""
    return {key: value for key, value in endpoint.traffic_split.items() if value and key != without}


def _of_version(endpoint: Any, version: Version) -> Any | None:
    return next((each for each in endpoint.deployed_models if _is_version(each, version)), None)


def _is_version(deployed: Any, version: Version) -> bool:
    # By the last part, since Vertex AI may name the project by its number.
    model = deployed.model.partition("@")[0].rpartition("/")[2]
    return (model, deployed.model_version_id) == (version.model.rpartition("/")[2], version.number)
