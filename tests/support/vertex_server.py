"""What stands for Vertex AI in tests."""

from collections.abc import Iterator

import pytest

from cloud import calls, vertex
from cloud.stand_in import StandIn


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The server that all connections go to; what is tried again is so at once."""
    monkeypatch.setattr(calls, "FIRST_WAIT", 0.01)
    with StandIn() as server:
        monkeypatch.setenv(vertex.ENDPOINT_VARIABLE, server.endpoint)
        yield server
