"""Endpoints of Vertex AI: a new version beside the earlier ones, their shares of the requests, and the way back."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from cloud.calls import TIMEOUT, finished_once, retrying, settle
from cloud.registry import Version, register
from cloud.serving import Serving
from cloud.traffic import ALL, share
from cloud.vertex import CloudError, Connection, explained, explaining, found_by_name

# Versions that stay deployed beside the new one, to share its requests or to go back to; each has machines of its own.
MOST_EARLIER = 2
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

    The new version gets its share of the requests, and of the earlier ones that had any the newest
    :data:`MOST_EARLIER` share the rest as before; older ones get none any more. A share of 0 takes nothing from any.
    Up to :data:`MOST_EARLIER` earlier versions stay deployed: those that have requests, then the newest of the others.

    Trying again after a failure goes on where it ended: a version that is registered or deployed already, or being
    deployed, is not again. What remains is a request whose answer is lost and which arrives only after one has looked
    for what it did: then the version is deployed twice, once without requests, until later pushes undeploy that.

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
        endpoint = _settled(here, _found_or_made(here, serving).name)
        if known := _of_version(endpoint, version):
            _set_traffic(here, endpoint, _split(endpoint, known.id, serving.traffic))
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
    """The endpoint of that name.

    If the answer to its making is lost and it is not listed yet when it is looked for, there are two at the end;
    neither costs anything, and the next call tells it.
    """

    def find() -> Any | None:
        return found_by_name(here, here.endpoints.list_endpoints, "endpoint", serving.endpoint)

    if found := find():
        return found
    made = {
        "display_name": serving.endpoint,
        "labels": dict(serving.labels),
        "encryption_spec": {"kms_key_name": serving.encryption_key} if serving.encryption_key else None,
    }
    return finished_once(
        lambda: here.endpoints.create_endpoint(parent=here.parent, endpoint=made, timeout=TIMEOUT), done=find
    )


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
                "min_replica_count": serving.min_replicas,
                "max_replica_count": serving.max_replicas,
            },
        },
        "traffic_split": _split(endpoint, NEW, serving.traffic),
    }
    finished_once(
        lambda: here.endpoints.deploy_model(request=request, timeout=TIMEOUT),
        done=lambda: _of_version(_settled(here, endpoint.name), version),
    )


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
            with explaining():
                _restore(here, before, version)
        except CloudError as second:
            raise CloudError(f"{told}; and the traffic may not be as before: {second}") from error
        raise CloudError(f"{told}; the endpoint {before.display_name} serves as before") from error


def _restore(here: Connection, before: Any, version: Version) -> None:
    now = _settled(here, before.name)
    if _traffic(before) and _traffic(now) != _traffic(before):
        now = _set_traffic(here, now, _traffic(before))
    if left_over := _of_version(now, version):
        _undeploy(here, now.name, left_over.id)


def _split(endpoint: Any, new: str, traffic: int) -> dict[str, int]:
    """The shares of the requests, in per cent by id, once a version has its own."""
    before = _traffic(endpoint, without=new)
    serving = sorted((each for each in endpoint.deployed_models if each.id in before), key=_age)
    kept = serving[:MOST_EARLIER] if traffic else serving
    return share(new, traffic, {each.id: before[each.id] for each in kept})


def _undeploy_old(here: Connection, endpoint: Any, new: Version) -> None:
    """Leaves beside the new version those that have traffic, and of the others the newest, up to two in all."""
    traffic = _traffic(endpoint)
    earlier = [each for each in endpoint.deployed_models if not _is_version(each, new)]
    idle = sorted((each for each in earlier if each.id not in traffic), key=_age)
    for each in idle[max(0, MOST_EARLIER - (len(earlier) - len(idle))) :]:
        _undeploy(here, endpoint.name, each.id)


def _undeploy(here: Connection, endpoint: str, deployed: str) -> None:
    def done() -> bool | None:
        return all(each.id != deployed for each in _settled(here, endpoint).deployed_models) or None

    request = {"endpoint": endpoint, "deployed_model_id": deployed}
    finished_once(lambda: here.endpoints.undeploy_model(request=request, timeout=TIMEOUT), done)


def _set_traffic(here: Connection, endpoint: Any, traffic: Mapping[str, int]) -> Any:
    """Shares the requests anew, unless another has changed the endpoint meanwhile."""

    def done() -> Any | None:
        now = _get(here, endpoint.name)
        return now if _traffic(now) == dict(traffic) else None

    changed = {"name": endpoint.name, "traffic_split": dict(traffic), "etag": endpoint.etag}
    mask = {"paths": ["traffic_split"]}
    return retrying(lambda: here.endpoints.update_endpoint(endpoint=changed, update_mask=mask, timeout=TIMEOUT), done)


def _settled(here: Connection, name: str) -> Any:
    """The endpoint, once nothing is deployed to it or undeployed any more."""
    settle(here.endpoints, name)
    return _get(here, name)


def _get(here: Connection, name: str) -> Any:
    return retrying(lambda: here.endpoints.get_endpoint(name=name, timeout=TIMEOUT))


def _traffic(endpoint: Any, without: str = "") -> dict[str, int]:
    """Per cent by the id of what is deployed, where there is any."""
    return {key: value for key, value in endpoint.traffic_split.items() if value and key != without}


def _age(deployed: Any) -> float:
    """Orders from the newest."""
    return -float(deployed.create_time.timestamp())


def _of_version(endpoint: Any, version: Version) -> Any | None:
    return next((each for each in endpoint.deployed_models if _is_version(each, version)), None)


def _is_version(deployed: Any, version: Version) -> bool:
    # By the last part, since Vertex AI may name the project by its number.
    model = deployed.model.partition("@")[0].rpartition("/")[2]
    return (model, deployed.model_version_id) == (version.model.rpartition("/")[2], version.number)
