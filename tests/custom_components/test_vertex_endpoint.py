from pathlib import Path

import pytest
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils
from tfx.types import Channel
from tfx.types.standard_artifacts import PushedModel

from cloud.serving import ServingSettings
from cloud.stand_in import StandIn
from cloud.vertex import CloudError
from custom_components.vertex_endpoint.component import VertexEndpoint
from custom_components.vertex_endpoint.executor import Executor

SERVING = ServingSettings(endpoint="rides", model="taxi", image="host/serving:1", machine="n2-standard-4", traffic=10)


def pushed_model(folder: Path, version: str, pushed: int = 1) -> PushedModel:
    """What the Pusher gives, as a step on Vertex AI gets it: with properties that went through JSON."""
    model = folder / "serving/taxi" / version
    (model / "variables").mkdir(parents=True)
    (model / "saved_model.pb").write_text(version)
    (model / "variables/variables.index").write_text("weights")
    artifact = PushedModel()
    artifact.uri = str(folder / "artifact")
    artifact.set_int_custom_property("pushed", pushed)
    if pushed:
        artifact.set_string_custom_property("pushed_destination", str(model))
    message = kubeflow_v2_entrypoint_utils.to_runtime_artifact(artifact, {})
    message.type.instance_schema = "title: tfx.PushedModel\ntype: object\n"
    return kubeflow_v2_entrypoint_utils._parse_raw_artifact(message, {})


def execute(folder: Path, pushed: PushedModel) -> PushedModel:
    node = VertexEndpoint(Channel(type=PushedModel), "my-project", "europe-west4", SERVING)
    deployed = PushedModel()
    deployed.uri = str(folder / "deployed")
    Executor().Do({"pushed_model": [pushed]}, {"deployed_model": [deployed]}, node.exec_properties)
    return deployed


def test_the_pushed_model_is_deployed_from_a_folder_of_its_own(stand_in: StandIn, tmp_path: Path) -> None:
    deployed = execute(tmp_path, pushed_model(tmp_path, "1700000000"))
    files = {str(path.relative_to(deployed.uri)) for path in Path(deployed.uri).rglob("*") if path.is_file()}
    assert files == {"1700000000/saved_model.pb", "1700000000/variables/variables.index"}
    [upload] = [each.body for each in stand_in.requests if each.path.endswith("models:upload")]
    assert upload["model"]["artifactUri"] == deployed.uri
    assert upload["model"]["displayName"] == "taxi"
    [endpoint] = stand_in.resources("endpoints")
    [model] = endpoint["deployedModels"]
    assert (endpoint["displayName"], model["displayName"]) == ("rides", "taxi-1700000000")
    assert endpoint["trafficSplit"] == {model["id"]: 100}
    assert deployed.get_int_custom_property("pushed") == 1
    assert deployed.get_string_custom_property("pushed_destination") == endpoint["name"]
    assert deployed.get_string_custom_property("pushed_version") == f"{model['model']}@1"


def test_the_next_version_gets_its_traffic(stand_in: StandIn, tmp_path: Path) -> None:
    for version in ("1700000000", "1700000001"):
        execute(tmp_path / version, pushed_model(tmp_path / version, version))
    [endpoint] = stand_in.resources("endpoints")
    first, second = endpoint["deployedModels"]
    assert endpoint["trafficSplit"] == {first["id"]: 90, second["id"]: 10}


def test_a_model_that_was_not_pushed_is_not_deployed(stand_in: StandIn, tmp_path: Path) -> None:
    deployed = execute(tmp_path, pushed_model(tmp_path, "1700000000", pushed=0))
    assert stand_in.requests == []
    assert deployed.get_int_custom_property("pushed") == 0
    assert not Path(deployed.uri).exists()


def test_a_failure_is_recorded_in_one_line(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in.fail("deployModel", "unhealthy")
    with pytest.raises(CloudError, match=r"unhealthy.*serves as before"):
        execute(tmp_path, pushed_model(tmp_path, "1700000000"))
