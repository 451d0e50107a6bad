"""Driver of ArrowExampleGen on Vertex AI: TFX's, with a fingerprint of the files' content.

Vertex AI runs it before it decides whether the step is cached. In a bucket, the fingerprint is made of the checksums
that Cloud Storage keeps, so no file is read.
"""

import json
from collections.abc import Mapping
from typing import Any

from absl import app
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.components.example_gen.utils import FINGERPRINT_PROPERTY_NAME
from tfx.dsl.io import fileio
from tfx.orchestration.kubeflow.v2.file_based_example_gen import driver
from tfx.types.standard_component_specs import CUSTOM_CONFIG_KEY, EXAMPLES_KEY, INPUT_BASE_KEY, INPUT_CONFIG_KEY

from custom_components.arrow_example_gen.driver import content_fingerprint


def main(arguments: Any) -> None:
    """Runs TFX's driver, and replaces the fingerprint that it wrote."""
    driver.main(arguments)
    given = json_format.Parse(
        arguments.json_serialized_invocation_args, pipeline_spec_pb2.ExecutorInput(), ignore_unknown_fields=True
    )
    values = given.inputs.parameter_values
    properties = {key: values[key].string_value for key in (INPUT_BASE_KEY, CUSTOM_CONFIG_KEY)}
    with fileio.open(given.outputs.output_file, "r") as file:
        output = json.loads(file.read())
    with fileio.open(given.outputs.output_file, "w") as file:
        file.write(json.dumps(with_content_fingerprint(output, properties), sort_keys=True))


def with_content_fingerprint(output: dict[str, Any], exec_properties: Mapping[str, Any]) -> dict[str, Any]:
    """The ``ExecutorOutput`` of TFX's driver, as JSON, with the content's fingerprint in place of TFX's.

    Args:
        output: The output.
        exec_properties: The node's properties that tell where the files are, apart from the pattern in the output.
    """
    parameters = output["parameterValues"]
    found = content_fingerprint({**exec_properties, INPUT_CONFIG_KEY: parameters[INPUT_CONFIG_KEY]})
    parameters[FINGERPRINT_PROPERTY_NAME] = found
    for artifact in output["artifacts"][EXAMPLES_KEY]["artifacts"]:
        artifact["metadata"][FINGERPRINT_PROPERTY_NAME] = found
    return output


if __name__ == "__main__":
    app.run(main, flags_parser=driver._parse_flags)
