"""Runs ExampleGens on files, for tests of their output."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils
from tfx.types.standard_artifacts import Examples

from custom_components.arrow_example_gen.component import ArrowExampleGen
from custom_components.arrow_example_gen.source import Source, format_of
from custom_components.arrow_example_gen.splits.settings import SplitBy

RUNNER = f"--runner={FnApiRunner.__module__}.{FnApiRunner.__name__}"
SPLITS = {"train": 7, "validation": 1, "eval": 2}


def run_node(node: BaseBeamComponent, output: Path, options: Sequence[str] = ()) -> dict[str, list[bytes]]:
    """Runs the executor of a node; returns the records that it wrote, by split and in order."""
    return run_executor(node.executor_spec.executor_class, dict(node.exec_properties), output, options)


def run_executor(
    executor: type[BaseBeamExecutor], properties: dict[str, Any], output: Path, options: Sequence[str] = ()
) -> dict[str, list[bytes]]:
    """Runs an executor with execution properties; returns the records that it wrote, by split and in order."""
    examples = Examples()
    examples.uri = str(output)
    context = executor.Context(beam_pipeline_args=[RUNNER, *options], tmp_dir=str(output / ".temp"))
    executor(context).Do({}, {"examples": [examples]}, properties)
    return {split: records(output, split) for split in artifact_utils.decode_split_names(examples.split_names)}


def records(output: Path, split: str) -> list[bytes]:
    files = sorted(str(path) for path in output.glob(f"Split-{split}/*.gz"))
    return list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())


def ingest(folder: Path, output: Path, pattern: str = "*.csv", **given: Any) -> dict[str, list[bytes]]:
    """Runs ArrowExampleGen on a table; returns the records by split."""
    kind = format_of(pattern)
    assert kind
    options = given.pop("options", ())
    of_text = {key: given.pop(key) for key in ("missing_values", "dialect") if key in given}
    source = Source(str(folder), pattern, kind, **of_text)
    names = [name for name in given if name in {field.name for field in dataclasses.fields(SplitBy)}]
    by = SplitBy(**{name: given.pop(name) for name in names})
    return run_node(ArrowExampleGen(source, SPLITS, by=by, **given), output, options)


def parsed(splits: dict[str, list[bytes]]) -> dict[str, list[tf.train.Example]]:
    return {name: [tf.train.Example.FromString(record) for record in rows] for name, rows in splits.items()}
