"""Answers one raw row with a TFLite model, with numpy and LiteRT alone: the example to copy to a phone or a board.

Copy ``manifest.json`` with the model: its SHA-256 is what tells a damaged copy from a whole one.

python -m serving.edge MODEL --json '{"fare": 12.5, "payment_type": "Cash"}'
"""

import argparse
import difflib
import hashlib
import json
import math
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

MANIFEST_FILE = "manifest.json"
METADATA = "onegraph"  # the model's own entry among TFLite's metadata
PREDICTIONS = "predictions"
LARGEST = float(np.finfo(np.float32).max)
NO_BYTE = -1  # behind a text's last byte
EXPECTED = "expected the model.tflite that the pipeline pushed"
MISSING: dict[str, Any] = {"float32": math.nan, "int64": -(2**63), "string": b""}

Array = np.ndarray[Any, Any]


class EdgeModel:
    """A TFLite model of the pipeline, loaded for one row at a time and without a delegate.

    Attributes:
        metadata: What the model says of itself: ``features``, ``task``, ``classes``, ``version`` and where it is from.
    """

    def __init__(self, content: bytes) -> None:
        """Loads a model.

        Args:
            content: The bytes of ``model.tflite``.

        Raises:
            ValueError: They are no TFLite model of this pipeline.
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
            row: Values by feature; an absent feature, or ``None``, is a missing value.

        Returns:
            float32 [1] (the probability of the second class, or the value) or [C] (class probabilities).

        Raises:
            ValueError: An unknown feature, or a value of another type than the feature's.
        """
        return self.run(self.encode(row))

    def encode(self, row: Mapping[str, Any]) -> dict[str, Array]:
        """The model's input tensors for one raw row; see :meth:`predict`."""
        for name in row:
            if name not in self._features:
                raise ValueError(_unknown(name, list(self._features)))
        return {name: encode(row.get(name), feature) for name, feature in self._features.items()}

    def run(self, tensors: Mapping[str, Array]) -> Array:
        """Predicts from input tensors; see :meth:`predict` for what it returns.

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

    def answer(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The prediction for one raw row, with its class and the score of each class if the task has classes."""
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
    """Loads a pushed ``model.tflite``, and holds it against the manifest beside it, if there is one.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no TFLite model of this pipeline, or not the one that was pushed.
    """
    content = path.read_bytes()
    manifest = path.with_name(MANIFEST_FILE)
    if manifest.exists():
        try:
            expected = json.loads(manifest.read_text())["sha256"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{manifest}: it cannot be read; expected the one that was pushed: copy it again"
            ) from error
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise ValueError(
                f"{path}: found SHA-256 {found}; expected {expected}, as {manifest.name} says: copy it again"
            )
    return EdgeModel(content)


def encode(value: Any, feature: Mapping[str, Any]) -> Array:
    """One value as the model's input tensor.

    Args:
        value: A number, a string, bytes (UTF-8), or ``None`` for a missing value.
        feature: ``name``, ``dtype`` (``float32``, ``int64`` or ``string``) and ``bytes``: how many bytes a string may
            have that is given as its bytes, or 0.

    Returns:
        [1, 1], or int32 [1, bytes].

    Raises:
        ValueError: A value of another type, or a string that is too long.
    """
    dtype, size = feature["dtype"], feature["bytes"]
    value = MISSING[dtype] if value is None else value
    if dtype != "string":
        return np.array([[_number(value, feature)]], dtype)
    if not isinstance(value, str | bytes):
        raise ValueError(f"feature '{feature['name']}': found {value!r}; expected a string")
    try:
        text = value.encode() if isinstance(value, str) else value
    except UnicodeEncodeError:
        raise ValueError(f"feature '{feature['name']}': found half a character in {value!r}; expected UTF-8") from None
    if not size:
        return np.array([[text]], object)
    if len(text) > size:
        raise ValueError(f"feature '{feature['name']}': found a string of {len(text)} bytes; expected at most {size}")
    letters = np.full([1, size], NO_BYTE, np.int32)
    letters[0, : len(text)] = np.frombuffer(text, np.uint8)
    return letters


def read_metadata(content: bytes) -> dict[str, Any]:
    """What a model says of itself.

    Raises:
        ValueError: The bytes are no TFLite model of this pipeline.
    """
    if content[4:8] != b"TFL3":
        raise ValueError(f"this is no TFLite model; {EXPECTED}")
    try:
        model = schema.Model.GetRootAs(content, 0)
        for index in range(model.MetadataLength()):
            entry = model.Metadata(index)
            if entry.Name() == METADATA.encode():
                found: dict[str, Any] = json.loads(bytes(model.Buffers(entry.Buffer()).DataAsNumpy()))
                return found
    except (struct.error, TypeError, ValueError) as error:
        raise ValueError(f"the TFLite model is cut off or damaged; {EXPECTED}") from error
    raise ValueError(f"the TFLite model does not name its features; {EXPECTED}")


def _number(value: Any, feature: Mapping[str, Any]) -> float | int:
    whole = feature["dtype"] == "int64"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ValueError(f"feature '{feature['name']}': found {value!r}; expected a {'whole ' if whole else ''}number")
    if whole and not -(2**63) <= value < 2**63:
        raise ValueError(f"feature '{feature['name']}': found {value}; expected a number of 64 bits")
    # What is beyond a float32 is infinite, as it is to the pipeline.
    if not whole and abs(value) > LARGEST:
        return math.inf if value > 0 else -math.inf
    return value


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"unknown feature {name!r}; expected some of {', '.join(known)}" + (
        f"; did you mean '{near[0]}'?" if near else ""
    )


def main(arguments: list[str] | None = None) -> None:
    """Prints the answer as JSON; exits with 2 and one line for a model or a row that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m serving.edge", description="Answers one raw row on the device.")
    parser.add_argument("model", type=Path, help="model.tflite")
    parser.add_argument("--json", required=True, help="the row: values by feature, absent ones missing")
    options = parser.parse_args(arguments)
    try:
        answer = load(options.model).answer(_row(options.json))
    except OSError as error:
        sys.exit(_refuse(f"{options.model}: {error.strerror}; expected a model.tflite"))
    except ValueError as error:
        sys.exit(_refuse(str(error)))
    print(json.dumps(answer, ensure_ascii=False))


def _row(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--json: {error}; expected an object of values by feature") from error
    if not isinstance(row, dict):
        raise ValueError(f"--json: found {type(row).__name__}; expected an object of values by feature")
    return row


def _refuse(line: str) -> int:
    print(f"error: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
