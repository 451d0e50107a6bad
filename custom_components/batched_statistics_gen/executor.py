"""Executor of BatchedStatisticsGen."""

import os
from typing import Any

import tensorflow_data_validation as tfdv
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import Artifact, artifact_utils
from tfx.types.standard_component_specs import EXAMPLES_KEY, STATISTICS_KEY

from artifacts.names import STATISTICS_FILE
from custom_components.shared.examples import split_files
from custom_components.shared.record_batches import ExamplesByBatch


class Executor(BaseBeamExecutor):
    """Computes the statistics of each split."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the statistics of each split.

        Args:
            input_dict: ``examples``, raw.
            output_dict: ``statistics``, with one folder per split that contains ``FeatureStats.pb``.
            exec_properties: Not used.

        Raises:
            ValueError: A split has no file.
            RuntimeError: A Beam worker failed, for example with ``tf.errors.DataLossError`` for a damaged file.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict[EXAMPLES_KEY])
        statistics = artifact_utils.get_single_instance(output_dict[STATISTICS_KEY])
        statistics.split_names, statistics.span = examples.split_names, examples.span
        with self._make_beam_pipeline() as pipeline:
            for split in artifact_utils.decode_split_names(examples.split_names):
                source = ExamplesByBatch(split_files([examples], split))
                path = os.path.join(artifact_utils.get_split_uri([statistics], split), STATISTICS_FILE)
                _ = (
                    pipeline
                    | f"Read[{split}]" >> source.BeamSource()
                    | f"Generate[{split}]" >> tfdv.GenerateStatistics()
                    | f"Write[{split}]" >> tfdv.WriteStatisticsToBinaryFile(path)
                )
