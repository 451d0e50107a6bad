from pathlib import Path

import pytest
from google.protobuf import text_format

from serving.errors import ServingError
from serving.flags import Flags
from serving.models.batching import Batching
from serving.models.configuration import (
    METRICS_PATH,
    ModelConfig,
    batching_of,
    checked,
    metrics_path,
    model_configs,
    read_models,
    versions_in,
    wanted_versions,
)


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
    first, second = read_models(path)
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
        checked([text_format.Parse(text, ModelConfig())])


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ServingError, match="Illegal to list model taxi multiple times in config list"):
        checked([model(), model()])


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
        read_models(path)
    assert str(path) in caught.value.message


def test_no_model_is_refused() -> None:
    with pytest.raises(ServingError, match="found neither --model_base_path nor --model_config_file"):
        model_configs(Flags())


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("", [12]),
        ("latest { num_versions: 2 }", [12, 7]),
        ("all { }", [12, 7, 3]),
        ("specific { versions: 3 versions: 7 versions: 99 }", [7, 3]),
    ],
)
def test_the_policy_chooses_versions(policy: str, wanted: list[int]) -> None:
    config = model(f"model_version_policy {{ {policy} }}" if policy else "")
    assert wanted_versions(config, [3, 12, 7]) == wanted


def test_versions_are_folders_whose_names_are_whole_numbers(tmp_path: Path) -> None:
    for name in ("1", "00000123", "-4", "1.5", "x", ".pushing-9", "9223372036854775808", "²"):
        (tmp_path / name).mkdir()
    (tmp_path / "7").touch()
    assert versions_in(tmp_path) == {1: tmp_path / "1", 123: tmp_path / "00000123"}
    with pytest.raises(FileNotFoundError):  # a folder that is not mounted is none without versions
        versions_in(tmp_path / "absent")


def test_batching_parameters_are_read(tmp_path: Path) -> None:
    path = tmp_path / "batching"
    path.write_text(
        "max_batch_size { value: 32 } batch_timeout_micros { value: 500 } max_enqueued_batches { value: 9 } "
        "num_batch_threads { value: 3 } allowed_batch_sizes: 8 allowed_batch_sizes: 32 pad_variable_length_inputs: true"
    )
    assert batching_of(Flags(enable_batching=True, batching_parameters_file=str(path))) == Batching(
        max_batch_size=32,
        batch_timeout_micros=500,
        max_enqueued_batches=9,
        num_batch_threads=3,
        allowed_batch_sizes=(8, 32),
        pad_variable_length_inputs=True,
    )
    assert batching_of(Flags(enable_batching=True)) == Batching()
    assert batching_of(Flags()) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_batch_size", 0),
        ("max_batch_size", 50_000_000),
        ("num_batch_threads", -4),
        ("max_enqueued_batches", 0),
        ("batch_timeout_micros", -1),
        ("max_execution_batch_size", -2),
    ],
)
def test_batching_parameters_out_of_bounds_are_refused(tmp_path: Path, field: str, value: int) -> None:
    path = tmp_path / "batching"
    path.write_text(f"{field} {{ value: {value} }}")
    with pytest.raises(ServingError, match=f"found {field} {value}; expected [01] to "):
        batching_of(Flags(enable_batching=True, batching_parameters_file=str(path)))


def test_batching_parameters_without_batching_are_refused() -> None:
    with pytest.raises(ServingError, match="--batching_parameters_file supplied without --enable_batching"):
        batching_of(Flags(batching_parameters_file="/b"))


@pytest.mark.parametrize("sizes", ["allowed_batch_sizes: 8 allowed_batch_sizes: 4", "allowed_batch_sizes: 8"])
def test_batch_sizes_that_do_not_fit_are_refused(tmp_path: Path, sizes: str) -> None:
    (tmp_path / "b").write_text(f"max_batch_size {{ value: 32 }} {sizes}")
    with pytest.raises(ServingError, match="expected them to grow, and to end with max_batch_size 32"):
        batching_of(Flags(enable_batching=True, batching_parameters_file=str(tmp_path / "b")))


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ("prometheus_config { enable: true }", METRICS_PATH),
        ("prometheus_config { enable: true path: '/metrics' }", "/metrics"),
        ("prometheus_config { path: '/metrics' }", None),
        ("", None),
    ],
)
def test_metrics_are_told_where_the_file_says(tmp_path: Path, content: str, path: str | None) -> None:
    (tmp_path / "monitoring").write_text(content)
    assert metrics_path(Flags(monitoring_config_file=str(tmp_path / "monitoring"))) == path


def test_metrics_are_not_told_where_nobody_can_ask(tmp_path: Path) -> None:
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true path: 'metrics' }")
    with pytest.raises(ServingError, match="monitoring: found the path 'metrics'; expected one that begins with /"):
        metrics_path(Flags(monitoring_config_file=str(tmp_path / "monitoring")))
