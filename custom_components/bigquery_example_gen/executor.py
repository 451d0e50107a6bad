"""Executor of SeededBigQueryExampleGen."""

from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.options.pipeline_options import GoogleCloudOptions
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from tfx.extensions.google_cloud_big_query.utils import row_to_example
from tfx.utils import telemetry_utils

from custom_components.shared.seeded_split import SeededSplitExecutor

SETTING = "data.bigquery.query"
TYPES = {"INTEGER", "INT64", "FLOAT", "FLOAT64", "BOOLEAN", "BOOL", "STRING"}
# TFX's names of types that have two.
NAMES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
HINTS = {
    "RECORD": "select its fields by name",
    "STRUCT": "select its fields by name",
    "TIMESTAMP": "convert it to a number, for example with UNIX_SECONDS",
    "NUMERIC": "cast it to FLOAT64",
    "BIGNUMERIC": "cast it to FLOAT64",
}


class QueryError(ValueError):
    """BigQuery rejects the query, or a column cannot become a feature."""


class QueryToExamples(beam.PTransform):
    """Reads the result of a query as tf.Examples, with the types of TFX's BigQueryExampleGen.

    A NULL becomes an absent feature. TFX writes it as a feature without values, which counts as present, so that a
    schema's ``presence`` would never fail.

    The rows are exported to Cloud Storage, in Beam's temporary location, instead of being read with BigQuery's read
    API. The files are a snapshot that a worker can read again, and no session expires while a job waits for machines.
    """

    def __init__(self, _exec_properties: dict[str, Any], query: str) -> None:
        super().__init__()
        self._query = query

    def expand(self, pipeline: beam.pvalue.PBegin) -> beam.PCollection:
        """Returns a collection of tf.Examples.

        Raises:
            QueryError: BigQuery rejects the query, or a column has an unsupported type.
        """
        cloud = pipeline.pipeline.options.view_as(GoogleCloudOptions)
        types = column_types(query_schema(self._query, cloud.project))
        rows = pipeline | beam.io.ReadFromBigQuery(
            query=self._query,
            use_standard_sql=True,
            method=beam.io.ReadFromBigQuery.Method.EXPORT,
            kms_key=cloud.dataflow_kms_key,
            bigquery_job_labels=telemetry_utils.make_labels_dict(),
        )
        return rows | "ToExample" >> beam.Map(to_example, types)


class Executor(SeededSplitExecutor):
    """Runs a query, and splits its rows by a seeded hash of the row or of one column."""

    def GetInputSourceToExamplePTransform(self) -> type[beam.PTransform]:
        """Returns the transform that reads the table."""
        return QueryToExamples


def query_schema(query: str, project: str | None) -> list[bigquery.SchemaField]:
    """The columns of a query, from a dry run, which costs nothing.

    Raises:
        QueryError: BigQuery rejects the query.
    """
    try:
        job = bigquery.Client(project=project).query(query, job_config=bigquery.QueryJobConfig(dry_run=True))
        return list(job.schema or ())
    except (GoogleAPIError, GoogleAuthError) as error:
        text = " ".join(str(getattr(error, "message", None) or error).split())
        raise QueryError(f"{SETTING}: BigQuery rejected the query: {text}") from error


def column_types(schema: Iterable[bigquery.SchemaField]) -> dict[str, str]:
    """The type of each column, by TFX's names.

    Raises:
        QueryError: There are no columns, or some of them cannot become features.
    """
    fields = list(schema)
    if not fields:
        raise QueryError(f"{SETTING}: found a statement without columns; expected a SELECT")
    wrong = [field for field in fields if field.mode == "REPEATED" or field.field_type not in TYPES]
    if wrong:
        found = ", ".join(f"'{field.name}' ({_shown(field)})" for field in wrong)
        hint = "select one of its values" if wrong[0].mode == "REPEATED" else HINTS.get(wrong[0].field_type, "cast it")
        raise QueryError(
            f"{SETTING}: found {found}; expected columns of INT64, FLOAT64, BOOL or STRING: remove it, or {hint}"
        )
    return {field.name: NAMES.get(field.field_type, field.field_type) for field in fields}


def to_example(row: Mapping[str, Any], types: dict[str, str]) -> tf.train.Example:
    """Converts a row to a tf.Example, without NULLs."""
    return row_to_example(types, {name: value for name, value in row.items() if value is not None})


def _shown(field: bigquery.SchemaField) -> str:
    return f"ARRAY of {field.field_type}" if field.mode == "REPEATED" else str(field.field_type)
