import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError

from cloud import calls, vertex
from cloud.calls import wait_for_operation, with_retries
from cloud.stand_in import StandIn
from cloud.vertex import CloudError, connect, error_message, find_by_name, raising_cloud_errors, require_name


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "FIRST_WAIT", 0.01)


def _list() -> list[object]:
    here = connect("my-project", "europe-west4")
    return with_retries(lambda: list(here.endpoints.list_endpoints(parent=here.parent)))


def test_an_operation_that_failed_is_one_line(stand_in: StandIn) -> None:
    here = connect("my-project", "europe-west4")
    stand_in.fail("createEndpoint", "no machine of that type", code=8)
    operation = here.endpoints.create_endpoint(parent=here.parent, endpoint={"display_name": "taxi"})
    with (
        pytest.raises(CloudError, match=r"Vertex AI: the quota is exceeded \(429: no machine of that type\)"),
        raising_cloud_errors(),
    ):
        wait_for_operation(operation)


class Odd(BaseHTTPRequestHandler):
    """Answers as no API does."""

    answer: tuple[int, bytes]

    def do_GET(self) -> None:
        status, body = self.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the base class names it so

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Odd]]:
    with HTTPServer(("127.0.0.1", 0), Odd) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv(vertex.ENDPOINT_VARIABLE, f"http://127.0.0.1:{server.server_port}")
        yield Odd
        server.shutdown()
        thread.join()


NOT_THE_API = "found a response that is not Vertex AI's; expected its JSON: check VERTEX_API_ENDPOINT, http://127."


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b"", NOT_THE_API),
        (200, b"\xff\xfe", NOT_THE_API),
        (200, b"null", NOT_THE_API),
        (200, b"[1]", NOT_THE_API),
        (200, b'{"endpoints": 5}', NOT_THE_API),
        (200, b"<html>\n<title>Sign in</title></html>", NOT_THE_API),
        (400, b'"no"', NOT_THE_API),
        (400, b'{"error": "invalid_request"}', NOT_THE_API),
        (400, b'{"error": {"details": null}}', NOT_THE_API),
        (400, b"", "rejected (400: unknown error)"),
        (400, b'{"error": {"message": "\\u001b[31mno\\n\\n\\tno"}}', "rejected (400: [31mno no)"),
        (401, b"", "found no valid credentials"),
        (302, b"", NOT_THE_API),
        (503, b"", "temporarily unavailable (503: unknown error); try again later"),
        (
            502,
            b"<!DOCTYPE html>\n<html><title>Bad\ngateway</title>",
            "received a web page instead of Vertex AI's response (502: Bad",
        ),
    ],
)
def test_a_response_that_is_not_the_apis_is_one_line(odd: type[Odd], status: int, body: bytes, told: str) -> None:
    odd.answer = (status, body)
    with pytest.raises(CloudError) as caught, raising_cloud_errors():
        _list()
    assert told in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_resource_without_a_name_is_rejected(odd: type[Odd]) -> None:
    odd.answer = (200, b'{"ok": true}')
    here = connect("my-project", "europe-west4")
    made = here.pipelines.create_pipeline_job(parent=here.parent, pipeline_job={})
    with pytest.raises(CloudError, match="found a response without a resource name; expected Vertex AI's"):
        require_name(made)


def test_a_resource_is_found_by_its_name_and_others_can_be_excluded(stand_in: StandIn) -> None:
    here = connect("my-project", "europe-west4")
    list_all = here.endpoints.list_endpoints
    assert find_by_name(here, list_all, "endpoint", "taxi") is None
    for name in ("taxi", "taxi", "other"):
        here.endpoints.create_endpoint(parent=here.parent, endpoint={"display_name": name})
    first, second, other = (each["name"] for each in stand_in.resources("endpoints"))
    assert find_by_name(here, list_all, "endpoint", "other").name == other  # type: ignore[union-attr]
    found = find_by_name(here, list_all, "endpoint", "taxi", exclude=lambda each: each.name == first)
    assert found.name == second  # type: ignore[union-attr]
    told = "Vertex AI in my-project, europe-west4: found 2 endpoints named taxi; expected one: delete the others"
    with pytest.raises(CloudError, match=told):
        find_by_name(here, list_all, "endpoint", "taxi")


@pytest.mark.parametrize("content", ["[1]", "not JSON\nat all", "{}", '{"type": "service_account"}', None])
def test_a_key_file_that_is_something_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    monkeypatch.delenv(vertex.ENDPOINT_VARIABLE, raising=False)
    file = tmp_path / "key.json"
    file.mkdir() if content is None else file.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(CloudError, match="found no valid credentials; expected those of an account") as caught:
        connect("my-project", "europe-west4")
    assert str(caught.value).isprintable()


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(vertex.ENDPOINT_VARIABLE, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(CloudError, match="run 'gcloud auth application-default login'"):
        connect("my-project", "europe-west4")
    assert "gcloud auth" in error_message(exceptions.Unauthorized("expired"))
    assert "found no valid credentials" in error_message(DefaultCredentialsError("none\nat all"))


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(vertex.ENDPOINT_VARIABLE, "http://127.0.0.1:9")
    with (
        pytest.raises(CloudError, match=r"cannot be reached; check VERTEX_API_ENDPOINT, http://127.0.0.1:9"),
        raising_cloud_errors(),
    ):
        _list()
    monkeypatch.delenv(vertex.ENDPOINT_VARIABLE)
    assert "check vertex.region" in error_message(requests.ConnectionError("refused"))


def test_the_last_error_of_retries_is_reported() -> None:
    cause = exceptions.ServiceUnavailable("down")
    assert error_message(exceptions.RetryError("timeout\nof 1 s", cause)) == error_message(cause)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), raising_cloud_errors():
        raise KeyError("ours")
