import dataclasses
from typing import Any

import pytest

from cloud.endpoint import deploy, roll_back
from cloud.registry import register_version
from cloud.serving import ServingSettings
from cloud.stand_in import BROKEN, StandIn
from cloud.vertex import CloudError, Connection, connect

KEY = "projects/p/locations/europe-west4/keyRings/ring/cryptoKeys/key"
SERVING = ServingSettings(endpoint="rides", model="taxi", image="host/serving:1", machine="n2-standard-4")
CANARY = dataclasses.replace(SERVING, traffic=10)
LOST = [503, 502, BROKEN]


@pytest.fixture
def here(stand_in: StandIn) -> Connection:
    return connect("my-project", "europe-west4")


def push(here: Connection, serving: ServingSettings, *versions: int) -> None:
    for version in versions:
        deploy(here, serving, str(version), f"gs://bucket/deployed/{version}")


def traffic(stand_in: StandIn) -> dict[str, int]:
    """Percentage by display name of the deployed versions, including 0."""
    [endpoint] = stand_in.resources("endpoints")
    split = endpoint["trafficSplit"]
    assert set(split) <= {each["id"] for each in endpoint["deployedModels"]}
    return {each["displayName"]: split.get(each["id"], 0) for each in endpoint["deployedModels"]}


def sent(stand_in: StandIn, verb: str) -> list[dict[str, Any]]:
    return [each.body for each in stand_in.requests if each.method == "POST" and each.path.endswith(verb)]


def test_the_first_version_gets_all_whatever_its_share(here: Connection, stand_in: StandIn) -> None:
    deployed = deploy(here, CANARY, "100", "gs://bucket/deployed/100")
    assert traffic(stand_in) == {"taxi-100": 100}
    assert deployed.traffic == {"taxi-100": 100}
    [endpoint] = stand_in.resources("endpoints")
    [model] = stand_in.resources("models")
    assert (deployed.endpoint, deployed.version) == (endpoint["name"], f"{model['name']}@1")


def test_the_endpoint_is_made_as_the_settings_say(here: Connection, stand_in: StandIn) -> None:
    deploy(here, dataclasses.replace(SERVING, labels={"team": "rides"}, encryption_key=KEY), "100", "gs://bucket/100")
    [endpoint] = sent(stand_in, "/endpoints")
    assert endpoint == {"displayName": "rides", "labels": {"team": "rides"}, "encryptionSpec": {"kmsKeyName": KEY}}


def test_the_machines_are_those_of_the_settings(here: Connection, stand_in: StandIn) -> None:
    serving = dataclasses.replace(
        SERVING,
        machine="n1-standard-8",
        accelerator="NVIDIA_TESLA_T4",
        accelerators=2,
        min_replicas=2,
        max_replicas=5,
        service_account="runs@p.iam.gserviceaccount.com",
    )
    deploy(here, serving, "100", "gs://bucket/deployed/100")
    [request] = sent(stand_in, ":deployModel")
    [model] = stand_in.resources("models")
    assert request["deployedModel"] == {
        "model": f"{model['name']}@1",
        "displayName": "taxi-100",
        "serviceAccount": "runs@p.iam.gserviceaccount.com",
        "dedicatedResources": {
            "machineSpec": {
                "machineType": "n1-standard-8",
                "acceleratorType": "NVIDIA_TESLA_T4",
                "acceleratorCount": 2,
            },
            "minReplicaCount": 2,
            "maxReplicaCount": 5,
        },
    }


def test_a_second_version_belongs_to_the_same_model_and_gets_its_traffic(here: Connection, stand_in: StandIn) -> None:
    push(here, CANARY, 100, 200)
    assert traffic(stand_in) == {"taxi-100": 90, "taxi-200": 10}
    [model] = stand_in.resources("models")
    assert [upload.get("parentModel") for upload in sent(stand_in, "models:upload")] == [None, model["name"]]
    assert len(stand_in.resources("endpoints")) == 1


def test_three_versions_keep_their_proportions(here: Connection, stand_in: StandIn) -> None:
    push(here, CANARY, 100, 200, 300)
    assert traffic(stand_in) == {"taxi-100": 81, "taxi-200": 9, "taxi-300": 10}


def test_two_earlier_versions_stay_to_go_back_to(here: Connection, stand_in: StandIn) -> None:
    push(here, SERVING, 100, 200, 300, 400)
    assert traffic(stand_in) == {"taxi-200": 0, "taxi-300": 0, "taxi-400": 100}


def test_a_new_version_shares_with_two_earlier_ones_and_the_oldest_leaves(here: Connection, stand_in: StandIn) -> None:
    push(here, CANARY, 100, 200, 300, 400)
    assert traffic(stand_in) == {"taxi-200": 43, "taxi-300": 47, "taxi-400": 10}
    push(here, CANARY, 500)
    assert traffic(stand_in) == {"taxi-300": 74, "taxi-400": 16, "taxi-500": 10}
    push(here, SERVING, 600)
    assert traffic(stand_in) == {"taxi-400": 0, "taxi-500": 0, "taxi-600": 100}


def test_a_new_version_without_traffic_changes_nothing_for_the_others(here: Connection, stand_in: StandIn) -> None:
    push(here, CANARY, 100, 200)
    idle = dataclasses.replace(SERVING, traffic=0)
    push(here, idle, 300)
    assert traffic(stand_in) == {"taxi-100": 90, "taxi-200": 10, "taxi-300": 0}
    push(here, idle, 400)
    assert traffic(stand_in) == {"taxi-100": 90, "taxi-200": 10, "taxi-400": 0}
    push(here, dataclasses.replace(SERVING, traffic=50), 500)
    assert traffic(stand_in) == {"taxi-100": 45, "taxi-200": 5, "taxi-500": 50}


def test_a_version_without_traffic_keeps_three_others_deployed(here: Connection, stand_in: StandIn) -> None:
    push(here, CANARY, 100, 200, 300)
    push(here, dataclasses.replace(SERVING, traffic=0), 400)
    assert traffic(stand_in) == {"taxi-100": 81, "taxi-200": 9, "taxi-300": 10, "taxi-400": 0}


def test_the_oldest_has_its_share_again_if_the_deployment_fails(here: Connection, stand_in: StandIn) -> None:
    push(here, CANARY, 100, 200, 300)
    stand_in.fail("deployModel", "unhealthy", done=True)
    with pytest.raises(CloudError, match="serves as before"):
        push(here, CANARY, 400)
    assert traffic(stand_in) == {"taxi-100": 81, "taxi-200": 9, "taxi-300": 10}


def test_a_deployed_version_gets_new_traffic(here: Connection, stand_in: StandIn) -> None:
    push(here, CANARY, 100, 200)
    deploy(here, dataclasses.replace(SERVING, traffic=60), "200", "gs://bucket/deployed/200")
    assert traffic(stand_in) == {"taxi-100": 40, "taxi-200": 60}
    assert len(sent(stand_in, "models:upload")) == len(sent(stand_in, ":deployModel")) == 2


@pytest.mark.parametrize("done", [False, True])
def test_a_deployment_that_fails_leaves_the_traffic_as_it_was(here: Connection, stand_in: StandIn, done: bool) -> None:
    push(here, CANARY, 100, 200)
    stand_in.fail("deployModel", "the model server never became healthy", done=done)
    with pytest.raises(CloudError) as caught:
        push(here, SERVING, 300)
    assert traffic(stand_in) == {"taxi-100": 90, "taxi-200": 10}
    assert str(caught.value) == (
        "Vertex AI: rejected (400: the model server never became healthy); the endpoint rides serves as before"
    )
    push(here, SERVING, 300)
    assert traffic(stand_in) == {"taxi-100": 0, "taxi-200": 0, "taxi-300": 100}
    assert len(sent(stand_in, "models:upload")) == 3  # the version that failed is taken again


def test_a_first_deployment_that_fails_leaves_nothing_deployed(here: Connection, stand_in: StandIn) -> None:
    stand_in.fail("deployModel", "no machine", code=8, done=True)
    with pytest.raises(CloudError, match="quota is exceeded"):
        push(here, SERVING, 100)
    assert traffic(stand_in) == {}


def test_a_refused_deployment_says_so(here: Connection, stand_in: StandIn) -> None:
    push(here, SERVING, 100)
    stand_in.refuse(":deployModel", 403, message="Permission 'aiplatform.endpoints.deploy' denied")
    with pytest.raises(
        CloudError, match=r"grant it roles/aiplatform\.user in the project; the endpoint rides serves as"
    ):
        push(here, SERVING, 200)
    assert traffic(stand_in) == {"taxi-100": 100}


def test_traffic_that_cannot_be_restored_is_reported(here: Connection, stand_in: StandIn) -> None:
    push(here, SERVING, 100)
    stand_in.fail("deployModel", "unhealthy", done=True)
    stand_in.refuse("PATCH", 403, message="read only")
    with pytest.raises(CloudError, match=r"unhealthy.*; the traffic split may have changed too: .*read only"):
        push(here, SERVING, 200)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again(here: Connection, stand_in: StandIn, status: int) -> None:
    for verb in ("models:upload", "/endpoints$", ":deployModel", "operations"):
        stand_in.refuse(verb, status, times=2)
    push(here, SERVING, 100)
    assert traffic(stand_in) == {"taxi-100": 100}


@pytest.mark.parametrize("status", LOST)
@pytest.mark.parametrize("verb", ["POST .*/endpoints$", ":deployModel", "PATCH", ":undeployModel", "models:upload"])
def test_a_request_with_a_lost_response_is_not_repeated(
    here: Connection, stand_in: StandIn, verb: str, status: int
) -> None:
    stand_in.refuse(verb, status, after=True)
    push(here, SERVING, 100, 200, 300, 400)
    assert traffic(stand_in) == {"taxi-200": 0, "taxi-300": 0, "taxi-400": 100}
    push(here, CANARY, 300)  # by a change of the traffic alone
    assert traffic(stand_in) == {"taxi-200": 0, "taxi-300": 10, "taxi-400": 90}
    assert len(stand_in.resources("endpoints")) == 1
    assert len(sent(stand_in, "models:upload")) == len(sent(stand_in, ":deployModel")) == 4
    assert len(sent(stand_in, ":undeployModel")) == 1


@pytest.mark.parametrize("status", LOST)
def test_a_deployment_that_is_under_way_is_waited_for_and_not_doubled(
    here: Connection, stand_in: StandIn, status: int
) -> None:
    push(here, CANARY, 100)
    stand_in.delay("deployModel", 3)
    stand_in.refuse(":deployModel", status, after=True)
    push(here, CANARY, 200)
    assert traffic(stand_in) == {"taxi-100": 90, "taxi-200": 10}
    assert len(sent(stand_in, ":deployModel")) == 2


def test_a_deployment_of_a_killed_step_is_not_repeated(
    here: Connection, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    push(here, CANARY, 100)
    register_version(here, CANARY, "200", "gs://bucket/deployed/200")
    stand_in.delay("deployModel", 3)
    with monkeypatch.context() as patch:
        patch.setattr("google.api_core.operation.Operation.result", die)
        with pytest.raises(Killed):
            push(here, CANARY, 200)
    assert traffic(stand_in) == {"taxi-100": 100}
    push(here, CANARY, 200)
    assert traffic(stand_in) == {"taxi-100": 90, "taxi-200": 10}
    assert len(sent(stand_in, ":deployModel")) == 2


def test_an_operation_that_never_ends_is_reported(
    here: Connection, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(here, SERVING, 100)
    stand_in.delay("deployModel", 10**6)
    stand_in.refuse(":deployModel", 503, after=True)
    monkeypatch.setattr("cloud.calls.MAX_OPERATION_SECONDS", 0.2)
    with pytest.raises(CloudError, match="still running after the time limit"):
        push(here, SERVING, 200)


def test_two_endpoints_with_one_name_are_rejected(here: Connection, stand_in: StandIn) -> None:
    for _ in range(2):
        here.endpoints.create_endpoint(parent=here.parent, endpoint={"display_name": "rides"})
    with pytest.raises(CloudError, match="found 2 endpoints named rides; expected one: delete the others"):
        push(here, SERVING, 100)


def test_all_traffic_goes_back_to_the_version_before(here: Connection, stand_in: StandIn) -> None:
    push(here, CANARY, 100, 200)
    rolled_back = roll_back(here, "rides")
    assert (rolled_back.endpoint, rolled_back.from_version, rolled_back.to_version) == ("rides", "taxi-200", "taxi-100")
    assert traffic(stand_in) == {"taxi-100": 100, "taxi-200": 0}


def test_rolling_back_stops_at_the_oldest_version(here: Connection, stand_in: StandIn) -> None:
    push(here, SERVING, 100, 200, 300)
    assert roll_back(here, "rides").to_version == "taxi-200"
    assert roll_back(here, "rides").to_version == "taxi-100"
    with pytest.raises(CloudError, match="found no version before taxi-100 on the endpoint rides"):
        roll_back(here, "rides")
    assert traffic(stand_in) == {"taxi-100": 100, "taxi-200": 0, "taxi-300": 0}


def test_there_is_nothing_to_roll_back(here: Connection, stand_in: StandIn) -> None:
    with pytest.raises(CloudError, match=r"found no endpoint named rides; expected one: check vertex\.endpoint\.name"):
        roll_back(here, "rides")
    here.endpoints.create_endpoint(parent=here.parent, endpoint={"display_name": "rides"})
    with pytest.raises(CloudError, match="found no version with traffic on the endpoint rides"):
        roll_back(here, "rides")


def test_a_change_meanwhile_is_not_overwritten(here: Connection, stand_in: StandIn) -> None:
    push(here, CANARY, 100, 200)
    stand_in.refuse("PATCH", 409, message="its etag is another")
    with pytest.raises(CloudError, match="is being changed"):
        roll_back(here, "rides")
    [update] = [each for each in stand_in.requests if each.method == "PATCH"]
    assert update.body["etag"]
