import csv
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery
from google.cloud.bigquery import SchemaField
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import Examples

from artifacts.nodes.left_out import read_left_out
from custom_components.anomaly_gate.anomaly import DataAnomaliesError
from custom_components.arrow_example_gen.component import ArrowExampleGen
from custom_components.arrow_example_gen.source import Source
from custom_components.arrow_example_gen.splits.settings import SplitBy
from custom_components.bigquery_example_gen.component import SeededBigQueryExampleGen
from custom_components.bigquery_example_gen.executor import QueryError, column_types, query_schema, to_example
from custom_components.shared.label_rows import LabelRows

QUERY = "SELECT user, fare, trips, city FROM trips"
SPLITS = {"train": 7, "validation": 1, "eval": 2}
SCHEMA = [
    SchemaField("user", "STRING"),
    SchemaField("fare", "FLOAT64"),
    SchemaField("trips", "INTEGER", mode="REQUIRED"),
    SchemaField("city", "STRING"),
]
ROWS: list[dict[str, Any]] = [
    {
        "user": None if number % 10 == 0 else f"u{number % 40}",
        "fare": None if number % 7 == 0 else number / 3,
        "trips": number,
        "city": None if number % 3 == 0 else "Zürich",
    }
    for number in range(300)
]
ARGUMENTS = [f"--runner={FnApiRunner.__module__}.{FnApiRunner.__name__}", "--project=our-project"]


class Read(beam.PTransform):
    """Replaces Beam's transform, which would run the query."""

    Method = beam.io.ReadFromBigQuery.Method
    given: dict[str, Any]

    def __init__(self, **given: Any) -> None:
        super().__init__()
        Read.given = given

    def expand(self, pipeline: beam.pvalue.PBegin) -> beam.PCollection:
        return pipeline | beam.Create(ROWS[::-1], reshuffle=False)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bool]]:
    """Stands for BigQuery's client, and knows who asked it what, and whether it was to be run."""
    asked: list[tuple[str, str, bool]] = []

    class Client:
        def __init__(self, project: str) -> None:
            self._project = project

        def query(self, query: str, job_config: bigquery.QueryJobConfig) -> Any:
            asked.append((self._project, query, not job_config.dry_run))
            if "FORM" in query:
                raise BadRequest("Syntax error: Expected end of input\nbut got FORM")
            return type("Job", (), {"schema": SCHEMA})

    monkeypatch.setattr(bigquery, "Client", Client)
    monkeypatch.setattr(beam.io, "ReadFromBigQuery", Read)
    return asked


def splits_of(node: BaseBeamComponent, output: Path) -> dict[str, list[bytes]]:
    examples = Examples()
    examples.uri = str(output)
    executor = node.executor_spec.executor_class
    context = executor.Context(beam_pipeline_args=ARGUMENTS, tmp_dir=str(output / ".temp"))
    executor(context).Do({}, {"examples": [examples]}, dict(node.exec_properties))
    found = {}
    for split in artifact_utils.decode_split_names(examples.split_names):
        files = [str(path) for path in output.glob(f"Split-{split}/*.gz")]
        found[split] = list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())
    return found


def test_the_same_rows_fall_into_the_same_splits_as_those_of_a_csv_file(
    client: list[tuple[str, str, bool]], tmp_path: Path
) -> None:
    (tmp_path / "table").mkdir()
    with (tmp_path / "table/trips.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ROWS[0])
        writer.writeheader()
        writer.writerows(ROWS)
    source = Source(str(tmp_path / "table"), "*.csv", "csv")
    by_query = splits_of(SeededBigQueryExampleGen(QUERY, SPLITS, 3, "user"), tmp_path / "query")
    by_file = splits_of(ArrowExampleGen(source, SPLITS, 3, SplitBy(key="user")), tmp_path / "file")
    assert sum(map(len, by_query.values())) == len(ROWS)
    assert all(by_query.values())
    assert {name: sorted(rows) for name, rows in by_query.items()} == {
        name: sorted(rows) for name, rows in by_file.items()
    }
    assert client == [("our-project", QUERY, False)]  # for its columns, without running it
    assert (Read.given["query"], Read.given["use_standard_sql"], Read.given["method"]) == (QUERY, True, "EXPORT")


def test_null_is_an_absent_feature_and_an_empty_string_is_none() -> None:
    types = column_types([*SCHEMA, SchemaField("paid", "BOOL")])
    row = {"user": "", "fare": 0.1, "trips": 2**40, "city": None, "paid": True}
    features = to_example(row, types).features.feature
    assert sorted(features) == ["fare", "paid", "trips", "user"]
    assert features["user"].bytes_list.value == [b""]
    assert features["fare"].float_list.value == [pytest.approx(0.1)]
    assert features["trips"].int64_list.value == [2**40]
    assert features["paid"].int64_list.value == [1]


@pytest.mark.parametrize(
    ("field", "line"),
    [
        (SchemaField("at", "TIMESTAMP"), r"'at' \(TIMESTAMP\); expected .* UNIX_SECONDS"),
        (SchemaField("paid", "RECORD", fields=SCHEMA), r"'paid' \(RECORD\); .* select its fields by name"),
        (SchemaField("tags", "STRING", mode="REPEATED"), r"'tags' \(ARRAY of STRING\); .* select one of its values"),
        (SchemaField("price", "NUMERIC"), r"'price' \(NUMERIC\); .* cast it to FLOAT64"),
        (SchemaField("place", "GEOGRAPHY"), r"'place' \(GEOGRAPHY\); .* or cast it$"),
    ],
)
def test_a_column_that_cannot_become_a_feature_is_named(field: SchemaField, line: str) -> None:
    with pytest.raises(QueryError, match=rf"^data.bigquery.query: found {line}") as caught:
        column_types([*SCHEMA, field])
    assert "\n" not in str(caught.value)


def test_all_such_columns_are_named() -> None:
    with pytest.raises(QueryError, match=r"found 'at' \(DATE\), 'on' \(TIME\); expected"):
        column_types([SchemaField("at", "DATE"), *SCHEMA, SchemaField("on", "TIME")])


def test_a_statement_that_gives_nothing_is_refused() -> None:
    with pytest.raises(QueryError, match="expected a SELECT"):
        column_types([])


def test_an_error_of_bigquery_is_reported_in_one_line(client: object) -> None:
    with pytest.raises(
        QueryError, match=r"^data.bigquery.query: BigQuery rejected the query: Syntax error: .* but got FORM$"
    ):
        query_schema("SELECT * FORM trips", "our-project")


def test_rows_without_a_label_are_left_out_and_other_values_stop_the_run_as_anomalies(
    client: list[tuple[str, str, bool]], tmp_path: Path
) -> None:
    rows = LabelRows("city", classes=("Bern",), absent=("city",))
    with pytest.raises(DataAnomaliesError) as error:
        splits_of(SeededBigQueryExampleGen(QUERY, SPLITS, label_rows=rows), tmp_path)
    [anomaly] = error.value.anomalies
    assert str(anomaly) == "city (all): found: 'Zürich' in 200 rows; the schema allows: the label's classes Bern"
    assert read_left_out(tmp_path) == {"no label": 100}
    files = [str(path) for path in tmp_path.glob("Split-*/*.gz")]
    assert len(list(tf.data.TFRecordDataset(files, compression_type="GZIP"))) == 200
