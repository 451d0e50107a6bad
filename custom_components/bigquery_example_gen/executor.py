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
# As TFX calls those that have two names.
NAMES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
HINTS = {
    "RECORD": "select its fields by name",
    "STRUCT": "select its fields by name",
    "TIMESTAMP": "take a number of it, as UNIX_SECONDS does",
    "NUMERIC": "cast it to FLOAT64",
    "BIGNUMERIC": "cast it to FLOAT64",
}


class QueryError(ValueError):
    """A query that BigQuery refuses, or whose columns cannot become features."""


class QueryToExamples(beam.PTransform):
    """Reads what a query gives as tf.Examples, with the types that TFX's BigQueryExampleGen gives.

    NULL becomes an absent feature. TFX writes it as a feature without values, which counts as present: a schema's
    ``presence`` would then allow any number of them.

    The rows come by an export to Cloud Storage, in Beam's temporary location, and not from a session of BigQuery's
    read API: the files are a snapshot that a worker can read again, and no session ends while a job waits for machines.
    """

    def __init__(self, _exec_properties: dict[str, Any], query: str) -> None:
        super().__init__()
        self._query = query

    def expand(self, pipeline: beam.pvalue.PBegin) -> beam.PCollection:
        """Returns a collection of tf.Examples.

        Raises:
            QueryError: BigQuery refuses the query, or a column is of a type that is none of a feature's.
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
    """Runs a query, and splits what it gives by a seeded hash of each row or of one of its columns."""

    def GetInputSourceToExamplePTransform(self) -> type[beam.PTransform]:
        """Returns what reads the table."""
        return QueryToExamples


def query_schema(query: str, project: str | None) -> list[bigquery.SchemaField]:
    """The columns of a query, which is not run for that and costs nothing.

    Raises:
        QueryError: BigQuery refuses the query.
    """
    try:
        job = bigquery.Client(project=project).query(query, job_config=bigquery.QueryJobConfig(dry_run=True))
        return list(job.schema or ())
    except (GoogleAPIError, GoogleAuthError) as error:
        text = " ".join(str(getattr(error, "message", None) or error).split())
        raise QueryError(f"{SETTING}: BigQuery answered: {text}") from error


def column_types(schema: Iterable[bigquery.SchemaField]) -> dict[str, str]:
    """The type of each column, by TFX's names.

    Raises:
        QueryError: There is none, or one that cannot become a feature; each such column is named.
    """
    fields = list(schema)
    if not fields:
        raise QueryError(f"{SETTING}: found a statement without columns; expected a SELECT")
    wrong = [field for field in fields if field.mode == "REPEATED" or field.field_type not in TYPES]
    if wrong:
        found = ", ".join(f"'{field.name}' ({_shown(field)})" for field in wrong)
        hint = "take one of its values" if wrong[0].mode == "REPEATED" else HINTS.get(wrong[0].field_type, "cast it")
        raise QueryError(
            f"{SETTING}: found {found}; expected columns of INT64, FLOAT64, BOOL or STRING: leave it out, or {hint}"
        )
    return {field.name: NAMES.get(field.field_type, field.field_type) for field in fields}


def to_example(row: Mapping[str, Any], types: dict[str, str]) -> tf.train.Example:
    """A row as a tf.Example; NULL is left out."""
    return row_to_example(types, {name: value for name, value in row.items() if value is not None})


def _shown(field: bigquery.SchemaField) -> str:
    return f"ARRAY of {field.field_type}" if field.mode == "REPEATED" else str(field.field_type)
