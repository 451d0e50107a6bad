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
from models.transforms.columns import MISSING
from serving import edge
from serving.edge import METADATA, EdgeModel, encode, load

FLOAT = {"name": "fare", "dtype": "float32", "bytes": 0}
INTEGER = {"name": "hour", "dtype": "int64", "bytes": 0}
STRING = {"name": "company", "dtype": "string", "bytes": 0}
HASHED = {"name": "tract", "dtype": "string", "bytes": 8}


def device_model(folder: Path, **metadata: Any) -> Path:
    """Writes a pushed model whose score is the sigmoid of the fare."""

    @tf.function
    def score(fare: tf.Tensor, hour: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(fare) + 0 * tf.cast(hour, tf.float32)

    specs = {"fare": tf.TensorSpec([1, 1], tf.float32, "fare"), "hour": tf.TensorSpec([1, 1], tf.int64, "hour")}
    known = {"model": "taxi", "quantization": "none", "task": "binary", "classes": ["no", "yes"]}
    content = convert_function(score.get_concrete_function(**specs), "the score")
    (folder / "exported").write_bytes(
        with_metadata(content, METADATA, known | {"features": [FLOAT, INTEGER]} | metadata)
    )
    write_device_model(folder / "exported", folder, 7, "a run")
    return folder / "model.tflite"


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "serving.edge", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Runs the command in this process, which has to fail, and returns its only line of output."""
    with pytest.raises(SystemExit) as exited:
        edge.main(list(arguments))
    assert exited.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    [line] = output.err.splitlines()
    return line


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return device_model(tmp_path_factory.mktemp("pushed"))


def test_classification_returns_class_and_scores(pushed: Path) -> None:
    prediction = load(pushed).predict_with_scores({"fare": 2.0, "hour": 3})
    high = 1 / (1 + np.exp(-2.0))
    assert prediction["class"] == "yes"
    assert prediction["predictions"] == pytest.approx([high])
    assert prediction["scores"] == pytest.approx({"no": 1 - high, "yes": high})


def test_regression_returns_only_the_value(tmp_path: Path) -> None:
    prediction = load(device_model(tmp_path, task="regression", classes=[])).predict_with_scores(
        {"fare": 0.0, "hour": 3}
    )
    assert prediction == {"predictions": pytest.approx([0.5])}


def test_command_prints_json(pushed: Path) -> None:
    finished = command(str(pushed), "--json", '{"fare": 2, "hour": 3}')
    assert finished.returncode == 0
    assert json.loads(finished.stdout)["class"] == "yes"


def test_file_needs_only_numpy_and_litert(pushed: Path, tmp_path: Path) -> None:
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
    ("row", "message"),
    [
        ('{"fare": "x"}', "feature 'fare': found 'x'; expected a number"),
        ('{"fare": true}', "feature 'fare': found True; expected a number"),
        ('{"hour": 1.5}', "feature 'hour': found 1.5; expected an integer"),
        ('{"hour": 9223372036854775808}', "feature 'hour': found 9223372036854775808; expected a 64-bit integer"),
        ('{"far": 1}', "unknown feature 'far'; expected one of fare, hour; did you mean 'fare'?"),
        (r'{"company": "\ud800"}', "unknown feature 'company'"),
        (r'{"a\nb": 1}', r"unknown feature 'a\nb'"),
        ("[1]", "--json: found list; expected a JSON object that maps features to values"),
        ("{", "--json: Expecting property name enclosed in double quotes"),
    ],
)
def test_invalid_row_is_reported_in_one_line(
    pushed: Path, capsys: pytest.CaptureFixture[str], row: str, message: str
) -> None:
    assert refusal(capsys, str(pushed), "--json", row).startswith(f"error: {message}")


def test_unreadable_model_is_reported(pushed: Path, tmp_path: Path) -> None:
    content = pushed.read_bytes()
    bare = convert_function(
        tf.function(tf.identity).get_concrete_function(tf.TensorSpec([1], tf.float32)), "the function"
    )
    cases: dict[str, tuple[bytes, str]] = {
        "text": (b"not a model", "not a TFLite model"),
        "half": (content[: len(content) // 3], "truncated or damaged"),
        "short": (content[:-64], "LiteRT cannot load the model"),
        "bare": (bare, "has no metadata about its features"),
    }
    for name, (wrong, message) in cases.items():
        (tmp_path / name).write_bytes(wrong)
        with pytest.raises(ValueError, match=f"{message}.*; expected the model.tflite that the pipeline pushed"):
            load(tmp_path / name)
    finished = command(str(tmp_path / "absent"), "--json", "{}")
    assert finished.returncode == 2
    assert finished.stderr == f"error: {tmp_path / 'absent'}: No such file or directory; expected a model.tflite\n"


def test_model_that_differs_from_the_manifest_is_rejected(tmp_path: Path) -> None:
    model = device_model(tmp_path)
    model.write_bytes(model.read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"found SHA-256 .*; expected .* from manifest\.json; copy the model again"):
        load(model)


@pytest.mark.parametrize(
    ("value", "feature", "expected"),
    [
        (1, FLOAT, np.array([[1.0]], np.float32)),
        (None, FLOAT, np.array([[np.nan]], np.float32)),
        (1e300, FLOAT, np.array([[np.inf]], np.float32)),
        (-(10**400), FLOAT, np.array([[-np.inf]], np.float32)),
        (-3, INTEGER, np.array([[-3]], np.int64)),
        (None, INTEGER, np.array([[-(2**63)]], np.int64)),
        ("é", HASHED, np.array([[0xC3, 0xA9, -1, -1, -1, -1, -1, -1]], np.int32)),
        (b"12345678", HASHED, np.array([list(b"12345678")], np.int32)),
        (None, HASHED, np.full([1, 8], -1, np.int32)),
    ],
)
def test_values_are_encoded_as_the_graph_expects(
    value: Any, feature: dict[str, Any], expected: np.ndarray[Any, Any]
) -> None:
    found = encode(value, feature)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("value", "expected"), [("é", "é".encode()), (b"\xff", b"\xff"), (None, b"")])
def test_string_is_encoded_as_bytes(value: Any, expected: bytes) -> None:
    assert encode(value, STRING).tolist() == [[expected]]


def test_lone_surrogate_is_rejected() -> None:
    with pytest.raises(ValueError, match="feature 'company': found a lone surrogate"):
        encode("\ud800", STRING)


def test_damaged_model_is_reported_at_run_time(tmp_path: Path) -> None:
    model = EdgeModel(device_model(tmp_path).read_bytes())
    with pytest.raises(ValueError, match="LiteRT cannot run the model"):
        model.run({"fare": np.zeros([1, 1], np.float32)})


def test_missing_values_are_those_of_the_graph() -> None:
    for dtype, missing in MISSING.items():
        ours = tf.constant(edge.MISSING[dtype.name], dtype)
        np.testing.assert_array_equal(ours.numpy(), tf.constant(missing, dtype).numpy())
    assert len(edge.MISSING) == len(MISSING)


@pytest.mark.parametrize("manifest", ['{"sha256": "a', "{}", "[]"])
def test_unreadable_manifest_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str], manifest: str) -> None:
    model = device_model(tmp_path)
    (tmp_path / "manifest.json").write_text(manifest)
    line = refusal(capsys, str(model), "--json", "{}")
    assert line.startswith(f"error: {tmp_path / 'manifest.json'}: cannot be read")


def test_too_long_string_is_rejected() -> None:
    with pytest.raises(ValueError, match="feature 'tract': found a string of 9 bytes; expected at most 8"):
        encode("123456789", HASHED)
