from pathlib import Path

from pipeline.config import ROOT, load_config
from pipeline.nodes import NODES
from pipeline.pipeline import create_pipeline


def test_nodes_are_those_of_the_pipeline_in_an_order_that_can_run(tmp_path: Path) -> None:
    config = load_config(ROOT / "configs/taxi.yaml", output=str(tmp_path), tune=True)
    components = create_pipeline(config, schema_text="").components
    assert sorted(component.id for component in components) == sorted(NODES)
    for component in components:
        for upstream in component.upstream_nodes:
            assert NODES.index(upstream.id) < NODES.index(component.id)
