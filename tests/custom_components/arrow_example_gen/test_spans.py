import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from ingest import RUNNER, SPLITS, parsed, records
from ml_metadata.proto import metadata_store_pb2
from tfx.components.example_gen import utils as tfx_utils
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import example_gen_pb2, range_config_pb2

from artifacts.summary import Node
from custom_components.arrow_example_gen.component import ArrowExampleGen
from custom_components.arrow_example_gen.executor import table_files
from custom_components.arrow_example_gen.formats.files import TableError
from custom_components.arrow_example_gen.source import Source, check_pattern
from custom_components.arrow_example_gen.spans import matching, resolve
from custom_components.arrow_example_gen.splits.settings import SplitBy
from pipeline.local.dag_runner import DagRunner

NOBODY = 65_534
BY_ROW = SplitBy()


def files(folder: Path, *names: str) -> str:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("amount\n1\n2\n3\n")
    return str(folder)


def by_tfx(folder: str, pattern: str, span: int | None) -> str:
    """The pattern that TFX's driver hands to the executor."""
    split = example_gen_pb2.Input.Split(name="all", pattern=pattern)
    ranges = None
    if span is not None:
        static = range_config_pb2.StaticRange(start_span_number=span, end_span_number=span)
        ranges = range_config_pb2.RangeConfig(static_range=static)
    found = tfx_utils.calculate_splits_fingerprint_span_and_version(folder, [split], ranges)
    specs = tfx_utils.verify_split_pattern_specs(example_gen_pb2.Input.Split(pattern=pattern))
    return str(tfx_utils.get_pattern_for_span_version(pattern, *specs, *found[1:]))


NAMES = {
    "{SPAN}/*.csv": ["1/a.csv", "2/a.csv", "10/a.csv", "9/b.csv"],
    "span-{SPAN}/v{VERSION}/*.csv": ["span-1/v9/a.csv", "span-2/v1/a.csv", "span-2/v11/a.csv", "span-2/v2/a.csv"],
    "{SPAN:3}-{VERSION:2}.csv": ["001-01.csv", "002-03.csv", "002-10.csv"],
    "{YYYY}-{MM}-{DD}/*.csv": ["2025-12-31/a.csv", "2026-01-02/a.csv", "2026-01-01/b.csv"],
    "{YYYY}{MM}{DD}/{VERSION}/t.csv": ["20251231/5/t.csv", "20260102/1/t.csv", "20260102/2/t.csv"],
    "{SPAN}/.*.csv": ["1/.a.csv", "2/.a.csv", "3/a.csv"],
    "*.csv": ["a.csv", "b.csv"],
}


@pytest.mark.parametrize("pattern", NAMES)
def test_the_latest_span_and_version_are_those_of_tfx(tmp_path: Path, pattern: str) -> None:
    folder = files(tmp_path, *NAMES[pattern])
    assert resolve(folder, pattern, None) == by_tfx(folder, pattern, None)
    assert "{" not in resolve(folder, pattern, None)


def test_the_files_that_a_pattern_stands_for_are_those_of_tfx(tmp_path: Path) -> None:
    folder = files(tmp_path, ".hidden.csv", "a.csv", "[b].csv", "b c.csv", "1/a.csv", ".2/a.csv")
    for pattern in ("*.csv", "*/*.csv", "[[]b].csv", "[!a]*.csv", "?.csv", "**/*.csv"):
        assert matching(folder, pattern) == table_files(f"{folder}/{pattern}")


@pytest.mark.parametrize(("closed", "pattern"), [("2", "{SPAN}/*.csv"), ("", "*.csv"), ("2/x", "2/*/a.csv")])
@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, closed: str, pattern: str, mode: int) -> None:
    """An earlier span would be taken for the latest one."""
    top = tmp_path / "table"
    folder = files(top, "1/a.csv", "2/a.csv", "2/x/a.csv", "a.csv")
    user = os.geteuid()
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == user and parent.name.startswith(("test_", "popen-", "pytest-")):
            parent.chmod(0o711)  # pytest's folders are their owner's
    (top / closed).chmod(mode)
    if user == 0:
        os.seteuid(NOBODY)  # root may read everything
    try:
        with pytest.raises(TableError, match=f"^{top / closed}: Permission denied; expected a readable folder"):
            matching(folder, resolve(folder, pattern, None))
    finally:
        os.seteuid(user)
        (top / closed).chmod(0o755)


@pytest.mark.parametrize(
    ("pattern", "span", "expected"),
    [
        ("{SPAN}/*.csv", 2, "2/*.csv"),
        ("span-{SPAN}/v{VERSION}/*.csv", 2, "span-2/v11/*.csv"),
        ("{SPAN:3}-{VERSION:2}.csv", 1, "001-01.csv"),
        ("{YYYY}-{MM}-{DD}/*.csv", 20453, "2025-12-31/*.csv"),
    ],
)
def test_another_span(tmp_path: Path, pattern: str, span: int, expected: str) -> None:
    folder = files(tmp_path, *NAMES[pattern])
    assert resolve(folder, pattern, span) == expected == by_tfx(folder, pattern, span)


@pytest.mark.parametrize(
    ("names", "pattern", "span", "said"),
    [
        (["1/a.txt"], "{SPAN}/*.csv", None, "found no file that matches {SPAN}/*.csv"),
        (["1/a.csv"], "{SPAN}/*.csv", 2, "found no file of span 2 that matches"),
        (
            ["1/a.csv", "latest/a.csv"],
            "{SPAN}/*.csv",
            None,
            "/latest/a.csv: found 'latest' where the pattern has {SPAN}",
        ),
        (["2026-02-30/a.csv"], "{YYYY}-{MM}-{DD}/*.csv", None, "day is out of range for month; expected a date"),
        ([f"{10**18}/a.csv"], "{SPAN}/*.csv", None, "expected a number of at most 18 digits"),
        (["007/a.csv"], "{SPAN}/*.csv", None, "found '007' where {SPAN}/*.csv has {SPAN}; expected '7', or {SPAN:3}"),
    ],
)
def test_a_table_without_such_a_span(
    tmp_path: Path, names: list[str], pattern: str, span: int | None, said: str
) -> None:
    with pytest.raises(TableError) as caught:
        resolve(files(tmp_path, *names), pattern, span)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("/a.csv", None, None), "pattern: found '/a.csv'; expected a path within the folder"),
        (("../a.csv", None, None), "pattern: found '../a.csv'; expected a path within the folder"),
        (("1//*.csv", None, None), "pattern: found '1//*.csv'; expected a path within the folder"),
        (("{span}/*.csv", None, None), "pattern: found '{' in '{span}/*.csv'; expected {SPAN}, {VERSION}"),
        (("\\*.csv", None, None), "pattern: found '\\' in '\\*.csv'; expected"),
        (("*.txt", None, None), "pattern: found '*.txt', whose extension names no format; expected .csv, .csv.gz, "),
        (("*.parquet.gz", None, None), "whose extension names no format"),
        (("{SPAN}/{SPAN}.csv", None, None), "pattern: found {SPAN} twice"),
        (("v{VERSION}/a.csv", None, None), "pattern: found {VERSION} without {SPAN}"),
        (("{YYYY}-{MM}/a.csv", None, None), "pattern: found {YYYY} in"),
        (("{SPAN}-{YYYY}{MM}{DD}.csv", None, None), "pattern: found both {SPAN} and a date"),
        (("{SPAN:x}.csv", None, None), "pattern: found {SPAN:x}"),
        (("{SPAN:0}.csv", None, None), "pattern: found {SPAN:0}"),
        (("{SPAN:19}.csv", None, None), "pattern: found {SPAN:19}"),
        (("{YYYY:4}-{MM}-{DD}.csv", None, None), "pattern: found {YYYY:4}"),
        (("*.csv", None, 3), "span: found 3, but no {SPAN} in the pattern '*.csv'"),
        (("{YYYY}-{MM}-{DD}.csv", None, 2_932_897), "since 1970, at most 2932896"),
    ],
)
def test_a_pattern_that_cannot_be_used(given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValueError, match=r"^(pattern|span): ") as caught:
        check_pattern(*given)
    assert said in str(caught.value)


class Silent:
    """Follows a run, and says nothing of it."""

    def node_started(self, node_id: str) -> None: ...

    def node_progress(self, source: str, line: str) -> None: ...

    def node_finished(self, node: Node) -> None: ...


def run(
    table: Path, output: Path, pattern: str, span: int | None = None, by: SplitBy = BY_ROW
) -> tuple[str, dict[str, int]]:
    """Runs the node with its driver and its publisher; how it went, and span and version of what it gave out."""
    node = ArrowExampleGen(Source(str(table), pattern, "csv", span), SPLITS, by=by).with_id("ExampleGen")
    pipeline = Pipeline(
        pipeline_name="spans",
        pipeline_root=str(output),
        components=[node],
        enable_cache=True,
        metadata_connection_config=sqlite_metadata_connection_config(str(output / "metadata.db")),
        beam_pipeline_args=[RUNNER],
    )
    runner = DagRunner(pipeline, str(uuid.uuid4()), Silent())
    runner.run()
    with runner.metadata() as handle:
        events = handle.store.get_events_by_execution_ids([runner.executions["ExampleGen"]])
        outputs = [each.artifact_id for each in events if each.type == metadata_store_pb2.Event.OUTPUT]
        [artifact] = handle.store.get_artifacts_by_id(outputs)
    properties = {**artifact.properties, **artifact.custom_properties}
    return runner.nodes[0].state, {
        name: properties[name].int_value for name in ("span", "version") if name in properties
    }


def test_a_new_span_is_new_data_and_an_unchanged_one_is_cached(tmp_path: Path) -> None:
    table, output, pattern = tmp_path / "table", tmp_path / "out", "{SPAN}/v{VERSION}/*.csv"
    files(table, "1/v1/a.csv")
    assert run(table, output, pattern) == ("ran", {"span": 1, "version": 1})
    assert run(table, output, pattern) == ("cached", {"span": 1, "version": 1})
    files(table, "2/v1/a.csv", "2/v2/a.csv")
    assert run(table, output, pattern) == ("ran", {"span": 2, "version": 2})
    assert run(table, output, pattern, span=1) == ("ran", {"span": 1, "version": 1})


def test_only_the_rows_of_the_latest_span_are_split_by_time(tmp_path: Path) -> None:
    table, output, by = tmp_path / "table", tmp_path / "out", SplitBy(time="day")
    for span, days in {1: range(1, 31), 2: range(101, 141)}.items():
        (table / str(span)).mkdir(parents=True)
        for number, part in enumerate((days[1::2], days[::2])):  # the files of a span overlap in time
            (table / f"{span}/{number}.csv").write_text("day\n" + "".join(f"{day}\n" for day in part))
    assert run(table, output, "{SPAN}/*.csv", by=by) == ("ran", {"span": 2})
    [folder] = (output / "ExampleGen/examples").iterdir()
    rows = parsed({split: records(folder, split) for split in SPLITS})
    found = {
        split: sorted(each.features.feature["day"].int64_list.value[0] for each in rows[split]) for split in SPLITS
    }
    assert [*found["train"], *found["validation"], *found["eval"]] == list(range(101, 141))
    assert len(found["eval"]) == 8
    assert run(table, output, "{SPAN}/*.csv", by=by) == ("cached", {"span": 2})
