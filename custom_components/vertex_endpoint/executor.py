"""Executor of VertexEndpoint."""

import json
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from artifacts.names import PUSHED, PUSHED_DESTINATION, PUSHED_VERSION
from cloud.endpoint import deploy
from cloud.serving import ServingSettings
from cloud.vertex import connect


class Executor(base_executor.BaseExecutor):
    """Copies the pushed version to a separate folder and deploys it."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Deploys the model if it was pushed.

        Raises:
            CloudError: Vertex AI rejects a request. The endpoint serves as before.
        """
        pushed = artifact_utils.get_single_instance(input_dict["pushed_model"])
        deployed_model = artifact_utils.get_single_instance(output_dict["deployed_model"])
        if not pushed.get_int_custom_property(PUSHED):
            deployed_model.set_int_custom_property(PUSHED, 0)
            logging.info("No model was pushed, so there is nothing to deploy.")
            return
        source = pushed.get_string_custom_property(PUSHED_DESTINATION).rstrip("/")
        version = source.rpartition("/")[2]
        # TensorFlow Serving expects a folder of numbered versions, and Vertex AI copies the complete folder.
        io_utils.copy_dir(source, f"{deployed_model.uri}/{version}")
        connection = connect(exec_properties["project"], exec_properties["region"])
        serving = ServingSettings(**json.loads(exec_properties["serving"]))
        deployed = deploy(connection, serving, version, deployed_model.uri)
        deployed_model.set_int_custom_property(PUSHED, 1)
        deployed_model.set_string_custom_property(PUSHED_DESTINATION, deployed.endpoint)
        deployed_model.set_string_custom_property(PUSHED_VERSION, deployed.version)
        logging.info("Deployed %s to %s; traffic: %s", deployed.version, deployed.endpoint, deployed.traffic)
