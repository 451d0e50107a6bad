from pathlib import Path

from pipeline.config_loading import ROOT, load_config
from pipeline.nodes import NODES
from pipeline.pipeline import create_pipeline


def test_nodes_are_those_of_the_pipeline_in_an_order_that_can_run(tmp_path: Path) -> None:
    overrides = {"training.warm_start": "true"}
    config = load_config(ROOT / "configs/taxi.yaml", overrides, output=str(tmp_path), tune=True)
    components = create_pipeline(config, schema_text="").components
    assert sorted(component.id for component in components) == sorted(NODES)
    for component in components:
        for upstream in component.upstream_nodes:
            assert NODES.index(upstream.id) < NODES.index(component.id)


def test_a_warm_start_takes_a_blessed_model_into_the_trainer(tmp_path: Path) -> None:
    config = load_config(
        ROOT / "configs/taxi.yaml", {"training.warm_start": "true"}, output=str(tmp_path), tune=False, workers=2
    )
    [trainer] = [each for each in create_pipeline(config, schema_text="").components if each.id == "Trainer"]
    assert trainer.inputs["base_model"].producer_component_id == "WarmStartModel"
    assert '"workers": 2' in trainer.exec_properties["custom_config"]
