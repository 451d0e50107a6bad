"""A local stand-in for Vertex AI's REST API, as far as the project uses it. It stores nothing on disk."""

from cloud.stand_in.jobs import CancelJob, RunJob
from cloud.stand_in.replicas import LocalJobs
from cloud.stand_in.server import BROKEN, StandIn
from cloud.stand_in.store import Request

__all__ = ["BROKEN", "CancelJob", "LocalJobs", "Request", "RunJob", "StandIn"]
