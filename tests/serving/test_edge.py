import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from custom_components.pusher.device import write_device_model
from custom_components.shared.tflite_file import with_metadata
from custom_components.tflite_exporter.convert import convert_function
from models.preprocessing import MISSING
from serving import edge
from serving.edge import METADATA, EdgeModel, encode, load

NUMBER = {"name": "fare", "dtype": "float32", "bytes": 0}
WHOLE = {"name": "hour", "dtype": "int64", "bytes": 0}
TEXT = {"name": "company", "dtype": "string", "bytes": 0}
HASHED = {"name": "tract", "dtype": "string", "bytes": 8}


def device_model(folder: Path, **metadata: Any) -> Path:
    """A pushed model whose score is the sigmoid of the fare."""

    @tf.function
    def score(fare: tf.Tensor, hour: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(fare) + 0 * tf.cast(hour, tf.float32)

    specs = {"fare": tf.TensorSpec([1, 1], tf.float32, "fare"), "hour": tf.TensorSpec([1, 1], tf.int64, "hour")}
    known = {"model": "taxi", "quantization": "none", "task": "binary", "classes": ["no", "yes"]}
    content = convert_function(score.get_concrete_function(**specs), "the score")
    (folder / "exported").write_bytes(
        with_metadata(content, METADATA, known | {"features": [NUMBER, WHOLE]} | metadata)
    )
    write_device_model(folder / "exported", folder, 7, "a run")
    return folder / "model.tflite"


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "serving.edge", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return device_model(tmp_path_factory.mktemp("pushed"))


def test_a_row_is_answered_with_its_class_and_scores(pushed: Path) -> None:
    answer = load(pushed).predict_with_scores({"fare": 2.0, "hour": 3})
    high = 1 / (1 + np.exp(-2.0))
    assert answer["class"] == "yes"
    assert answer["predictions"] == pytest.approx([high])
    assert answer["scores"] == pytest.approx({"no": 1 - high, "yes": high})


def test_a_regression_is_answered_with_its_value(tmp_path: Path) -> None:
    answer = load(device_model(tmp_path, task="regression", classes=[])).predict_with_scores({"fare": 0.0, "hour": 3})
    assert answer == {"predictions": pytest.approx([0.5])}


def test_the_command_answers_in_json(pushed: Path) -> None:
    finished = command(str(pushed), "--json", '{"fare": 2, "hour": 3}')
    assert finished.returncode == 0
    assert json.loads(finished.stdout)["class"] == "yes"


def test_the_file_alone_with_numpy_and_litert_is_enough(pushed: Path, tmp_path: Path) -> None:
    shutil.copy(edge.__file__, tmp_path / "edge.py")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules); import edge; edge.main(sys.argv[2:]); "
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    line = [sys.executable, "-P", "-c", code, str(tmp_path), str(pushed), "--json", "{}"]
    finished = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, check=True)
    imported = set(ast.literal_eval(finished.stdout.splitlines()[-1]))
    assert imported <= {"edge", "numpy", "ai_edge_litert", "flatbuffers", "_litert"}, imported


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"fare": "x"}', "feature 'fare': found 'x'; expected a number"),
        ('{"fare": true}', "feature 'fare': found True; expected a number"),
        ('{"hour": 1.5}', "feature 'hour': found 1.5; expected an integer"),
        ('{"hour": 9223372036854775808}', "feature 'hour': found 9223372036854775808; expected a 64-bit integer"),
        ('{"far": 1}', "unknown feature 'far'; expected one of fare, hour; did you mean 'fare'?"),
        (r'{"company": "\ud800"}', "unknown feature 'company'"),
        (r'{"a\nb": 1}', r"unknown feature 'a\nb'"),
        ("[1]", "--json: found list; expected a JSON object of values by feature"),
        ("{", "--json: Expecting property name enclosed in double quotes"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_in_one_line(pushed: Path, row: str, said: str) -> None:
    finished = command(str(pushed), "--json", row)
    assert finished.returncode == 2
    assert finished.stdout == ""
    [line] = finished.stderr.splitlines()
    assert line.startswith(f"error: {said}")


def test_a_model_that_cannot_be_read_is_refused_in_one_line(pushed: Path, tmp_path: Path) -> None:
    content = pushed.read_bytes()
    bare = convert_function(
        tf.function(tf.identity).get_concrete_function(tf.TensorSpec([1], tf.float32)), "the function"
    )
    cases: dict[str, tuple[bytes, str]] = {
        "text": (b"no model at all", "not a TFLite model"),
        "half": (content[: len(content) // 3], "truncated or damaged"),
        "short": (content[:-64], "LiteRT cannot load the model"),
        "bare": (bare, "has no metadata about its features"),
    }
    for name, (wrong, said) in cases.items():
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(ValueError, match=f"{said}.*; expected the model.tflite that the pipeline pushed"):
            load(tmp_path / name)
    finished = command(str(tmp_path / "absent"), "--json", "{}")
    assert finished.returncode == 2
    assert finished.stderr == f"error: {tmp_path / 'absent'}: No such file or directory; expected a model.tflite\n"


def test_a_file_that_is_not_the_pushed_one_is_refused(tmp_path: Path) -> None:
    model = device_model(tmp_path)
    model.write_bytes(model.read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"found SHA-256 .*; expected .* from manifest\.json; copy the model again"):
        load(model)


@pytest.mark.parametrize(
    ("value", "feature", "expected"),
    [
        (1, NUMBER, np.array([[1.0]], np.float32)),
        (None, NUMBER, np.array([[np.nan]], np.float32)),
        (1e300, NUMBER, np.array([[np.inf]], np.float32)),
        (-(10**400), NUMBER, np.array([[-np.inf]], np.float32)),
        (-3, WHOLE, np.array([[-3]], np.int64)),
        (None, WHOLE, np.array([[-(2**63)]], np.int64)),
        ("é", HASHED, np.array([[0xC3, 0xA9, -1, -1, -1, -1, -1, -1]], np.int32)),
        (b"12345678", HASHED, np.array([list(b"12345678")], np.int32)),
        (None, HASHED, np.full([1, 8], -1, np.int32)),
    ],
)
def test_values_are_encoded_as_the_graph_reads_them(
    value: Any, feature: dict[str, Any], expected: np.ndarray[Any, Any]
) -> None:
    found = encode(value, feature)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("value", "expected"), [("é", "é".encode()), (b"\xff", b"\xff"), (None, b"")])
def test_a_text_is_given_as_its_bytes(value: Any, expected: bytes) -> None:
    assert encode(value, TEXT).tolist() == [[expected]]


def test_half_a_character_is_refused_by_the_features_name() -> None:
    with pytest.raises(ValueError, match="feature 'company': found a lone surrogate"):
        encode("\ud800", TEXT)


def test_a_damaged_model_that_cannot_run_says_so(tmp_path: Path) -> None:
    model = EdgeModel(device_model(tmp_path).read_bytes())
    with pytest.raises(ValueError, match="LiteRT cannot run the model"):
        model.run({"fare": np.zeros([1, 1], np.float32)})


def test_a_missing_value_is_the_graphs() -> None:
    for dtype, missing in MISSING.items():
        ours = tf.constant(edge.MISSING[dtype.name], dtype)
        np.testing.assert_array_equal(ours.numpy(), tf.constant(missing, dtype).numpy())
    assert len(edge.MISSING) == len(MISSING)


@pytest.mark.parametrize("manifest", ['{"sha256": "a', "{}", "[]"])
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, manifest: str) -> None:
    model = device_model(tmp_path)
    (tmp_path / "manifest.json").write_text(manifest)
    finished = command(str(model), "--json", "{}")
    assert finished.returncode == 2
    [line] = finished.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'manifest.json'}: cannot be read")


def test_a_text_longer_than_the_model_can_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="feature 'tract': found a string of 9 bytes; expected at most 8"):
        encode("123456789", HASHED)
