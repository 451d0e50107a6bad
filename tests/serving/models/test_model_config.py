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


def test_the_flags_name_one_model() -> None:
    [config] = model_configs(Flags(model_name="taxi", model_base_path="/models/taxi"))
    assert config == model()


def test_a_file_names_several(tmp_path: Path) -> None:
    path = tmp_path / "models.config"
    path.write_text(
        "model_config_list { config { name: 'a' base_path: '/a' model_platform: 'tensorflow' } "
        "config { name: 'b' base_path: '/b' model_type: TENSORFLOW version_labels { key: 'canary' value: 3 } } }"
    )
    first, second = read_model_configs(path)
    assert (first.name, second.name) == ("a", "b")
    assert dict(second.version_labels) == {"canary": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: 'a' base_path: 'relative' model_platform: 'tensorflow'", "Expected model a to have an absolute path"),
        ("base_path: '/a' model_platform: 'tensorflow'", "Missing name in ModelConfig"),
        ("name: 'a' base_path: '/a' model_platform: 'pytorch'", "Invalid platform 'pytorch' for model a"),
        ("name: 'a' base_path: '/a'", "Invalid platform '' for model a"),
    ],
)
def test_a_model_that_cannot_be_served_is_refused(text: str, said: str) -> None:
    with pytest.raises(ServingError, match=said):
        validated([text_format.Parse(text, ModelConfig())])


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ServingError, match="Illegal to list model taxi multiple times in config list"):
        validated([model(), model()])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "model_config_list { config { nmae: 'a' } }",
            "Error parsing text-format tensorflow.serving.ModelServerConfig",
        ),
        ("custom_model_config { }", "expected a model_config_list"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "models.config"
    path.write_text(content)
    with pytest.raises(ServingError, match=said) as caught:
        read_model_configs(path)
    assert str(path) in caught.value.message


def test_no_model_is_refused() -> None:
    with pytest.raises(ServingError, match="found neither --model_base_path nor --model_config_file"):
        model_configs(Flags())
