"""Endpoints of Vertex AI: deployment of a new version alongside the earlier ones, traffic, and rollback."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from cloud.calls import TIMEOUT, run_operation, wait_until_idle, with_retries
from cloud.registry import ModelVersion, register_version
from cloud.serving import ServingSettings
from cloud.traffic import ALL, split_traffic
from cloud.vertex import CloudError, Connection, error_message, find_by_name, raising_cloud_errors

# Earlier versions that stay deployed, to share the traffic or for a rollback. Each has machines of its own.
MAX_EARLIER = 2
NEW = "0"  # Vertex AI's id of the version that is being deployed


@dataclasses.dataclass(frozen=True)
class Deployment:
    """A deployed version.

    Attributes:
        endpoint: Resource name of the endpoint.
        version: Resource name of the version in the registry.
        traffic: Percentage of the traffic, by display name of the deployed versions.
    """

    endpoint: str
    version: str
    traffic: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Rollback:
    """The result of a rollback.

    Attributes:
        endpoint: Display name of the endpoint.
        from_version: The version that no longer has traffic.
        to_version: The version that has all traffic.
    """

    endpoint: str
    from_version: str
    to_version: str


def deploy(connection: Connection, serving: ServingSettings, pushed: str, uri: str) -> Deployment:
    """Registers a pushed model as a version and deploys it alongside the earlier versions.

    The new version gets its part of the traffic. The newest :data:`MAX_EARLIER` of the earlier versions with traffic
    share the rest in the same proportions as before, and older ones get none. If the new version gets 0, nothing
    changes for the others. Up to :data:`MAX_EARLIER` earlier versions stay deployed: those with traffic, then the
    newest of the others.

    After a failure, a second call continues where the first one stopped: a version that is already registered, deployed
    or being deployed is not registered or deployed again. One case remains: a request whose response is lost and that
    arrives only after the search for its result. Then the version is deployed twice, once without traffic, until later
    pushes undeploy it.

    Args:
        connection: The connection.
        serving: How the model is served.
        pushed: The pushed version.
        uri: Folder in a bucket that contains the SavedModel in a subfolder named by a number.

    Raises:
        CloudError: Vertex AI rejects a request. If the deployment failed, the traffic is as before.
    """
    with raising_cloud_errors():
        version = register_version(connection, serving, pushed, uri)
        endpoint = _idle_endpoint(connection, _find_or_create(connection, serving).name)
        if deployed := _find_deployed(endpoint, version):
            _set_traffic(connection, endpoint, _new_traffic(endpoint, deployed.id, serving.traffic))
        else:
            with _undoing_on_failure(connection, endpoint, version):
                _deploy_version(connection, endpoint, serving, version, f"{serving.model}-{pushed}")
        endpoint = _get(connection, endpoint.name)
        _undeploy_old(connection, endpoint, version)
        names = {each.id: each.display_name for each in endpoint.deployed_models}
        traffic = {names[key]: value for key, value in _traffic(endpoint).items()}
        return Deployment(endpoint.name, version.name, traffic)


def roll_back(connection: Connection, name: str) -> Rollback:
    """Gives all traffic of an endpoint to the version before the newest version with traffic.

    Args:
        connection: The connection.
        name: Display name of the endpoint.

    Raises:
        CloudError: The endpoint or an earlier version does not exist, or Vertex AI rejects the request.
    """
    with raising_cloud_errors():
        endpoint = find_by_name(connection, connection.endpoints.list_endpoints, "endpoint", name)
        if not endpoint:
            raise CloudError(
                f"{connection.place}: found no endpoint named {name}; expected one: check vertex.endpoint.name"
            )
        traffic = _traffic(endpoint)
        deployed = sorted(endpoint.deployed_models, key=lambda each: each.create_time)
        serving = [index for index, each in enumerate(deployed) if each.id in traffic]
        if not serving or not serving[-1]:
            missing = f"no version before {deployed[0].display_name}" if serving else "no version with traffic"
            raise CloudError(
                f"{connection.place}: found {missing} on the endpoint {name}; expected one to roll back to: run the "
                "pipeline"
            )
        current, previous = deployed[serving[-1]], deployed[serving[-1] - 1]
        _set_traffic(connection, endpoint, {previous.id: ALL})
        return Rollback(name, current.display_name, previous.display_name)


def _find_or_create(connection: Connection, serving: ServingSettings) -> Any:
    """The endpoint with the given name.

    If the response to its creation is lost and the endpoint is not listed yet when it is looked up, there are two in
    the end. Endpoints without models cost nothing, and the next call reports it.
    """

    def find() -> Any | None:
        return find_by_name(connection, connection.endpoints.list_endpoints, "endpoint", serving.endpoint)

    if found := find():
        return found
    endpoint = {
        "display_name": serving.endpoint,
        "labels": dict(serving.labels),
        "encryption_spec": {"kms_key_name": serving.encryption_key} if serving.encryption_key else None,
    }
    return run_operation(
        lambda: connection.endpoints.create_endpoint(parent=connection.parent, endpoint=endpoint, timeout=TIMEOUT),
        find_result=find,
    )


def _deploy_version(
    connection: Connection, endpoint: Any, serving: ServingSettings, version: ModelVersion, name: str
) -> None:
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
        "traffic_split": _new_traffic(endpoint, NEW, serving.traffic),
    }
    run_operation(
        lambda: connection.endpoints.deploy_model(request=request, timeout=TIMEOUT),
        find_result=lambda: _find_deployed(_idle_endpoint(connection, endpoint.name), version),
    )


@contextlib.contextmanager
def _undoing_on_failure(connection: Connection, before: Any, version: ModelVersion) -> Iterator[None]:
    """Undoes the changes of a failed deployment to the endpoint.

    Raises:
        CloudError: In place of Vertex AI's error.
    """
    from google.api_core.exceptions import GoogleAPICallError

    try:
        yield
    except GoogleAPICallError as error:
        message = error_message(error)
        try:
            with raising_cloud_errors():
                _restore(connection, before, version)
        except CloudError as second:
            raise CloudError(f"{message}; the traffic split may have changed too: {second}") from error
        raise CloudError(f"{message}; the endpoint {before.display_name} serves as before") from error


def _restore(connection: Connection, before: Any, version: ModelVersion) -> None:
    now = _idle_endpoint(connection, before.name)
    if _traffic(before) and _traffic(now) != _traffic(before):
        now = _set_traffic(connection, now, _traffic(before))
    if left_over := _find_deployed(now, version):
        _undeploy(connection, now.name, left_over.id)


def _new_traffic(endpoint: Any, new: str, traffic: int) -> dict[str, int]:
    """Percentage of the traffic by id, once the new version has its part."""
    before = _traffic(endpoint, without=new)
    serving = sorted((each for each in endpoint.deployed_models if each.id in before), key=_newest_first)
    kept = serving[:MAX_EARLIER] if traffic else serving
    return split_traffic(new, traffic, {each.id: before[each.id] for each in kept})


def _undeploy_old(connection: Connection, endpoint: Any, new: ModelVersion) -> None:
    """Keeps, as well as the new version, those with traffic and then the newest, up to :data:`MAX_EARLIER`."""
    traffic = _traffic(endpoint)
    earlier = [each for each in endpoint.deployed_models if not _is_version(each, new)]
    idle = sorted((each for each in earlier if each.id not in traffic), key=_newest_first)
    for each in idle[max(0, MAX_EARLIER - (len(earlier) - len(idle))) :]:
        _undeploy(connection, endpoint.name, each.id)


def _undeploy(connection: Connection, endpoint: str, deployed: str) -> None:
    def is_gone() -> bool | None:
        return all(each.id != deployed for each in _idle_endpoint(connection, endpoint).deployed_models) or None

    request = {"endpoint": endpoint, "deployed_model_id": deployed}
    run_operation(lambda: connection.endpoints.undeploy_model(request=request, timeout=TIMEOUT), is_gone)


def _set_traffic(connection: Connection, endpoint: Any, traffic: Mapping[str, int]) -> Any:
    """Changes the traffic split, unless the endpoint has been changed by someone else since it was read."""

    def find_changed() -> Any | None:
        now = _get(connection, endpoint.name)
        return now if _traffic(now) == dict(traffic) else None

    changed = {"name": endpoint.name, "traffic_split": dict(traffic), "etag": endpoint.etag}
    mask = {"paths": ["traffic_split"]}
    return with_retries(
        lambda: connection.endpoints.update_endpoint(endpoint=changed, update_mask=mask, timeout=TIMEOUT), find_changed
    )


def _idle_endpoint(connection: Connection, name: str) -> Any:
    """The endpoint, once no operation on it is running."""
    wait_until_idle(connection.endpoints, name)
    return _get(connection, name)


def _get(connection: Connection, name: str) -> Any:
    return with_retries(lambda: connection.endpoints.get_endpoint(name=name, timeout=TIMEOUT))


def _traffic(endpoint: Any, without: str = "") -> dict[str, int]:
    """Percentage of the traffic by id, where it is not 0."""
    return {key: value for key, value in endpoint.traffic_split.items() if value and key != without}


def _newest_first(deployed: Any) -> float:
    """Sort key."""
    return -float(deployed.create_time.timestamp())


def _find_deployed(endpoint: Any, version: ModelVersion) -> Any | None:
    return next((each for each in endpoint.deployed_models if _is_version(each, version)), None)


def _is_version(deployed: Any, version: ModelVersion) -> bool:
    # Compares the last part only, since Vertex AI may name the project by its number.
    model = deployed.model.partition("@")[0].rpartition("/")[2]
    return (model, deployed.model_version_id) == (version.model.rpartition("/")[2], version.number)
