import os

import pytest

from common.keras_environment import set_keras_environment


def test_values_of_the_shell_that_break_imports_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    set_keras_environment()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert "TF_USE_LEGACY_KERAS" not in os.environ


def test_the_settings_folder_of_the_shell_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", "/elsewhere")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # restored after the test
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    set_keras_environment()
    assert os.environ["KERAS_HOME"] == "/elsewhere"
