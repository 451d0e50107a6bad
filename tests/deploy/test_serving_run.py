"""The configuration of deploy/serving works: the embedded server runs with the files and flags of the manifests."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from server_process import Server
from serving_files import CONFIG, canary_container, container, flags_of, health_command, pod
from tiny_models import write_model

from serving.models.batching_config import read_batching

pytestmark = pytest.mark.slow
STABLE, CANARY, NEWER = 1760000000, 1760003600, 1760007200
# Values that a user of the files edits. Tests substitute their own.
EDITED = {
    r"#.*": "",
    r"latest \{.*\} \}|specific \{.*\} \}": "latest { num_versions: 1 } }",
    r"(\bversions: \d+\s+)+": f"versions: {STABLE}\nversions: {CANARY}\n",
    r'key: "stable" value: \d+': f'key: "stable" value: {STABLE}',
    r'key: "canary" value: \d+': f'key: "canary" value: {CANARY}',
}
HALF = {"signature_name": "serving_default", "instances": [0.0]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Models whose predictions identify the version."""
    folder = tmp_path_factory.mktemp("models")
    return {
        version: write_model(folder / str(version), plus=float(place))
        for place, version in enumerate((STABLE, CANARY, NEWER))
    }


class Deployed:
    """A copy of the configuration, with folders on this machine instead of the container's."""

    def __init__(self, folder: Path, models: dict[int, Path]) -> None:
        self.base, self.config = folder / "models/taxi", folder / "config"
        self._models = models
        self.base.mkdir(parents=True)
        shutil.copytree(CONFIG, self.config)
        for path in self.config.glob("*.config"):
            text = path.read_text()
            for pattern, own in {**EDITED, '"/models/taxi"': f'"{self.base}"'}.items():
                text = re.sub(pattern, own, text)
            path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replaces the only occurrence of a text in a file."""
        text = (self.config / name).read_text()
        assert text.count(old) == 1, f"{name} holds '{old}' {text.count(old)} times"
        (self.config / name).write_text(text.replace(old, new))

    def push(self, version: int) -> None:
        """Pushes a version atomically, as the pipeline does."""
        shutil.copytree(self._models[version], self.base / f".pushing-{version}")
        (self.base / f".pushing-{version}").rename(self.base / str(version))

    def flags(self, models_config: str) -> list[str]:
        """The manifests' flags without the ports, which a test chooses, and with shorter polling intervals."""
        shorter = {flag: flag.replace("=10", "=1") for flag in flags_of("kubernetes") if "poll_wait_seconds=" in flag}
        assert len(shorter) == 2
        kept = [shorter.get(flag, flag) for flag in flags_of("kubernetes") if "port=" not in flag]
        placed = [flag.replace("/etc/serving/", f"{self.config}/") for flag in kept]
        return [flag.replace(f"{self.config}/models.config", f"{self.config}/{models_config}") for flag in placed]


@pytest.fixture
def deployed(tmp_path: Path, models: dict[int, Path]) -> Deployed:
    return Deployed(tmp_path, models)


def plus(server: Server, **spec: object) -> float:
    return server.predict("taxi", (0.0,), **spec)[0]


def labelled(server: Server, label: str) -> tuple[float, float]:
    """The predictions behind a label over gRPC and over REST."""
    status, answer = server.json("POST", f"/v1/models/taxi/labels/{label}:predict", HALF)
    assert status == 200, answer
    return plus(server, version_label=label), answer["predictions"][0]


def health(server: Server) -> int:
    """Runs the container file's health check."""
    command = [part.replace("/8501 ", f"/{server.rest_port} ") for part in health_command()]
    assert command != health_command()
    return subprocess.run(command, check=False, timeout=30, stderr=subprocess.DEVNULL).returncode


def readiness(server: Server, path: str) -> int:
    return server.rest("GET", path)[0]


def test_the_newest_version_is_served_and_every_probe_succeeds(
    serve: Callable[..., Server], deployed: Deployed
) -> None:
    deployed.push(STABLE)
    server = serve(*deployed.flags("models.config"))
    assert plus(server) == 0.0
    assert "unknown argument" not in server.log.read_text()
    assert readiness(server, container()["readinessProbe"]["httpGet"]["path"]) == 200
    probe = container()["livenessProbe"]["grpc"]["service"]
    status = health_pb2_grpc.HealthStub(server.channel).Check(health_pb2.HealthCheckRequest(service=probe), timeout=30)
    assert status.status == health_pb2.HealthCheckResponse.SERVING
    assert health(server) == 0
    code, metrics = server.rest("GET", pod()["metadata"]["annotations"]["prometheus.io/path"])
    assert code == 200
    assert b':tensorflow:serving:request_count{model_name="taxi",status="OK"} 1' in metrics
    deployed.push(CANARY)
    server.wait_for(lambda: plus(server) == 1.0)
    # The rollback that models.config describes.
    deployed.edit("models.config", "latest { num_versions: 1 }", f"specific {{ versions: {STABLE} }}")
    server.wait_for(lambda: plus(server) == 0.0)
    assert health(server) == 0
    assert server.stop() == 0
    assert health(server) != 0


def test_the_health_check_fails_while_no_version_is_available(serve: Callable[..., Server], deployed: Deployed) -> None:
    server = serve(*deployed.flags("models.config"), wait=False)
    server.wait_for(lambda: health(server) != 0)
    deployed.push(STABLE)
    server.wait_for(lambda: health(server) == 0)
    # The status of an unknown model is an error response, which must not count as healthy.
    command = [part.replace("/8501 ", f"/{server.rest_port} ").replace("taxi", "tram") for part in health_command()]
    assert subprocess.run(command, check=False, timeout=30).returncode == 1


def test_requests_are_merged_and_split_as_configured(serve: Callable[..., Server], deployed: Deployed) -> None:
    deployed.push(CANARY)
    server = serve(*deployed.flags("models.config"))
    max_batch_size = read_batching(CONFIG / "batching_parameters.txt").max_batch_size
    assert server.predict("taxi", (2.0,) * max_batch_size) == [2.0] * max_batch_size
    with pytest.raises(grpc.RpcError) as caught:
        server.predict("taxi", (2.0,) * (max_batch_size + 1))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_canary_is_promoted_and_rolled_back_by_editing_one_line(
    serve: Callable[..., Server], deployed: Deployed
) -> None:
    for version in (STABLE, CANARY):
        deployed.push(version)
    name = canary_container()["env"][0]["value"]
    server = serve(*deployed.flags(name))
    server.wait_for(lambda: server.states("taxi") == {STABLE: "AVAILABLE", CANARY: "AVAILABLE"})
    assert (labelled(server, "stable"), labelled(server, "canary")) == ((0.0, 0.0), (1.0, 1.0))
    assert readiness(server, canary_container()["readinessProbe"]["httpGet"]["path"]) == 200
    line = 'version_labels { key: "stable" value: %d }'
    deployed.edit(name, line % STABLE, line % CANARY)
    server.wait_for(lambda: labelled(server, "stable") == (1.0, 1.0))
    deployed.edit(name, line % CANARY, line % STABLE)
    server.wait_for(lambda: labelled(server, "stable") == (0.0, 0.0))
    assert labelled(server, "canary") == (1.0, 1.0)
    assert server.process.poll() is None, "the server did not restart"


def test_a_label_moves_only_to_a_loaded_version(serve: Callable[..., Server], deployed: Deployed) -> None:
    for version in (STABLE, CANARY, NEWER):
        deployed.push(version)
    name = "models-canary.config"
    server = serve(*deployed.flags(name))
    server.wait_for(lambda: server.states("taxi") == {STABLE: "AVAILABLE", CANARY: "AVAILABLE"})
    line = 'version_labels { key: "canary" value: %d }'
    deployed.edit(name, line % CANARY, line % NEWER)
    server.wait_for(lambda: "which is not currently available" in server.log.read_text())
    assert labelled(server, "canary") == (1.0, 1.0)
    deployed.edit(name, line % NEWER, line % CANARY)
    deployed.edit(name, f"versions: {CANARY}\n", f"versions: {CANARY}\n versions: {NEWER}\n")
    server.wait_for(lambda: server.states("taxi").get(NEWER) == "AVAILABLE")
    deployed.edit(name, line % CANARY, line % NEWER)
    server.wait_for(lambda: labelled(server, "canary") == (2.0, 2.0))
    assert labelled(server, "stable") == (0.0, 0.0)


def test_a_pod_is_ready_once_the_stable_version_is_available(serve: Callable[..., Server], deployed: Deployed) -> None:
    deployed.push(CANARY)
    server = serve(*deployed.flags("models-canary.config"))
    ready = canary_container()["readinessProbe"]["httpGet"]["path"]
    assert labelled(server, "canary") == (1.0, 1.0)
    assert readiness(server, ready) == 404
    deployed.push(STABLE)
    server.wait_for(lambda: readiness(server, ready) == 200)
    assert labelled(server, "stable") == (0.0, 0.0)
