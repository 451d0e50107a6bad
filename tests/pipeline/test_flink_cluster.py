"""Real steps on a real Flink cluster of this machine's own; make flink-test runs them."""

import collections
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import tensorflow_transform as tft
from conftest import Finished, newest, run
from tensorflow_metadata.proto.v0 import statistics_pb2

from pipeline.config import EVAL, SPLITS
from pipeline.flink import cluster, rest

pytestmark = [
    pytest.mark.flink,
    pytest.mark.skipif(not (shutil.which("java") and shutil.which("mvn")), reason="needs Java 17 and Maven"),
]
PARALLELISM = 2


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster.running(slots=PARALLELISM) as found:
        yield found


@pytest.fixture(scope="module")
def here(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    output = tmp_path_factory.mktemp("here")
    return output, run(output, "--no-tune", f"--data={table}", "--to=Evaluator", "--json")


@pytest.fixture(scope="module")
def there(address: str, table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    output = tmp_path_factory.mktemp("there")
    return output, run(output, "--no-tune", f"--data={table}", "--to=Transform", "--json", **on_flink(address))


def on_flink(address: str) -> dict[str, Any]:
    return {"beam__runner": "flink", "beam__flink": {"address": address, "parallelism": PARALLELISM}}


def statistics(output: Path, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    """The statistics of a split, their features in the order of their names, which is left to chance."""
    path = newest(output, "StatisticsGen/statistics") / f"Split-{split}" / "FeatureStats.pb"
    found = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
    features = sorted(found.datasets[0].features, key=lambda feature: str(feature.path))
    del found.datasets[0].features[:]
    found.datasets[0].features.extend(features)
    return found


def rows(output: Path, kind: str, split: str) -> list[dict[str, Any]]:
    files = sorted(map(str, (newest(output, kind) / f"Split-{split}").glob("*.gz")))
    examples = map(tf.train.Example.FromString, tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())
    return [{name: _values(feature) for name, feature in example.features.feature.items()} for example in examples]


def _values(feature: tf.train.Feature) -> tuple[Any, ...]:
    return tuple(getattr(feature, feature.WhichOneof("kind")).value)


def counted(found: list[dict[str, Any]]) -> collections.Counter[str]:
    return collections.Counter(repr(sorted(row.items())) for row in found)


def ordered(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows by their whole numbers and strings, and then by what may differ by the last bit."""
    exact = {name for row in found for name, values in row.items() if not any(isinstance(v, float) for v in values)}
    return sorted(found, key=lambda row: (sorted((n, row[n]) for n in row if n in exact), sorted(row.items())))


def test_each_step_on_beam_ran_on_the_cluster(address: str, there: tuple[Path, Finished]) -> None:
    _, finished = there
    assert finished.code == 0, finished.stderr
    assert finished.states["ExampleGen"] == finished.states["Transform"] == "ran"
    jobs = rest.ask(address, "/jobs/overview")["jobs"]
    done = [job for job in jobs if job["name"].startswith("onegraph-") and job["state"] == "FINISHED"]
    assert len(done) >= 3  # ExampleGen, StatisticsGen, Transform


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_has_the_same_rows_and_statistics(
    split: str, here: tuple[Path, Finished], there: tuple[Path, Finished]
) -> None:
    kind = "ExampleGen/examples"
    assert counted(rows(here[0], kind, split)) == counted(rows(there[0], kind, split))
    assert statistics(here[0], split) == statistics(there[0], split)


def test_the_transform_graph_is_the_same(here: tuple[Path, Finished], there: tuple[Path, Finished]) -> None:
    graphs = [newest(output, "Transform/transform_graph") for output, _ in (here, there)]
    assets = [{path.name: path.read_bytes() for path in graph.rglob("assets/*")} for graph in graphs]
    assert assets[0] == assets[1]
    assert assets[0]
    outputs = [_transformed(graph, _serialized(here[0], EVAL)) for graph in graphs]
    assert set(outputs[0]) == set(outputs[1])
    for name, values in outputs[0].items():
        assert values.tolist() == pytest.approx(outputs[1][name].tolist(), rel=1e-6, abs=1e-6), name


def _serialized(output: Path, split: str) -> list[bytes]:
    files = sorted(map(str, (newest(output, "ExampleGen/examples") / f"Split-{split}").glob("*.gz")))
    return list(tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator())


def _transformed(graph: Path, raw: list[bytes]) -> dict[str, Any]:
    output = tft.TFTransformOutput(str(graph))
    found = output.transform_raw_features(tf.io.parse_example(raw, output.raw_feature_spec()))
    return {name: values.numpy() for name, values in found.items()}


def test_the_transformed_rows_are_the_same(here: tuple[Path, Finished], there: tuple[Path, Finished]) -> None:
    kind = "Transform/transformed_examples"
    ours, theirs = (ordered(rows(output, kind, EVAL)) for output, _ in (here, there))
    assert len(ours) == len(theirs) > 100
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name, values in one.items():
            assert list(values) == pytest.approx(list(other[name]), rel=1e-6, abs=1e-6), name


def test_the_evaluator_finds_the_same_metrics(address: str, here: tuple[Path, Finished], table: Path) -> None:
    output, before = here
    options = ("--no-tune", f"--data={table}", "--from=Evaluator", "--to=Evaluator", "--json")
    again = run(output, *options, **on_flink(address))
    assert again.states["Evaluator"] == "ran", again.stderr
    assert again.summary["metrics"] == pytest.approx(before.summary["metrics"], rel=1e-6)
    values = [[each["value"] for each in found.summary["thresholds"]] for found in (before, again)]
    assert values[1] == pytest.approx(values[0], rel=1e-6)
