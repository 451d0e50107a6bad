from google.cloud import aiplatform_v1
from google.protobuf import json_format

from cloud.serving import ServingSettings, container

SERVING = ServingSettings(endpoint="rides", model="taxi", image="host/serving:1", machine="n2-standard-4")


def test_the_server_is_tensorflow_serving_as_vertex_starts_and_asks_it() -> None:
    spec = aiplatform_v1.ModelContainerSpec(container(SERVING))
    assert json_format.MessageToDict(spec._pb) == {
        "imageUri": "host/serving:1",
        "command": ["/usr/bin/tensorflow_model_server"],
        "args": [
            "--port=8500",
            "--rest_api_port=8501",
            "--model_name=taxi",
            "--model_base_path=$(AIP_STORAGE_URI)",
            "--file_system_poll_wait_seconds=30",
        ],
        "ports": [{"containerPort": 8501}],
        "healthRoute": "/v1/models/taxi",
        "predictRoute": "/v1/models/taxi:predict",
    }
