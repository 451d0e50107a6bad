"""BatchedTransform held against TFX's own Transform on the same rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components import Transform
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.proto import transform_pb2
from tfx.types import Channel, artifact_utils
from tfx.types.standard_artifacts import Examples, Schema, TransformCache, TransformGraph

from custom_components.batched_transform.component import BatchedTransform
from models.preprocessing import as_column

RUNNER = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
SPLITS = {"train": 90, "validation": 11, "eval": 20}
SCHEMA = """
feature { name: "fare" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } } }
feature { name: "city" type: BYTES }
feature { name: "hour" type: INT }
feature { name: "only_analyzed" type: FLOAT }
feature { name: "unused" type: FLOAT presence { min_fraction: 1.0 } shape { dim { size: 1 } } }
"""


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Analyzers of each kind: a mean, quantiles, a vocabulary; and a column that is analyzed alone."""
    city = as_column(inputs["city"])
    hour = tf.cast(as_column(inputs["hour"]), tf.float32)
    return {
        "fare": tft.scale_to_z_score(inputs["fare"]) * custom_config["factor"],
        "city": tft.compute_and_apply_vocabulary(city, vocab_filename="cities", num_oov_buckets=2),
        "hour": tft.bucketize(hour, num_buckets=4),
        "from_elsewhere": hour + tft.mean(inputs["only_analyzed"].values),
    }


def make_example(number: int) -> bytes:
    """A row without the column that the schema has and nobody uses."""
    feature = {
        "fare": tf.train.Feature(float_list={"value": [number * 1.7]}),
        "only_analyzed": tf.train.Feature(float_list={"value": [number] * (number % 3)}),
    }
    if number % 5:
        feature["city"] = tf.train.Feature(bytes_list={"value": [f"Zürich {number % 7}".encode()]})
    if number % 4:
        feature["hour"] = tf.train.Feature(int64_list={"value": [number % 24]})
    return bytes(tf.train.Example(features={"feature": feature}).SerializeToString())


def examples(folder: Path, first: int = 0) -> Examples:
    artifact = Examples()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names(list(SPLITS))
    for split, count in SPLITS.items():
        for part in range(2):  # files of a split
            path = folder / f"Split-{split}/data_tfrecord-0000{part}-of-00002.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                for number in range(first + part * count, first + (part + 1) * count):
                    writer.write(make_example(number))
        first += 2 * count
    return artifact


def schema(folder: Path) -> Schema:
    artifact = Schema()
    artifact.uri = str(folder)
    folder.mkdir()
    (folder / "schema.pbtxt").write_text(SCHEMA)
    return artifact


def run(node: BaseBeamComponent, folder: Path, *given: Examples) -> dict[str, list[Any]]:
    """Runs a node's executor, and returns its outputs."""
    outputs = {"transform_graph": [TransformGraph()], "transformed_examples": [Examples()]}
    if "updated_analyzer_cache" in node.outputs:
        outputs["updated_analyzer_cache"] = [TransformCache()]
    for key, [artifact] in outputs.items():
        artifact.uri = str(folder / key)
    inputs = {"examples": list(given), "schema": [schema(folder / "schema")]}
    executor = node.executor_spec.executor_class
    properties = {"module_path": None, **node.exec_properties}
    executor(executor.Context(beam_pipeline_args=[RUNNER], tmp_dir=str(folder))).Do(inputs, outputs, properties)
    return outputs


def channels() -> dict[str, Channel]:
    return {"examples": Channel(type=Examples), "schema": Channel(type=Schema)}


def batched() -> BatchedTransform:
    return BatchedTransform(
        **channels(),
        preprocessing_fn=f"{__name__}.preprocessing_fn",
        analyze=["train"],
        transform=list(SPLITS),
        custom_config={"factor": 2.0},
    )


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    return examples(tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, given: Examples) -> dict[str, list[Any]]:
    return run(batched(), tmp_path_factory.mktemp("ours"), given)


def rows(uri: str, split: str) -> list[dict[str, Any]]:
    files = sorted(str(path) for path in Path(uri).glob(f"Split-{split}/*"))
    assert files
    spec = {"fare": tf.float32, "from_elsewhere": tf.float32, "city": tf.int64, "hour": tf.int64}
    parsed = [
        tf.io.parse_single_example(record, {name: tf.io.FixedLenFeature([], dtype) for name, dtype in spec.items()})
        for record in tf.data.TFRecordDataset(files, "GZIP")
    ]
    return [{name: value.numpy() for name, value in row.items()} for row in parsed]


def test_graph_and_rows_are_those_of_tfx(tmp_path: Path, given: Examples, ours: dict[str, list[Any]]) -> None:
    by_tfx = Transform(
        **channels(),
        preprocessing_fn=f"{__name__}.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=list(SPLITS)),
        custom_config={"factor": 2.0},
        disable_statistics=True,
    )
    theirs = run(by_tfx, tmp_path, given)
    expected, found = (tft.TFTransformOutput(each["transform_graph"][0].uri) for each in (theirs, ours))
    assert found.vocabulary_by_name("cities") == expected.vocabulary_by_name("cities")
    assert found.raw_metadata.schema == expected.raw_metadata.schema
    assert found.transformed_metadata.schema == expected.transformed_metadata.schema
    our_examples, their_examples = (each["transformed_examples"][0] for each in (ours, theirs))
    assert our_examples.split_names == their_examples.split_names
    for split, count in SPLITS.items():
        our_rows, their_rows = (rows(each.uri, split) for each in (our_examples, their_examples))
        assert len(our_rows) == 2 * count
        for name in our_rows[0]:
            # A sum of floats may differ by how rows are batched.
            np.testing.assert_allclose([row[name] for row in our_rows], [row[name] for row in their_rows], rtol=1e-6)


def test_a_second_run_gives_the_same_values(tmp_path: Path, given: Examples, ours: dict[str, list[Any]]) -> None:
    again = run(batched(), tmp_path, given)
    for split in SPLITS:
        assert rows(ours["transformed_examples"][0].uri, split) == rows(again["transformed_examples"][0].uri, split)


def test_nothing_temporary_is_left(ours: dict[str, list[Any]]) -> None:
    graph = Path(ours["transform_graph"][0].uri)
    assert {path.name for path in graph.iterdir()} == {"metadata", "transform_fn", "transformed_metadata"}


def test_each_examples_artifact_is_transformed_for_itself_and_all_are_analyzed(tmp_path: Path, given: Examples) -> None:
    transformed = run(batched(), tmp_path, given, examples(tmp_path / "second", first=1000))["transformed_examples"]
    assert [len(rows(each.uri, "eval")) for each in transformed] == [40, 40]
    fares = [row["fare"] for each in transformed for row in rows(each.uri, "train")]
    assert np.mean(fares) == pytest.approx(0, abs=1e-4)
    assert np.std(fares) == pytest.approx(2, rel=1e-4)
