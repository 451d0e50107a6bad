"""All checks that both runners make before they import TFX."""

import dataclasses
from pathlib import Path

from tensorflow_metadata.proto.v0 import schema_pb2

from custom_components.ablation.settings import AblationSettings
from pipeline.config.settings import Config
from pipeline.preflight.eval_rows import check_eval_rows
from pipeline.preflight.flink import check_flink
from pipeline.preflight.labels import check_summary
from pipeline.preflight.network import check_network
from pipeline.preflight.schema import check_against_schema, load_schema
from pipeline.preflight.splits import check_splits
from pipeline.preflight.table import UNREAD, CheckedTable, check_table


@dataclasses.dataclass(frozen=True)
class CheckedInputs:
    """Inputs of a run that passed all checks.

    Attributes:
        config: All settings.
        schema: The curated schema.
        table: Rows and fingerprint of the table, if it was read.
        warnings: What to know before trusting the model, one line each.
        ablation: What to leave out, if the run is an ablation.
    """

    config: Config
    schema: schema_pb2.Schema
    table: CheckedTable = UNREAD
    warnings: tuple[str, ...] = ()
    ablation: AblationSettings | None = None


def preflight(config: Config, settings: Path) -> CheckedInputs:
    """Checks the schema and the network, and for local runs also the table and the Flink cluster.

    Vertex AI reads the table and runs Beam elsewhere, so neither is checked for it.

    Args:
        config: Settings that passed their own checks.
        settings: The YAML file that they come from, for errors.

    Raises:
        ConfigError: A setting does not fit the schema, the code or the cluster.
        DataError: The table cannot be used.
        UserError: No row of it has a label, or all have the same, or the eval split would be too small.
    """
    schema = load_schema(config, settings)
    check_against_schema(config, schema, settings)
    check_network(config, settings)
    if config.orchestrator == "vertex":
        return CheckedInputs(config, schema)
    table = check_table(config, schema)
    warnings = check_summary(config, table.labels) if table.labels else []
    check_splits(config, schema, table.rows - table.test_rows)
    warnings += [*table.warnings, *check_eval_rows(config, table)]
    check_flink(config.beam)
    return CheckedInputs(config, schema, table, tuple(warnings))
