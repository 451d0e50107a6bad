"""What a Flink cluster's REST API is asked."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

SECONDS = 5.0


def ask(address: str, path: str, method: str = "GET") -> Any:
    """The answer to a request.

    Args:
        address: ``host:port``.
        path: Such as ``/overview``.
        method: Of HTTP.

    Raises:
        OSError: Nobody answers within five seconds, or it refuses.
        ValueError: The answer is no JSON.
    """
    request = urllib.request.Request(f"http://{address}{path}", method=method)
    # A cluster of one's own is not behind the proxy that leads out.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=SECONDS) as response:
            return json.loads(response.read() or b"null")
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP: {error!r}") from error


def cancel(address: str, name: str) -> None:
    """Cancels the jobs of a name that are not done.

    Raises:
        OSError, ValueError: As :func:`ask`.
    """
    for job in ask(address, "/jobs/overview")["jobs"]:
        if job["name"] == name and job["end-time"] < 0:
            ask(address, f"/jobs/{job['jid']}", "PATCH")
