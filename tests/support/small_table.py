"""A small table with every kind of column, analyzed and transformed once.

The result is kept in ``.cache`` under a digest of the code that makes it, so an unchanged table is not analyzed again.
"""

import dataclasses
import datetime
import fcntl
import functools
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from common.project import ROOT
from common.source_code import source_digest
from models.network import build_network
from models.preprocessing import preprocessing_fn
from models.problem.categories import Crossed, Hashed, Integer, Vocabulary
from models.problem.dates import PARTS, Date
from models.problem.features import Features
from models.problem.label import Above, Label
from models.problem.lists import Numbers, Tags, Text
from models.problem.numbers import Bucketed, Cyclical, Dense, Difference, Missing, Ratio
from models.problem.problem import Problem
from models.signatures import export
from models.transforms.kinds import categorical_sizes

Row = Mapping[str, Any]  # float, int, str, bytes, None or a list

CACHE = ROOT / ".cache/tests"
ROWS = 320
# Columns whose names TensorFlow cannot have in its graphs.
PLAIN = "Größe (cm)"
RATIO = "1st ratio/%, long " + "x" * 300
TAIL = "class"
PAINT = "Street"  # differs only in case from another column
USER = "self"
CODE = 'the "code".no'
EXACT = "share x street x month"  # the name of a cross
LISTS = ("readings", "marks", "likes")
NUMBERS = ("amount", "gain", "share", RATIO, PLAIN, TAIL, "readings")
INTEGERS = ("age", "month", CODE, "seen at", "due", "marks")
TEXTS = ("colour", "city", "street", PAINT, USER, "visit", "born", "note", "genres", "likes")
SPEC = {
    **{name: tf.io.VarLenFeature(tf.float32) for name in NUMBERS},
    **{name: tf.io.VarLenFeature(tf.int64) for name in INTEGERS},
    **{name: tf.io.VarLenFeature(tf.string) for name in TEXTS},
}
COLOURS = ("red", "green", "blue")
EPOCH = datetime.datetime(1970, 1, 1)
NOTES = ("Größe M, sehr schön!", "nice and small", "NICE_price; nice size", "東京 2024", "don't", "...")
CITIES = ("Zürich", "東京", "Bern", "  ", "Genf", "Chur")

EVERY_KIND = Features(
    dense={
        "gain": Dense(),
        TAIL: Dense(log=True),
        "age": Dense(),
        RATIO: Dense(scale="min_max"),
        PLAIN: Dense(scale="none"),
    },
    bucketed={"gain": Bucketed(buckets=4), "share": Bucketed(buckets=4), "age": Bucketed(buckets=3)},
    integer={"month": Integer(min=1, max=12), "age": Integer(min=-2, max=60)},
    vocabulary={
        "city": Vocabulary(),
        "street": Vocabulary(top_k=3, oov_buckets=4),
        PAINT: Vocabulary(min_frequency=60),
        CODE: Vocabulary(),
    },
    hashed={USER: Hashed(buckets=50), CODE: Hashed(buckets=7)},
    cyclical={"month": Cyclical(period=12), PLAIN: Cyclical(period=0.5)},
    ratio={
        "gain per share": Ratio(numerator="gain", denominator="share"),
        "age": Ratio(numerator="age", denominator="month", log=True, scale="none"),
    },
    difference={
        "gain - age": Difference(of="gain", minus="age"),
        "age - code": Difference(of="age", minus=CODE, scale="min_max"),
    },
    missing={"gain": Missing(), "age": Missing(), "city": Missing(), USER: Missing()},
    crossed={
        EXACT: Crossed(columns=("share", "street", "month")),
        "of values": Crossed(columns=(USER, CODE, "gain"), buckets=97),
    },
    date={
        "visit": Date(parts=PARTS, reference="2024-06-30"),
        "born": Date(format="%d %b %Y"),
        "seen at": Date(unit="ms", parts=PARTS, reference="2024-06-30"),
        "due": Date(format="%Y%m%d"),
    },
    text={
        "note": Text(max_words=4, ngrams=2, min_frequency=2, weights="tf_idf"),
        "street": Text(max_words=1),
        USER: Text(max_words=3, buckets=20),
    },
    tags={
        "genres": Tags(max_length=3, separator="|"),
        "likes": Tags(max_length=3, top_k=3, oov_buckets=2),
        "marks": Tags(max_length=2, buckets=9),
    },
    numbers={"readings": Numbers(max_length=4), "marks": Numbers(max_length=3)},
)
A_FEW = Features(
    dense={"gain": Dense()},
    bucketed={"share": Bucketed(buckets=4)},
    vocabulary={"city": Vocabulary()},
    cyclical={"month": Cyclical(period=12)},
)
BINARY = Problem(
    task="binary",
    label=Label(name="rich", column="amount", above=Above(value=50.0), classes=("poor", "rich")),
    features=A_FEW,
)
MULTICLASS = Problem(
    task="multiclass", label=Label(name="month_cyclical", column="colour", classes=COLOURS), features=A_FEW
)
REGRESSION = Problem(task="regression", label=Label(name="Preis (€)", column="amount", log=True), features=A_FEW)
# A regression with weights whose network learns the label itself, and not the z-score of its logarithm.
UNSCALED = Problem(
    task="regression",
    label=Label(name="plain price", column="amount", scale="none"),
    features=A_FEW,
    weight=RATIO,
)
PROBLEMS = {problem.task: problem for problem in (BINARY, MULTICLASS, REGRESSION)}


# An exported model needs all features of the table: the graph transforms those of one kind together.
IN_FULL = {task: dataclasses.replace(problem, features=EVERY_KIND) for task, problem in PROBLEMS.items()}
# What TFLite can compute.
_ON_DEVICES = dataclasses.replace(EVERY_KIND, text={}, tags={})
ON_DEVICES = {task: dataclasses.replace(problem, features=_ON_DEVICES) for task, problem in PROBLEMS.items()}


@dataclasses.dataclass(frozen=True)
class SmallTable:
    """Raw rows, their Transform graph, and the transformed examples."""

    rows: list[Row]
    folder: Path

    @property
    def graph_dir(self) -> str:
        return str(self.folder / "graph")

    @functools.cached_property
    def graph(self) -> tft.TFTransformOutput:
        return tft.TFTransformOutput(self.graph_dir)

    @property
    def files(self) -> list[str]:
        return [str(self.folder / "examples*.gz")]

    @functools.cached_property
    def _saved_graph(self) -> Any:
        layer = self.graph.transform_features_layer()

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def transform(records: tf.Tensor) -> dict[str, tf.Tensor]:
            return layer(tf.io.parse_example(records, SPEC))

        return transform

    def transform(self, rows: Sequence[Row]) -> dict[str, np.ndarray[Any, Any]]:
        """Transforms ``rows`` with the saved graph. Absent columns are missing values."""
        columns = self._saved_graph(tf.constant([encode(row) for row in rows]))
        return {name: column.numpy() for name, column in columns.items()}

    def write(self, path: Path, rows: Sequence[Row]) -> list[str]:
        """Writes the transformed ``rows`` as Transform does, and returns the file pattern."""
        columns = self.transform(rows) if rows else {}
        coder = tft.coders.ExampleProtoCoder(self.graph.transformed_metadata.schema)
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for index in range(len(rows)):
                writer.write(coder.encode({name: column[index] for name, column in columns.items()}))
        return [str(path)]


def encode(row: Row) -> bytes:
    """Serializes a row as a ``tf.Example``, in which a missing value is an absent feature."""
    example = tf.train.Example()
    for name, value in row.items():
        feature = example.features.feature
        for each in values_of(value):
            if name in NUMBERS:
                feature[name].float_list.value.append(each)
            elif name in INTEGERS:
                feature[name].int64_list.value.append(each)
            else:
                feature[name].bytes_list.value.append(each.encode() if isinstance(each, str) else each)
    record: bytes = example.SerializeToString()
    return record


def values_of(value: Any) -> Sequence[Any]:
    """The values of a cell: none for a missing one, and several of a list."""
    return [] if value is None else value if isinstance(value, list) else [value]


def raw_rows() -> list[Row]:
    random = np.random.default_rng(7)
    rows: list[Row] = []
    for index in range(ROWS):
        gain = float(np.float32(random.normal(3, 2)))
        row: dict[str, Any] = {
            "gain": gain,
            "amount": 50 + 10 * (gain - 3) + random.normal(),
            "share": float(np.float32(index * 0.25 - 17)),
            RATIO: float(np.float32(random.uniform(-2, 9))),
            PLAIN: random.uniform(-4, 4),
            TAIL: float(np.float32(random.lognormal(0, 3) * random.choice([-1, 1]))),
            "age": int(random.integers(-5, 70)),
            "month": int(random.integers(1, 13)),
            CODE: [7, 7, 7, -3, -3, 12][index % 6],
            "colour": COLOURS[index * 7 % 3],
            PAINT: COLOURS[[0, 0, 0, 1, 1, 2][index % 6]],
            "city": [city for rank, city in enumerate(CITIES) for _ in range(6 - rank)][index % 21],
            "street": ["a", "a", "a", "a", "b", "b", "b", "c", "c", "d"][index % 10],
            USER: f"user {index}",
            "visit": (EPOCH + datetime.timedelta(hours=19_700 * 24 + 31 * index)).isoformat(),
            "born": (EPOCH + datetime.timedelta(days=97 * index)).strftime("%d %b %Y"),
            "seen at": 1_700_000_000_000 + 98_765_432 * index,
            "due": int((EPOCH + datetime.timedelta(days=19_000 + index)).strftime("%Y%m%d")),
            "note": NOTES[index % 5] + NOTES[index % 6],
            "genres": "|".join(CITIES[: index % 4]),
            "likes": [CITIES[(index + place) ** 2 % 6] for place in range(index % 5)],
            "marks": [place * index % 17 - 3 for place in range(index * 3 % 5)],
            "readings": [float(np.float32(random.normal(index % 9, 2))) for _ in range(index % 6)],
        }
        absent = ("gain", "share", TAIL, "age", CODE, "city", "street", "visit", "due", "note", "readings")
        for number, name in enumerate(absent):
            if index % 23 == number:
                row[name] = None
        if index % 29 == 0:
            row |= {"gain": np.nan, "share": np.inf, TAIL: -np.inf, "city": ""}
        rows.append(row)
    return rows


def export_random(problem: Problem, folder: Path, hidden_units: int = 8) -> Path:
    """Exports a network with random weights and the graph of the small table."""
    graph = small_table().graph
    network = build_network(problem, {"hidden_units": hidden_units}, categorical_sizes(problem.features, graph))
    random = np.random.default_rng(0)
    weights = [random.normal(0, len(each) ** -0.5, each.shape) for each in network.get_weights()]
    network.set_weights(weights)
    export(network, graph, problem, str(folder))
    return folder


def write_raw(path: Path, rows: Sequence[Row]) -> list[str]:
    """Writes raw rows as ExampleGen does, and returns the file pattern."""
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in rows:
            writer.write(encode(row))
    return [str(path)]


def _preprocess(inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
    """Transforms the features, and the labels of all tasks, in one graph."""
    outputs: dict[str, tf.Tensor] = {}
    for problem in (UNSCALED, *PROBLEMS.values()):
        # The analyzed features are in the last problem only, since a vocabulary file can be written only once.
        features = EVERY_KIND if problem is REGRESSION else Features(cyclical={"month": Cyclical(period=12)})
        config = {"problem": dataclasses.replace(problem, features=features).to_config()}
        outputs |= preprocessing_fn(inputs, config)
    return outputs


@functools.cache
def small_table() -> SmallTable:
    """The analyzed table. The first process that needs it makes it, and the others wait."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / f"small_table-{_digest()}"
    with (CACHE / "small_table.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _make(folder)
    return SmallTable(raw_rows(), folder)


def _digest() -> str:
    """Digest of the code that makes the table, its libraries and the processor."""
    sources = source_digest("models.preprocessing", "models.problem", "models.transforms", "small_table")
    versions = [metadata.version(name) for name in ("apache-beam", "numpy", "tensorflow", "tensorflow-transform")]
    # Transformed values are only equal to the bit on one kind of machine.
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")][:1]
    return hashlib.sha256(" ".join([sources, *versions, *cpu]).encode()).hexdigest()[:16]


def _make(folder: Path) -> None:
    """Analyzes the table and writes its graph and its transformed examples to a new folder."""
    rows = raw_rows()
    spec = tft.DatasetMetadata.from_feature_spec(SPEC)
    instances = [{name: values_of(row[name]) for name in SPEC} for row in rows]
    with tempfile.TemporaryDirectory(dir=folder.parent) as parent:
        partial = Path(parent) / "table"
        temporary = Path(parent) / "temporary"
        with beam.Pipeline(runner=FnApiRunner()) as pipeline, tft_beam.Context(temp_dir=str(temporary)):
            raw = pipeline | beam.Create(instances, reshuffle=False)
            graph = (raw, spec) | tft_beam.AnalyzeDataset(_preprocess)
            _ = graph | tft_beam.WriteTransformFn(str(partial / "graph"))
            _ = spec | tft_beam.WriteMetadata(str(partial / "graph/metadata"), pipeline)
        table = SmallTable(rows, partial)
        table.write(partial / "examples-0.gz", rows[: ROWS // 2])
        table.write(partial / "examples-1.gz", rows[ROWS // 2 :])
        partial.rename(folder)
