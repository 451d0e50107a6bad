"""Answers the questions of tuners in other processes for a keras-tuner oracle."""

import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import keras_tuner
from keras_tuner.src import protos  # private, as its oracle's server is: its own chief sleeps 20 s at its end
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from models.distributed.cluster import HOST
from models.distributed.peers import POLL_SECONDS

ALL_INTERFACES = "0.0.0.0"  # noqa: S104 - other machines ask, on Vertex AI's network
GRACE_SECONDS = 2.0  # in which answers under way are sent
# keras-tuner's own names; a tuner finds the oracle by them.
ADDRESS, PORT, WHO = "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID"


class Servicer(OracleServicer):
    """keras-tuner's, which also notes who was told that there are no more trials.

    Attributes:
        told: Ids of those tuners.
    """

    def __init__(self, oracle: keras_tuner.engine.oracle.Oracle) -> None:
        super().__init__(oracle)
        self.told: set[str] = set()

    def CreateTrial(self, request: Any, context: Any) -> Any:
        """Gives a tuner its next trial."""
        response = super().CreateTrial(request, context)
        if response.trial.status == protos.get_proto().TrialStatus.STOPPED:
            self.told.add(request.tuner_id)
        return response

    def wait_for(self, tuners: set[str]) -> None:
        """Waits until tuners were told that there are no more trials; Vertex AI replaces those that are lost."""
        while not tuners <= self.told:
            time.sleep(POLL_SECONDS)


@contextmanager
def answering(oracle: keras_tuner.engine.oracle.Oracle, port: int = 0) -> Iterator[tuple[int, Servicer]]:
    """Answers for an oracle while the block lasts.

    Args:
        oracle: Which one.
        port: Where, for other machines too; 0 takes a free port, for processes of this machine alone.

    Yields:
        The port, and what answers on it.

    Raises:
        RuntimeError: The port is taken.
    """
    server, servicer = grpc.server(futures.ThreadPoolExecutor(max_workers=1)), Servicer(oracle)
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    bound = server.add_insecure_port(f"{ALL_INTERFACES if port else HOST}:{port}")
    server.start()
    try:
        yield bound, servicer
    finally:
        server.stop(GRACE_SECONDS).wait()
