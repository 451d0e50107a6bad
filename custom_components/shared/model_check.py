"""Code that SkewGuard and TfliteExporter share: both check a trained model on a split of the examples."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_transform as tft
from tfx import types
from tfx.dsl.components.base import base_component
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from artifacts.names import REPORT_FILE
from common.bucket_paths import mounted_path
from common.source_code import source_digest
from models.problem.problem import Problem

# Modules of other packages that every check runs, for the digest in a node's properties.
SHARED = "custom_components.shared"
MODULES = (__name__, f"{SHARED}.examples", f"{SHARED}.machine_failures", "artifacts.names")


class ModelCheckSpec(ComponentSpec):
    """Inputs and properties that all checks have."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        "problem": ExecutionParameter(type=str),
        "model_name": ExecutionParameter(type=str),
        "split": ExecutionParameter(type=str),
        "max_examples": ExecutionParameter(type=int),
        "code": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph),
        "model": ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {}


class ModelCheck(base_component.BaseComponent):
    """Base class of components that check a model on a split.

    Attributes:
        MODULES: Modules whose code affects the result, in addition to the component's package and :data:`MODULES`.
            A change of their code runs the node again.
    """

    MODULES: ClassVar[tuple[str, ...]] = ()

    def __init__(self, inputs: Mapping[str, types.BaseChannel], settings: Mapping[str, Any]) -> None:
        """Creates the node.

        Args:
            inputs: Channels by the names of the spec's inputs. ``examples`` are raw.
            settings: Values of the spec's parameters, without ``code``. ``problem`` is
                :meth:`models.problem.problem.Problem.to_config`, ``model_name`` the name that the model is served
                under, ``split`` the split to check on and ``max_examples`` the number of its rows.
        """
        package = type(self).__module__.rpartition(".")[0]
        properties = {
            **settings,
            "problem": json.dumps(settings["problem"], sort_keys=True),
            "code": source_digest(package, *MODULES, *self.MODULES),
        }
        outputs = {key: types.Channel(type=output.type) for key, output in self.SPEC_CLASS.OUTPUTS.items()}
        super().__init__(self.SPEC_CLASS(**inputs, **properties, **outputs))


def problem_of(exec_properties: Mapping[str, Any]) -> Problem:
    """Parses the ``problem`` property."""
    return Problem.from_config(json.loads(exec_properties["problem"]))


def transform_output_of(input_dict: Mapping[str, list[types.Artifact]]) -> tft.TFTransformOutput:
    """Opens the ``transform_graph`` input."""
    return tft.TFTransformOutput(artifact_utils.get_single_uri(input_dict["transform_graph"]))


def output_folder(artifact: types.Artifact) -> Path:
    """Creates the folder of an output artifact and returns its path in the file system."""
    folder = Path(mounted_path(artifact.uri))
    folder.mkdir(parents=True, exist_ok=True)  # buckets have no empty folders
    return folder


def write_report(folder: Path, content: str) -> None:
    """Writes ``report.json``, such as :meth:`artifacts.nodes.skew.SkewReport.to_json`."""
    (folder / REPORT_FILE).write_text(content)
