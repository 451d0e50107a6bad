"""Requests to the REST API of a Flink cluster."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_SECONDS = 5.0


def request_json(address: str, path: str, method: str = "GET") -> Any:
    """Sends a request and returns the parsed JSON response.

    Args:
        address: ``host:port``.
        path: Path of the resource, such as ``/overview``.
        method: HTTP method.

    Raises:
        OSError: There is no response within five seconds, or it is an error.
        ValueError: The response is not JSON.
    """
    request = urllib.request.Request(f"http://{address}{path}", method=method)
    # Your cluster is not behind the proxy for outgoing requests.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return json.loads(response.read() or b"null")
    except http.client.HTTPException as error:
        raise OSError(f"not an HTTP server: {error!r}") from error


def cancel(address: str, name: str) -> None:
    """Cancels the unfinished jobs with a name.

    Raises:
        OSError, ValueError: Like :func:`request_json`.
    """
    for job in request_json(address, "/jobs/overview")["jobs"]:
        if job["name"] == name and job["end-time"] < 0:
            request_json(address, f"/jobs/{job['jid']}", "PATCH")
