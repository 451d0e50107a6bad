"""Environment variables of Keras."""

import os

from common.project import ROOT


def set_keras_environment() -> None:
    """Sets the environment of Keras for this process and those that it starts. Call it before any import of TFX.

    keras-tuner writes its settings file on import: here rather than to the home folder. TFX's libraries import Keras 3
    with the backend that the shell names, which need not be installed, and refuse to do without Keras 2.
    """
    os.environ.setdefault("KERAS_HOME", str(ROOT / ".cache/keras"))
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
