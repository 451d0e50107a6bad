"""Executor of AnomalyGate."""

from collections.abc import Mapping
from typing import Any

from absl import logging
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from artifacts.names import ANOMALIES_FILE
from artifacts.nodes.anomalies import NO_EXAMPLES, FoundAnomaly, parse_anomalies
from custom_components.anomaly_gate.anomaly import Anomaly, DataAnomaliesError

MAX_VALUES_SHOWN = 12


class Executor(base_executor.BaseExecutor):
    """Reads ExampleValidator's anomalies and fails on those of severity ERROR."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],  # noqa: ARG002 - TFX passes it
    ) -> None:
        """Blesses the data if there are no errors.

        Raises:
            DataAnomaliesError: There is an anomaly of severity ERROR.
        """
        schema_uri = artifact_utils.get_single_uri(input_dict["schema"])
        schema = io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema_uri))
        artifact = artifact_utils.get_single_instance(input_dict["anomalies"])
        errors: list[Anomaly] = []
        warnings: list[Anomaly] = []
        for split in artifact_utils.decode_split_names(artifact.split_names):
            for found in _read(artifact, split):
                (warnings if found.severity == "WARNING" else errors).append(_described(found, schema))
        for anomaly in warnings:
            logging.warning("Anomaly of severity WARNING: %s", anomaly)
        if errors:
            raise DataAnomaliesError(errors)
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        blessing.set_int_custom_property("warnings", len(warnings))


def _read(artifact: types.Artifact, split: str) -> list[FoundAnomaly]:
    path = f"{artifact_utils.get_split_uri([artifact], split)}/{ANOMALIES_FILE}"
    with fileio.open(path, "rb") as file:
        return parse_anomalies(split, file.read())


def _described(found: FoundAnomaly, schema: schema_pb2.Schema) -> Anomaly:
    """Adds what the schema allows."""
    description = found.found.rstrip(".")
    if not found.path:
        dataset = "at least one example" if found.found == NO_EXAMPLES else "see the schema's dataset_constraints"
        return Anomaly(found.split, "(all)", description, dataset)
    column = found.path[0]
    features = {feature.name: feature for feature in schema.feature}
    return Anomaly(found.split, column, description, allowed(features.get(column), schema))


def allowed(feature: schema_pb2.Feature | None, schema: schema_pb2.Schema) -> str:
    """Describes the values that a schema allows for a feature."""
    if feature is None:
        return f"the columns {', '.join(sorted(each.name for each in schema.feature))}"
    words = [schema_pb2.FeatureType.Name(feature.type)]
    presence = feature.presence.min_fraction
    words.append(f"present in at least {presence:.0%} of the rows" if presence else "may be missing")
    domains: Mapping[str, schema_pb2.StringDomain] = {domain.name: domain for domain in schema.string_domain}
    values = list(feature.string_domain.value)
    if feature.HasField("domain") and feature.domain in domains:
        values = list(domains[feature.domain].value)
    if values:
        more = f" and {len(values) - MAX_VALUES_SHOWN} more" if len(values) > MAX_VALUES_SHOWN else ""
        words.append(f"one of {', '.join(values[:MAX_VALUES_SHOWN])}{more}")
    if feature.HasField("bool_domain"):
        words.append(f"{feature.bool_domain.true_value or 1} or {feature.bool_domain.false_value or 0}")
    for kind in ("int_domain", "float_domain"):
        if feature.HasField(kind):
            domain = getattr(feature, kind)
            words += [f"{word} {getattr(domain, end)}" for word, end in _ENDS if domain.HasField(end)]
    return ", ".join(words)


_ENDS = (("at least", "min"), ("at most", "max"))
