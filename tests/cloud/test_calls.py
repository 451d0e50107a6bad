import pytest
import requests
from google.api_core import exceptions

from cloud import calls
from cloud.calls import MAX_TRIES, run_operation, wait_for_operation, wait_until_idle, with_retries
from cloud.stand_in import BROKEN, StandIn
from cloud.vertex import connect


def _list() -> list[object]:
    here = connect("my-project", "europe-west4")
    return with_retries(lambda: list(here.endpoints.list_endpoints(parent=here.parent)))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, BROKEN])
def test_too_many_requests_and_lost_responses_are_retried(stand_in: StandIn, status: int) -> None:
    stand_in.refuse("endpoints", status, times=calls.MAX_TRIES - 1)
    assert _list() == []
    assert len(stand_in.requests) == calls.MAX_TRIES


@pytest.mark.parametrize(("status", "tries"), [(403, 1), (404, 1), (409, 1), (429, 5), (500, 5), (503, 5), (BROKEN, 5)])
def test_tries_are_bounded(stand_in: StandIn, status: int, tries: int) -> None:
    stand_in.refuse("endpoints", status, times=99)
    with pytest.raises((exceptions.GoogleAPICallError, requests.ConnectionError)):
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
        with_retries(refused)
    assert waits == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("error", "calls"), [(exceptions.ServiceUnavailable, 1), (exceptions.TooManyRequests, MAX_TRIES)]
)
def test_a_call_that_is_not_repeatable_is_retried_only_if_it_had_no_effect(
    monkeypatch: pytest.MonkeyPatch, error: type[exceptions.GoogleAPICallError], calls: int
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    made = []

    def refused() -> None:
        made.append(1)
        raise error("no")

    with pytest.raises(error):
        with_retries(refused, repeatable=False)
    assert len(made) == calls


def test_an_operation_is_asked_for_again(stand_in: StandIn) -> None:
    here = connect("my-project", "europe-west4")
    operation = here.endpoints.create_endpoint(parent=here.parent, endpoint={"display_name": "taxi"})
    stand_in.refuse("operations", 503, times=2)
    assert wait_for_operation(operation).display_name == "taxi"


def test_the_result_of_an_earlier_try_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FIRST_WAIT", 0.001)
    asked, looks = [], iter([None, "made"])

    def lost() -> str:
        asked.append(1)
        raise requests.ReadTimeout

    assert with_retries(lost, find_result=lambda: next(looks)) == "made"
    assert len(asked) == 2


def test_nothing_is_looked_for_before_the_first_try() -> None:
    assert with_retries(lambda: "made", find_result=lambda: pytest.fail("looked")) == "made"


def test_an_operation_with_a_lost_response_returns_its_result(stand_in: StandIn) -> None:
    here = connect("my-project", "europe-west4")
    stand_in.refuse("POST .*/endpoints$", BROKEN, after=True)
    made = run_operation(
        lambda: here.endpoints.create_endpoint(parent=here.parent, endpoint={"display_name": "taxi"}),
        find_result=lambda: next(iter(here.endpoints.list_endpoints(parent=here.parent)), None),
    )
    assert [made.name] == [each["name"] for each in stand_in.resources("endpoints")]


def test_an_operation_under_way_is_waited_for(stand_in: StandIn) -> None:
    here = connect("my-project", "europe-west4")
    create = here.endpoints.create_endpoint
    endpoint = wait_for_operation(create(parent=here.parent, endpoint={"display_name": "taxi"})).name
    model = {"display_name": "taxi", "container_spec": {"image_uri": "image"}}
    model = wait_for_operation(here.models.upload_model(parent=here.parent, model=model)).model
    stand_in.delay("deployModel", 3)
    deployed = {"model": model, "dedicated_resources": {"machine_spec": {"machine_type": "n2-standard-4"}}}
    here.endpoints.deploy_model(endpoint=endpoint, deployed_model=deployed)
    assert not here.endpoints.get_endpoint(name=endpoint).deployed_models
    wait_until_idle(here.endpoints, endpoint)
    assert len(here.endpoints.get_endpoint(name=endpoint).deployed_models) == 1
    assert len([each for each in stand_in.requests if each.path.endswith("/operations")]) == 4


def test_an_operation_that_goes_on_is_waited_for_no_longer(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MAX_OPERATION_SECONDS", 0.05)
    here = connect("my-project", "europe-west4")
    endpoint = wait_for_operation(
        here.endpoints.create_endpoint(parent=here.parent, endpoint={"display_name": "taxi"})
    ).name
    monkeypatch.setattr(calls, "_is_busy", lambda *_: True)
    with pytest.raises(TimeoutError):
        wait_until_idle(here.endpoints, endpoint)
