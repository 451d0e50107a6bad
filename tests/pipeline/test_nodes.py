import json
from pathlib import Path
from typing import Any

import pytest

from common.project import ROOT
from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_config, load_vertex_config
from pipeline.nodes import NODES
from pipeline.pipeline import create_pipeline

ALL = {"training.warm_start": "true", "tuning.enabled": "true"}
VERTEX: dict[str, Any] = {
    "project": "my-project",
    "region": "europe-west4",
    "bucket": "gs://bucket",
    "image": "host/image:1",
}
SCHEMA = (ROOT / "schema/taxi/schema.pbtxt").read_text()
ENDPOINT = (
    "{name: rides, image: host/serving:1, traffic: 10, min_replicas: 2, max_replicas: 3, "
    "machine: {type: n1-standard-8, accelerator: NVIDIA_TESLA_T4, accelerators: 2}}"
)


def test_nodes_match_the_pipeline_in_topological_order(tmp_path: Path) -> None:
    here = load_config(ROOT / "configs/taxi.yaml", ALL, output=str(tmp_path))
    there = load_vertex_config(ROOT / "configs/taxi.yaml", {**ALL, "vertex.endpoint": ENDPOINT}, **VERTEX)
    ids = {node.id for node in create_pipeline(here, schema_text=SCHEMA).components}
    assert sorted({*ids, "VertexEndpoint"}) == sorted(NODES)
    components = create_pipeline(there, schema_text=SCHEMA).components
    assert sorted(component.id for component in components) == sorted(NODES)
    for component in components:
        for upstream in component.upstream_nodes:
            assert NODES.index(upstream.id) < NODES.index(component.id)


def test_warm_start_passes_a_blessed_model_to_the_trainer(tmp_path: Path) -> None:
    config = load_config(
        ROOT / "configs/taxi.yaml", {"training.warm_start": "true"}, output=str(tmp_path), tune=False, workers=2
    )
    [trainer] = [each for each in create_pipeline(config, schema_text=SCHEMA).components if each.id == "Trainer"]
    assert trainer.inputs["base_model"].producer_component_id == "WarmStartModel"
    assert '"workers": 2' in trainer.exec_properties["custom_config"]


def test_endpoint_has_the_serving_settings() -> None:
    settings = {
        "vertex.endpoint": ENDPOINT,
        "vertex.labels": "{team: rides}",
        "vertex.service_account": "runs@my-project.iam.gserviceaccount.com",
        "vertex.encryption_key": "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k",
    }
    config = load_vertex_config(ROOT / "configs/taxi.yaml", settings, **VERTEX)
    [node] = [each for each in create_pipeline(config, schema_text=SCHEMA).components if each.id == "VertexEndpoint"]
    assert node.inputs["pushed_model"].producer_component_id == "Pusher"
    assert node.exec_properties["project"] == "my-project"
    assert node.exec_properties["region"] == "europe-west4"
    assert json.loads(node.exec_properties["serving"]) == {
        "endpoint": "rides",
        "model": "taxi",
        "image": "host/serving:1",
        "machine": "n1-standard-8",
        "accelerator": "NVIDIA_TESLA_T4",
        "accelerators": 2,
        "min_replicas": 2,
        "max_replicas": 3,
        "traffic": 10,
        "labels": {"team": "rides"},
        "service_account": "runs@my-project.iam.gserviceaccount.com",
        "encryption_key": "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k",
    }


def test_an_endpoint_without_an_image_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"vertex\.endpoint\.image: missing; expected a TensorFlow Serving image"):
        load_vertex_config(ROOT / "configs/taxi.yaml", {"vertex.endpoint": "{name: rides}"}, **VERTEX)
