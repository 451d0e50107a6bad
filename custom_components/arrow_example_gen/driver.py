"""Driver of ArrowExampleGen: a fingerprint of the files' content, which decides whether the node is cached."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import struct_pb2
from tfx.components.example_gen import driver
from tfx.components.example_gen.utils import FINGERPRINT_PROPERTY_NAME
from tfx.orchestration import data_types
from tfx.proto import example_gen_pb2
from tfx.types.standard_component_specs import CUSTOM_CONFIG_KEY
from tfx.utils import proto_utils

from custom_components.arrow_example_gen.executor import files_of_node
from custom_components.arrow_example_gen.formats.files import digest_of
from custom_components.arrow_example_gen.splits.strategy import fingerprint_of

FINGERPRINT = "fingerprint"  # the option with the fingerprint of files that have been read already


class Driver(driver.FileBasedDriver):
    """Like TFX's driver, whose fingerprint only covers the files' number, sizes and modification times."""

    def resolve_exec_properties(
        self,
        exec_properties: dict[str, Any],
        pipeline_info: data_types.PipelineInfo,
        component_info: data_types.ComponentInfo,
    ) -> dict[str, Any]:
        """Resolves span, version and pattern as TFX does, and makes the fingerprint."""
        resolved: dict[str, Any] = super().resolve_exec_properties(exec_properties, pipeline_info, component_info)
        resolved[CUSTOM_CONFIG_KEY], found = _without_fingerprint(resolved[CUSTOM_CONFIG_KEY])
        resolved[FINGERPRINT_PROPERTY_NAME] = found or content_fingerprint(resolved)
        return resolved


def content_fingerprint(exec_properties: Mapping[str, Any]) -> str:
    """Fingerprint of the files of a node's table and test table: local files are read, remote ones have a checksum."""
    files = files_of_node(exec_properties)
    return fingerprint_of(files, {file.number: digest_of(file.path) for file in files})


def _without_fingerprint(text: str) -> tuple[str, str | None]:
    """The options of the node without the fingerprint, and the fingerprint. They are recorded separately."""
    config = proto_utils.json_to_proto(text, example_gen_pb2.CustomConfig())
    options = struct_pb2.Struct()
    config.custom_config.Unpack(options)
    if FINGERPRINT not in options:
        return text, None
    found = str(options[FINGERPRINT])
    del options.fields[FINGERPRINT]
    config.custom_config.Pack(options)
    return proto_utils.proto_to_json(config), found
