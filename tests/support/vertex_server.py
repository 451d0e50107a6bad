"""The local stand-in for Vertex AI, as a fixture."""

from collections.abc import Iterator

import pytest

from cloud import calls, vertex
from cloud.stand_in import StandIn


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A server that receives all requests. Retries do not wait."""
    monkeypatch.setattr(calls, "FIRST_WAIT", 0.01)
    with StandIn() as server:
        monkeypatch.setenv(vertex.ENDPOINT_VARIABLE, server.endpoint)
        yield server
