from typing import Any

import pytest

from cloud.endpoint import deploy
from cloud.stand_in import StandIn
from cloud.vertex import connect
from common.project import ROOT
from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_vertex_config
from pipeline.config.vertex import Endpoint, Vertex
from pipeline.vertex.rollback import roll_back
from pipeline.vertex_serving import serving_settings

PLACE: dict[str, Any] = {
    "project": "my-project",
    "region": "europe-west4",
    "bucket": "gs://bucket",
    "image": "host/image:1",
}


def test_endpoint_of_the_settings_is_rolled_back(stand_in: StandIn) -> None:
    settings = {"vertex.endpoint": "{name: rides, image: host/serving:1, traffic: 10}"}
    config = load_vertex_config(ROOT / "configs/taxi.yaml", settings, **PLACE)
    here = connect("my-project", "europe-west4")
    for version in ("100", "200"):
        deploy(here, serving_settings(config), version, f"gs://bucket/{version}")
    rolled_back = roll_back(config.vertex)
    assert (rolled_back.endpoint, rolled_back.from_version, rolled_back.to_version) == ("rides", "taxi-200", "taxi-100")
    [endpoint] = stand_in.resources("endpoints")
    assert list(endpoint["trafficSplit"].values()) == [100]


@pytest.mark.parametrize("missing", ["project", "region", "endpoint"])
def test_missing_setting_is_reported(missing: str) -> None:
    given: dict[str, Any] = {"project": "my-project", "region": "europe-west4", "endpoint": Endpoint(name="rides")}
    del given[missing]
    with pytest.raises(ConfigError, match=rf"^vertex\.{missing}: missing; "):
        roll_back(Vertex(**given))
