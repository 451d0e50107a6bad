"""Executor of BatchedEvaluator: TFX's, after the trivial model has been fitted if a threshold needs it."""

from typing import Any

from absl import logging
from tensorflow_model_analysis.proto import config_pb2
from tfx.components.evaluator import executor
from tfx.types import Artifact, artifact_utils
from tfx.types.standard_component_specs import EVAL_CONFIG_KEY, EXAMPLES_KEY, MODEL_KEY
from tfx.utils import path_utils, proto_utils

from custom_components.batched_evaluator.trivial_settings import CLASS_NAME


class Executor(executor.Executor):
    """Evaluates the model, and compares it with the trivial model if a threshold needs that."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs TFX's executor. The train split is only read if the model is compared with the trivial one."""
        if CLASS_NAME in exec_properties[EVAL_CONFIG_KEY]:
            # Takes seconds to import, and is only needed for such a threshold.
            from custom_components.batched_evaluator.trivial_model import fit_to_examples, settings_of, with_predictions  # noqa: PLC0415

            config = proto_utils.json_to_proto(exec_properties[EVAL_CONFIG_KEY], config_pb2.EvalConfig())
            folder = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict[MODEL_KEY]))
            model = fit_to_examples(settings_of(config), input_dict[EXAMPLES_KEY], folder)
            logging.info("%s", model)
            text = proto_utils.proto_to_json(with_predictions(config, model))
            exec_properties = {**exec_properties, EVAL_CONFIG_KEY: text}
        super().Do(input_dict, output_dict, exec_properties)
