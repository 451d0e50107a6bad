from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError

from cloud import calls, vertex
from cloud.calls import TRIES, finished, retrying
from cloud.stand_in import StandIn
from cloud.vertex import CloudError, connect, explained, explaining


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FIRST_WAIT", 0.01)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn() as server:
        monkeypatch.setenv(vertex.ENDPOINT, server.endpoint)
        yield server


def _list() -> list[object]:
    here = connect("my-project", "europe-west4")
    return retrying(lambda: list(here.endpoints.list_endpoints(parent=here.parent)))


DENIED = "Permission 'aiplatform.endpoints.list' denied on resource '//x' (or it may not exist)."
OFF = "Vertex AI API has not been used in project 1 before or it is disabled."
NO_QUOTA = "The aiplatform.googleapis.com API requires a quota project, which is not set by default."
ACT_AS = "You do not have permission to act as service_account: runs@p.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (400, "bad filter", ["refused (400: bad filter)"]),
        (403, DENIED, ["no permission aiplatform.endpoints.list", "give it roles/aiplatform.user"]),
        (403, "permission 'storage.objects.get' denied", ["storage.objects.get", "give it roles/storage.objectAdmin"]),
        (403, OFF, ["gcloud services enable aiplatform.googleapis.com --project my-project"]),
        (403, NO_QUOTA, ["gcloud auth application-default set-quota-project my-project"]),
        (400, ACT_AS, ["roles/iam.serviceAccountUser on vertex.service_account"]),
        (404, "nothing", ["not found", "vertex.project and vertex.region"]),
        (409, "twice", ["exists already"]),
        (429, "Quota 'CustomModelTrainingCPUs' exceeded", ["quota is used up", "CustomModelTrainingCPUs"]),
        (503, "down", ["not available for now", "try again later"]),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(stand_in: StandIn, status: int, said: str, told: list[str]) -> None:
    stand_in.refuse("endpoints", status, times=99, message=said)
    with pytest.raises(CloudError) as caught, explaining():
        _list()
    text = str(caught.value)
    assert text.startswith("Vertex AI in my-project, europe-west4: ")
    assert all(each in text for each in (said, *told))
    assert "\n" not in text
    assert "http" not in text


@pytest.mark.parametrize("status", [429, 503])
def test_too_many_and_not_there_are_tried_again(stand_in: StandIn, status: int) -> None:
    stand_in.refuse("endpoints", status, times=calls.TRIES - 1)
    assert _list() == []
    assert len(stand_in.requests) == calls.TRIES


@pytest.mark.parametrize(("status", "tries"), [(403, 1), (404, 1), (409, 1), (429, 5), (503, 5)])
def test_tries_are_bounded(stand_in: StandIn, status: int, tries: int) -> None:
    stand_in.refuse("endpoints", status, times=99)
    with pytest.raises(exceptions.GoogleAPICallError):
        _list()
    assert len(stand_in.requests) == tries


def test_the_waits_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(calls, "FIRST_WAIT", 1.0)
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    monkeypatch.setattr("time.sleep", waits.append)

    def refused() -> None:
        raise exceptions.ServiceUnavailable("down")

    with pytest.raises(exceptions.ServiceUnavailable):
        retrying(refused)
    assert waits == [1, 2, 4, 8]


@pytest.mark.parametrize(("error", "calls"), [(exceptions.ServiceUnavailable, 1), (exceptions.TooManyRequests, TRIES)])
def test_what_must_not_be_done_twice_is_tried_again_only_where_it_was_not_done(
    monkeypatch: pytest.MonkeyPatch, error: type[exceptions.GoogleAPICallError], calls: int
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    made = []

    def refused() -> None:
        made.append(1)
        raise error("no")

    with pytest.raises(error):
        retrying(refused, repeatable=False)
    assert len(made) == calls


def test_an_operation_is_asked_for_again(stand_in: StandIn) -> None:
    here = connect("my-project", "europe-west4")
    operation = here.endpoints.create_endpoint(parent=here.parent, endpoint={"display_name": "taxi"})
    stand_in.refuse("operations", 503, times=2)
    assert finished(operation).display_name == "taxi"


def test_an_operation_that_failed_is_one_line(stand_in: StandIn) -> None:
    here = connect("my-project", "europe-west4")
    stand_in.fail("createEndpoint", "no machine of that type", code=8)
    operation = here.endpoints.create_endpoint(parent=here.parent, endpoint={"display_name": "taxi"})
    with (
        pytest.raises(CloudError, match=r"Vertex AI: the quota is used up \(429: no machine of that type\)"),
        explaining(),
    ):
        finished(operation)


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(vertex.ENDPOINT, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(CloudError, match="run 'gcloud auth application-default login'"):
        connect("my-project", "europe-west4")
    assert "gcloud auth" in explained(exceptions.Unauthorized("expired"))
    assert "found no credentials" in explained(DefaultCredentialsError("none\nat all"))


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(vertex.ENDPOINT, "http://127.0.0.1:9")
    with (
        pytest.raises(CloudError, match=r"cannot be reached; look at VERTEX_API_ENDPOINT, http://127.0.0.1:9"),
        explaining(),
    ):
        _list()
    monkeypatch.delenv(vertex.ENDPOINT)
    assert "look at vertex.region" in explained(requests.ConnectionError("refused"))


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), explaining():
        raise KeyError("ours")
