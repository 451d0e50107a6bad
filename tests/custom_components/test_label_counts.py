import json
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from custom_components.batched_transform.label_counts import CountLabels


def test_rows_of_all_batches_are_counted_by_class(tmp_path: Path) -> None:
    path = tmp_path / "artifact/label_counts.train.json"
    batches = [
        pa.RecordBatch.from_pydict({"y": pa.array([[0], [1], [1]]), "x": pa.array([[2], [2], [2]])}),
        pa.RecordBatch.from_pydict({"y": pa.array([[1], [-1]]), "x": pa.array([[2], [2]])}),
    ]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create(batches, reshuffle=False) | CountLabels("y", str(path))
    assert json.loads(path.read_text()) == {"-1": 1, "0": 1, "1": 3}
