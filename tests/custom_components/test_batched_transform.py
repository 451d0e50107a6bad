"""BatchedTransform held against TFX's own Transform on the same rows."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from absl.testing import flagsaver
from tfx.components import Transform
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.proto import transform_pb2
from tfx.types import Channel, artifact_utils
from tfx.types.standard_artifacts import Examples, Schema, TransformCache, TransformGraph

from custom_components.batched_transform import loaded_graphs
from custom_components.batched_transform.component import BatchedTransform
from models.problem.categories import Vocabulary
from models.transforms.columns import as_column
from models.transforms.vocabularies import Column, vocabulary_files

RUNNER = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
Outputs = dict[str, list[Any]]
ROOT = Path(__file__).resolve().parents[2]
SPLITS = {"train": 90, "validation": 11, "eval": 20}
SCHEMA = """
feature { name: "fare" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } shape { dim { size: 1 } } }
feature { name: "city" type: BYTES }
feature { name: "hour" type: INT }
feature { name: "number" type: INT }
feature { name: "only_analyzed" type: FLOAT }
feature { name: "unused" type: FLOAT presence { min_fraction: 1.0 } shape { dim { size: 1 } } }
"""


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Analyzers of each kind: a mean, quantiles, a vocabulary; and a column that is analyzed alone."""
    city = as_column(inputs["city"])
    if custom_config["by_tft"]:
        cities = tft.vocabulary(city, vocab_filename="cities")
    else:
        cities = vocabulary_files({"cities": Column(city, is_integer=False, spec=Vocabulary())})["cities"]
    hour = tf.cast(as_column(inputs["hour"]), tf.float32)
    return {
        "fare": tft.scale_to_z_score(inputs["fare"]) * custom_config["factor"],
        "city": tft.apply_vocabulary(city, cities, num_oov_buckets=2),
        "hour": tft.bucketize(hour, num_buckets=4),
        "from_elsewhere": hour + tft.mean(inputs["only_analyzed"].values),
        "number": as_column(inputs["number"]),
    }


def make_example(number: int) -> bytes:
    """A row without the column that the schema has and nobody uses."""
    feature = {
        "fare": tf.train.Feature(float_list={"value": [number * 1.7]}),
        "number": tf.train.Feature(int64_list={"value": [number]}),
        "only_analyzed": tf.train.Feature(float_list={"value": [number] * (number % 3)}),
    }
    if number % 5:
        feature["city"] = tf.train.Feature(bytes_list={"value": [f"Zürich {number % 7}".encode()]})
    if number % 4:
        feature["hour"] = tf.train.Feature(int64_list={"value": [number % 24]})
    return bytes(tf.train.Example(features={"feature": feature}).SerializeToString())


def examples(folder: Path, first: int = 0, files: int = 2) -> Examples:
    """Splits of so many files, each of as many rows as ``SPLITS`` says."""
    artifact = Examples()
    artifact.uri = str(folder)
    artifact.split_names = artifact_utils.encode_split_names(list(SPLITS))
    for split, count in SPLITS.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        for part in range(files):
            path = folder / f"Split-{split}/data_tfrecord-0000{part}-of-0000{files}.gz"
            with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                for number in range(first + part * count, first + (part + 1) * count):
                    writer.write(make_example(number))
        first += files * count
    return artifact


def schema(folder: Path) -> Schema:
    artifact = Schema()
    artifact.uri = str(folder)
    folder.mkdir(parents=True)
    (folder / "schema.pbtxt").write_text(SCHEMA)
    return artifact


def run(node: BaseBeamComponent, folder: Path, *given: Examples, beam_args: Sequence[str] = ()) -> Outputs:
    """Runs a node's executor, and returns its outputs."""
    outputs = {"transform_graph": [TransformGraph()], "transformed_examples": [Examples()]}
    if "updated_analyzer_cache" in node.outputs:
        outputs["updated_analyzer_cache"] = [TransformCache()]
    for key, [artifact] in outputs.items():
        artifact.uri = str(folder / key)
    inputs = {"examples": list(given), "schema": [schema(folder / "schema")]}
    executor = node.executor_spec.executor_class
    context = executor.Context(beam_pipeline_args=[RUNNER, *beam_args], tmp_dir=str(folder))
    executor(context).Do(inputs, outputs, {"module_path": None, **node.exec_properties})
    return outputs


def channels() -> dict[str, Channel]:
    return {"examples": Channel(type=Examples), "schema": Channel(type=Schema)}


def batched(function: str = "preprocessing_fn") -> BatchedTransform:
    return BatchedTransform(
        **channels(),
        preprocessing_fn=f"{__name__}.{function}",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=list(SPLITS)),
        custom_config={"factor": 2.0, "by_tft": False},
    )


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    return examples(tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def loads() -> list[str]:
    """The graphs that were loaded to make :func:`ours`."""
    return []


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, given: Examples, loads: list[str]) -> Outputs:
    load = loaded_graphs._load

    def counted(transform: Any, directory: str) -> Any:
        loads.append(directory)
        return load(transform, directory)

    with mock.patch.object(loaded_graphs, "_load", counted):
        return run(batched(), tmp_path_factory.mktemp("ours"), given)


def rows(uri: str, split: str) -> list[dict[str, Any]]:
    files = sorted(str(path) for path in Path(uri).glob(f"Split-{split}/*"))
    assert files
    examples = [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(files, "GZIP")]
    return [{name: value(feature) for name, feature in each.features.feature.items()} for each in examples]


def value(feature: tf.train.Feature) -> int | float:
    [found] = getattr(feature, feature.WhichOneof("kind")).value
    return found


def test_graph_and_rows_are_those_of_tfx(tmp_path: Path) -> None:
    given = examples(tmp_path / "examples", files=1)  # TFX takes several in any order
    by_tfx = Transform(
        **channels(),
        preprocessing_fn=f"{__name__}.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=list(SPLITS)),
        custom_config={"factor": 2.0, "by_tft": True},
        disable_statistics=True,
    )
    with flagsaver.flagsaver(tfxio_use_byte_size_batching=True):  # sums of floats differ by how rows are batched
        theirs = run(by_tfx, tmp_path / "theirs", given)
    ours = run(batched(), tmp_path / "ours", given)
    expected, found = (tft.TFTransformOutput(each["transform_graph"][0].uri) for each in (theirs, ours))
    assert found.vocabulary_by_name("cities") == expected.vocabulary_by_name("cities")
    assert found.raw_metadata.schema == expected.raw_metadata.schema
    assert found.transformed_metadata.schema == expected.transformed_metadata.schema
    our_examples, their_examples = (each["transformed_examples"][0] for each in (ours, theirs))
    assert our_examples.split_names == their_examples.split_names
    for split, count in SPLITS.items():
        our_rows, their_rows = (rows(each.uri, split) for each in (our_examples, their_examples))
        assert len(our_rows) == count
        assert our_rows == their_rows


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory, given: Examples) -> Outputs:
    """The same in a folder where an earlier attempt left files, with the input's files found in another order."""
    folder = tmp_path_factory.mktemp("again")
    split = folder / "transformed_examples/Split-eval"
    (split / "beam-temp-transformed_examples-1").mkdir(parents=True)
    (split / "transformed_examples-00001-of-00002.gz").write_bytes(b"half of a")
    glob = tf.io.gfile.glob
    with mock.patch.object(tf.io.gfile, "glob", lambda pattern: sorted(glob(pattern), reverse=True)):
        return run(batched(), folder, given)


def test_the_same_rows_give_the_same_bits_in_the_order_of_their_files(ours: Outputs, again: Outputs) -> None:
    for split in SPLITS:
        found, expected = (rows(each["transformed_examples"][0].uri, split) for each in (again, ours))
        assert found == expected
    numbers = [row["number"] for row in rows(ours["transformed_examples"][0].uri, "train")]
    assert numbers == list(range(180))


def test_the_files_of_an_earlier_attempt_are_removed(ours: Outputs, again: Outputs) -> None:
    assert rows(again["transformed_examples"][0].uri, "eval") == rows(ours["transformed_examples"][0].uri, "eval")


def test_the_graph_does_not_contain_the_folder_it_was_written_to(ours: Outputs) -> None:
    graph = Path(ours["transform_graph"][0].uri)
    saved = (graph / "transform_fn/saved_model.pb").read_bytes()
    assert b"b'cities'" in saved  # the name of the table
    assert os.fsencode(graph.parent) not in saved


def test_each_graph_is_loaded_once_for_all_splits(ours: Outputs, loads: list[str]) -> None:
    assert len(loads) == len(set(loads)) == 2  # the one before the analysis, and the result


def test_nothing_temporary_is_left(ours: Outputs) -> None:
    graph, transformed = (Path(ours[key][0].uri) for key in ("transform_graph", "transformed_examples"))
    assert {path.name for path in graph.iterdir()} == {"metadata", "transform_fn", "transformed_metadata"}
    files = {str(path.relative_to(transformed)) for path in transformed.rglob("*") if path.is_file()}
    assert files == {f"Split-{split}/transformed_examples-00000-of-00001.gz" for split in SPLITS}


def test_each_examples_artifact_is_transformed_for_itself_and_all_are_analyzed(tmp_path: Path, given: Examples) -> None:
    second = examples(tmp_path / "second", first=1000)
    transformed = run(batched(), tmp_path / "out", given, second)["transformed_examples"]
    assert [len(rows(each.uri, "eval")) for each in transformed] == [40, 40]
    fares = [row["fare"] for each in transformed for row in rows(each.uri, "train")]
    assert np.mean(fares) == pytest.approx(0, abs=1e-4)
    assert np.std(fares) == pytest.approx(2, rel=1e-4)


def without_analyzers(inputs: dict[str, Any]) -> dict[str, Any]:
    """Needs no pass over the rows, nor a config."""
    return {"fare": inputs["fare"] * 2, "hour": as_column(inputs["hour"])}


def test_an_empty_split_is_a_file_without_rows_and_a_function_may_analyze_nothing(tmp_path: Path) -> None:
    given = examples(tmp_path / "examples", files=1)
    with tf.io.TFRecordWriter(str(next((tmp_path / "examples/Split-eval").iterdir())), "GZIP"):
        pass
    [transformed] = run(batched("without_analyzers"), tmp_path / "out", given)["transformed_examples"]
    assert rows(transformed.uri, "eval") == []
    fares = [row["fare"] for row in rows(transformed.uri, "train")]
    assert fares == pytest.approx([3.4 * number for number in range(90)])


def test_a_split_without_a_file_is_an_error(tmp_path: Path) -> None:
    given = examples(tmp_path / "examples", files=0)
    with pytest.raises(ValueError, match=r"Split-train: found no file; expected at least one"):
        run(batched(), tmp_path / "out", given)


@pytest.mark.slow
def test_several_workers_make_the_same_graph_and_rows(
    tmp_path: Path, given: Examples, ours: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(Path(__file__).parent)]))
    several = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    by_several = run(batched(), tmp_path / "out", given, beam_args=several)
    for split in SPLITS:
        found, expected = (rows(each["transformed_examples"][0].uri, split) for each in (by_several, ours))
        assert len(found) == len(expected)
        found.sort(key=lambda row: row["number"])
        for name in expected[0]:  # with a mean that differs in the last digit
            np.testing.assert_allclose(
                [row[name] for row in found], [row[name] for row in expected], rtol=1e-6, atol=1e-6
            )
