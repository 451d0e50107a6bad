"""Runs a TFLite model of the pipeline on one raw row. Needs only numpy and LiteRT, so you can copy it to a device.

Copy ``manifest.json`` along with the model. Its SHA-256 reveals a damaged copy.

python -m serving.edge MODEL --json '{"fare": 12.5, "payment_type": "Cash"}'
"""

import argparse
import difflib
import hashlib
import json
import math
import os
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

MANIFEST_FILE = "manifest.json"
METADATA = "onegraph"  # name of our entry in the model's metadata
PREDICTIONS = "predictions"
MAX_FLOAT32 = float(np.finfo(np.float32).max)
NO_BYTE = -1  # padding after the last byte of a string
EXPECTED = "expected the model.tflite that the pipeline pushed"
MISSING: dict[str, Any] = {"float32": math.nan, "int64": -(2**63), "string": b""}

Array = np.ndarray[Any, Any]


class EdgeModel:
    """A TFLite model of the pipeline, for one row at a time and without a delegate.

    Attributes:
        metadata: The model's metadata: ``features``, ``task``, ``classes``, ``version`` and its origin.
    """

    def __init__(self, content: bytes) -> None:
        """Loads a model.

        Args:
            content: The content of ``model.tflite``.

        Raises:
            ValueError: The content is not a TFLite model of this pipeline.
        """
        self.metadata = read_metadata(content)
        self._features = {feature["name"]: feature for feature in self.metadata["features"]}
        try:
            self._interpreter = Interpreter(
                model_content=content,
                num_threads=1,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"LiteRT cannot load the model ({error}); {EXPECTED}") from error
        self._inputs = {each["name"]: each["index"] for each in self._interpreter.get_input_details()}
        self._output = self._interpreter.get_output_details()[0]["index"]

    def predict(self, row: Mapping[str, Any]) -> Array:
        """Predicts for one raw row.

        Args:
            row: Values by feature, and for a feature of lists a list of numbers, cut to its ``length``. An absent
                feature or ``None`` is a missing value.

        Returns:
            float32 [1] for binary classification (the probability of the second class) and regression, or [C] (the
            probability of each class).

        Raises:
            ValueError: A feature is unknown, or a value has the wrong type.
        """
        return self.run(self.encode(row))

    def encode(self, row: Mapping[str, Any]) -> dict[str, Array]:
        """Returns the model's input tensors for one raw row. See :meth:`predict`."""
        for name in row:
            if name not in self._features:
                raise ValueError(_unknown(name, list(self._features)))
        return {name: encode(row.get(name), feature) for name, feature in self._features.items()}

    def run(self, tensors: Mapping[str, Array]) -> Array:
        """Predicts from the model's input tensors. See :meth:`predict` for the result.

        Raises:
            ValueError: The model is damaged.
        """
        try:
            for name, index in self._inputs.items():
                self._interpreter.set_tensor(index, tensors[name])
            self._interpreter.invoke()
        except (KeyError, RuntimeError) as error:
            raise ValueError(f"LiteRT cannot run the model ({error}); {EXPECTED}") from error
        predictions: Array = self._interpreter.get_tensor(self._output)[0]
        return predictions

    def predict_with_scores(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Predicts for one raw row, and adds the class and the score of each class for classification."""
        predictions = [float(value) for value in self.predict(row)]
        classes = self.metadata["classes"]
        if not classes:
            return {PREDICTIONS: predictions}
        scores = [1 - predictions[0], predictions[0]] if self.metadata["task"] == "binary" else predictions
        return {
            PREDICTIONS: predictions,
            "class": classes[int(np.argmax(scores))],
            "scores": dict(zip(classes, scores, strict=True)),
        }


def load(path: Path) -> EdgeModel:
    """Loads a pushed ``model.tflite``, and checks it against ``manifest.json`` in the same folder, if there is one.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not a TFLite model of this pipeline, or it differs from the one that was pushed.
    """
    return EdgeModel(read_model(path))


def read_model(path: Path) -> bytes:
    """Reads the bytes of a pushed ``model.tflite``, and checks them against the manifest. See :func:`load`."""
    content = path.read_bytes()
    manifest = path.with_name(MANIFEST_FILE)
    if manifest.exists():
        try:
            expected = json.loads(manifest.read_text())["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{manifest}: cannot be read; copy the pushed manifest again") from error
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise ValueError(
                f"{path}: found SHA-256 {found}; expected {expected} from {manifest.name}; copy the model again"
            )
    return content


def encode(value: Any, feature: Mapping[str, Any]) -> Array:
    """Encodes a value as an input tensor of the model.

    Args:
        value: A number, a string, bytes (UTF-8), a list of numbers, or ``None`` for a missing value.
        feature: The feature's metadata: ``name``, ``dtype`` (``float32``, ``int64`` or ``string``), ``bytes``, which is
            the maximum length of a string that the model takes as bytes, or 0, and for lists ``length``, the number of
            values that are read.

    Returns:
        The tensor: [1, 1], for lists [1, length], or int32 [1, bytes].

    Raises:
        ValueError: The value has the wrong type, or the string is too long.
    """
    dtype, size = feature["dtype"], feature["bytes"]
    if length := feature.get("length"):
        return _encode_list(value, feature, length)
    value = MISSING[dtype] if value is None else value
    if dtype != "string":
        return np.array([[_number(value, feature)]], dtype)
    if not isinstance(value, str | bytes):
        raise ValueError(f"feature '{feature['name']}': found {value!r}; expected a string")
    try:
        text = value.encode() if isinstance(value, str) else value
    except UnicodeEncodeError:
        raise ValueError(f"feature '{feature['name']}': found a lone surrogate in {value!r}; expected UTF-8") from None
    if not size:
        return np.array([[text]], object)
    if len(text) > size:
        raise ValueError(f"feature '{feature['name']}': found a string of {len(text)} bytes; expected at most {size}")
    letters = np.full([1, size], NO_BYTE, np.int32)
    letters[0, : len(text)] = np.frombuffer(text, np.uint8)
    return letters


def _encode_list(value: Any, feature: Mapping[str, Any], length: int) -> Array:
    missing = MISSING[feature["dtype"]]
    given = value if isinstance(value, list | tuple) else [value]
    values = [missing if each is None else _number(each, feature) for each in given[:length]]
    return np.array([values + [missing] * (length - len(values))], feature["dtype"])


def read_metadata(content: bytes) -> dict[str, Any]:
    """Reads the metadata of a model.

    Raises:
        ValueError: The content is not a TFLite model of this pipeline.
    """
    if content[4:8] != b"TFL3":
        raise ValueError(f"not a TFLite model; {EXPECTED}")
    try:
        model = schema.Model.GetRootAs(content, 0)
        for index in range(model.MetadataLength()):
            entry = model.Metadata(index)
            if entry.Name() == METADATA.encode():
                metadata: dict[str, Any] = json.loads(bytes(model.Buffers(entry.Buffer()).DataAsNumpy()))
                return metadata
    except (struct.error, TypeError, ValueError) as error:
        raise ValueError(f"the TFLite model is truncated or damaged; {EXPECTED}") from error
    raise ValueError(f"the TFLite model has no metadata about its features; {EXPECTED}")


def _number(value: Any, feature: Mapping[str, Any]) -> float | int:
    is_integer = feature["dtype"] == "int64"
    if isinstance(value, bool) or not isinstance(value, int if is_integer else int | float):
        expected = "an integer" if is_integer else "a number"
        raise ValueError(f"feature '{feature['name']}': found {value!r}; expected {expected}")
    if is_integer and not -(2**63) <= value < 2**63:
        raise ValueError(f"feature '{feature['name']}': found {value}; expected a 64-bit integer")
    # Values too large for a float32 become infinite, as in the pipeline.
    if not is_integer and abs(value) > MAX_FLOAT32:
        return math.inf if value > 0 else -math.inf
    return value


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"unknown feature {name!r}; expected one of {', '.join(known)}" + (
        f"; did you mean '{near[0]}'?" if near else ""
    )


def main(arguments: list[str] | None = None) -> None:
    """Prints the prediction as JSON. Exits with code 2 and a one-line error if the model or the row is invalid."""
    parser = argparse.ArgumentParser(prog="python -m serving.edge", description="Run a TFLite model on one raw row.")
    parser.add_argument("model", type=Path, help="path of model.tflite")
    parser.add_argument("--json", required=True, help="the row, as a JSON object that maps features to values")
    options = parser.parse_args(arguments)
    try:
        prediction = load(options.model).predict_with_scores(_parse_row(options.json))
    except OSError as error:
        sys.exit(_fail(f"{options.model}: {error.strerror}; expected a model.tflite"))
    except ValueError as error:
        sys.exit(_fail(str(error)))
    shown = json.dumps(prediction, ensure_ascii=False)
    try:  # a terminal would obey control characters in the name of a class
        print(shown if shown.isprintable() else json.dumps(prediction), flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still in the buffer
        _fail(f"standard output: {error.strerror}")
        sys.exit(1)


def _parse_row(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--json: {error}; expected a JSON object that maps features to values") from error
    if not isinstance(row, dict):
        raise ValueError(f"--json: found {type(row).__name__}; expected a JSON object that maps features to values")
    return row


def _fail(line: str) -> int:
    print(f"error: {line}" if line.isprintable() else ascii(f"error: {line}"), file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
