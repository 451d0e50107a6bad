"""The reason of errors as TensorFlow, Keras and Beam raise them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
import tf_keras as keras

from common.error_reason import reason
from models.distributed.task import this_task


def caught(call: Callable[[], object]) -> Exception:
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("expected an error")


def test_our_own_error_is_preferred_to_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{nonsense")
    error = caught(this_task)
    assert error.__cause__ is not None
    assert reason(error).startswith("TF_CONFIG: found '{nonsense'; expected ")


def test_our_own_error_is_preferred_to_one_that_wraps_it() -> None:
    outer = RuntimeError("a bundle failed")
    outer.__cause__ = caught(lambda: (_ for _ in ()).throw(ValueError("the table is empty [while running 'x']")))
    assert reason(outer) == "the table is empty"


def test_our_own_error_is_preferred_to_beams() -> None:
    own = caught(lambda: (_ for _ in ()).throw(ValueError("the label is 7")))

    def beam() -> None:
        try:
            raise RuntimeError("add_input failed on <a combiner>") from own
        except RuntimeError as error:
            raise RuntimeError(f"{error} [while running 'Metrics']")  # noqa: B904 - as Beam does

    assert reason(caught(beam)) == "the label is 7"


def test_the_reason_of_a_tracing_error_is_its_last_line() -> None:
    model = keras.Sequential([keras.layers.Dense(3, input_shape=(2,))])
    model.compile("adam", keras.losses.MeanSquaredError(), run_eagerly=False)
    error = caught(lambda: model.fit(tf.zeros((4, 2)), tf.zeros((4, 2)), verbose=0))
    assert str(error).startswith("in user code:")
    assert "Dimensions must be equal" in reason(error)
    assert "\n" not in reason(error)


def test_the_reason_of_a_graph_error_has_no_location(tmp_path: Path) -> None:
    path = tmp_path / "broken.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00broken" * 40)
    rows = tf.data.TFRecordDataset(str(path), "GZIP").batch(2)
    assert reason(caught(lambda: next(iter(rows)))) == "inflate() failed with error -3: invalid block type"
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
    model.compile("adam", "mse")
    learnt = rows.map(lambda _: (tf.zeros((2, 2)), tf.zeros((2, 1))))
    error = caught(lambda: model.fit(learnt, verbose=0))
    assert str(error).startswith("Graph execution error:")
    assert reason(error) == "inflate() failed with error -3: invalid block type"


@pytest.mark.parametrize(
    ("error", "expected"),
    [(KeyError("fare"), "KeyError: 'fare'"), (RuntimeError(), "RuntimeError"), (OSError("a\nb"), "a")],
)
def test_every_error_has_a_reason(error: Exception, expected: str) -> None:
    assert reason(error) == expected
