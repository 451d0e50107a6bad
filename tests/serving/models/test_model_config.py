from pathlib import Path

import pytest
from google.protobuf import text_format

from serving.errors import ServingError
from serving.flags import Flags
from serving.models.model_config import ModelConfig, model_configs, read_model_configs, validated


def model(text: str = "") -> ModelConfig:
    return text_format.Parse(
        f"name: 'taxi' base_path: '/models/taxi' model_platform: 'tensorflow' {text}", ModelConfig()
    )


def test_flags_configure_one_model() -> None:
    [config] = model_configs(Flags(model_name="taxi", model_base_path="/models/taxi"))
    assert config == model()


def test_special_file_is_refused(tmp_path: Path) -> None:
    """/dev/zero would never end, and opening a pipe would wait for a writer. This one would look empty."""
    path = tmp_path / "models.config"
    path.symlink_to("/dev/null")
    with pytest.raises(ServingError, match="Not a regular file"):
        read_model_configs(path)


def test_config_file_lists_several_models(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text(
        "model_config_list { config { name: 'a' base_path: '/a' model_platform: 'tensorflow' } "
        "config { name: 'b' base_path: '/b' model_type: TENSORFLOW version_labels { key: 'canary' value: 3 } } }"
    )
    first, second = read_model_configs(path)
    assert (first.name, second.name) == ("a", "b")
    assert dict(second.version_labels) == {"canary": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: 'a' base_path: 'relative' model_platform: 'tensorflow'", "Expected model a to have an absolute path"),
        ("base_path: '/a' model_platform: 'tensorflow'", "Missing name in ModelConfig"),
        ("name: 'a' base_path: '/a' model_platform: 'pytorch'", "Invalid platform 'pytorch' for model a"),
        ("name: 'a' base_path: '/a'", "Invalid platform '' for model a"),
    ],
)
def test_invalid_model_config_is_rejected(text: str, message: str) -> None:
    with pytest.raises(ServingError, match=message):
        validated([text_format.Parse(text, ModelConfig())])


def test_duplicate_name_is_rejected() -> None:
    with pytest.raises(ServingError, match="Illegal to list model taxi multiple times in config list"):
        validated([model(), model()])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "model_config_list { config { nmae: 'a' } }",
            "Error parsing text-format tensorflow.serving.ModelServerConfig",
        ),
        ("custom_model_config { }", "expected a model_config_list"),
    ],
)
def test_broken_config_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "models.config"
    path.write_text(content)
    with pytest.raises(ServingError, match=message) as caught:
        read_model_configs(path)
    assert str(path) in caught.value.message


def test_missing_model_is_rejected() -> None:
    with pytest.raises(ServingError, match="found neither --model_base_path nor --model_config_file"):
        model_configs(Flags())
