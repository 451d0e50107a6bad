"""Serves a keras-tuner oracle to tuners in other processes."""

import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import keras_tuner
from keras_tuner.src import protos  # private, like keras-tuner's oracle server, whose chief sleeps for 20 s at the end
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from models.distributed.peers import POLL_SECONDS
from models.distributed.supervisor import LOCALHOST

ALL_INTERFACES = "0.0.0.0"  # noqa: S104 - for other machines of Vertex AI's network
GRACE_SECONDS = 2.0  # to send pending responses
# keras-tuner's names of the environment variables by which a tuner finds the oracle.
ORACLE_ADDRESS, ORACLE_PORT, TUNER_ID = "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID"


class Servicer(OracleServicer):
    """keras-tuner's servicer, which also remembers the tuners that got no further trial.

    Attributes:
        stopped_tuners: IDs of those tuners.
    """

    def __init__(self, oracle: keras_tuner.engine.oracle.Oracle) -> None:
        super().__init__(oracle)
        self.stopped_tuners: set[str] = set()

    def CreateTrial(self, request: Any, context: Any) -> Any:
        """Returns the next trial of a tuner."""
        response = super().CreateTrial(request, context)
        if response.trial.status == protos.get_proto().TrialStatus.STOPPED:
            self.stopped_tuners.add(request.tuner_id)
        return response

    def wait_for(self, tuners: set[str]) -> None:
        """Waits until these tuners have no further trial. Vertex AI replaces those that are lost."""
        while not tuners <= self.stopped_tuners:
            time.sleep(POLL_SECONDS)


@contextmanager
def serve_oracle(oracle: keras_tuner.engine.oracle.Oracle, port: int = 0) -> Iterator[tuple[int, Servicer]]:
    """Serves an oracle while the block runs.

    Args:
        oracle: The oracle.
        port: Port on all interfaces, for other machines. 0 picks a free port of the loopback interface.

    Yields:
        The port and the servicer.

    Raises:
        RuntimeError: The port is taken.
    """
    server, servicer = grpc.server(futures.ThreadPoolExecutor(max_workers=1)), Servicer(oracle)
    protos.get_service_grpc().add_OracleServicer_to_server(servicer, server)
    bound = server.add_insecure_port(f"{ALL_INTERFACES if port else LOCALHOST}:{port}")
    server.start()
    try:
        yield bound, servicer
    finally:
        server.stop(GRACE_SECONDS).wait()
