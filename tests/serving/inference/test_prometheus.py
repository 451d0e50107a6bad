from pathlib import Path

import pytest

from serving.errors import ServingError
from serving.flags import Flags
from serving.inference.metrics import BOUNDS, DEFAULT_PATH, QUEUE_BOUNDS, Metrics, metrics_path


def test_counters_are_integers_of_any_size() -> None:
    metrics = Metrics()
    metrics.requests.add(("tiny", "OK"), 123_456_789)
    metrics.requests.add(('a"b\\c\n', "OK"))
    lines = metrics.text().splitlines()
    assert ':tensorflow:serving:request_count{model_name="tiny",status="OK"} 123456789' in lines
    assert ':tensorflow:serving:request_count{model_name="a\\"b\\\\c\\n",status="OK"} 1' in lines


def test_histogram_buckets_are_cumulative() -> None:
    metrics = Metrics()
    for microseconds in (5, 15, 1e12):
        metrics.request_latency.observe(("tiny", "Predict", "REST"), microseconds / 1e6)
    name, labels = ":tensorflow:serving:request_latency", 'model_name="tiny",API="Predict",entrypoint="REST"'
    lines = metrics.text().splitlines()
    assert f'{name}_bucket{{{labels},le="10"}} 1' in lines
    assert f'{name}_bucket{{{labels},le="18"}} 2' in lines
    assert f'{name}_bucket{{{labels},le="+Inf"}} 3' in lines
    assert f"{name}_count{{{labels}}} 3" in lines
    assert f"{name}_sum{{{labels}}} 1000000000020" in lines


def test_bucket_bounds_are_tensorflow_servings() -> None:
    assert (len(BOUNDS), BOUNDS[0], round(BOUNDS[1] / BOUNDS[0], 9)) == (33, 10, 1.8)
    assert (len(QUEUE_BOUNDS), QUEUE_BOUNDS[0], round(QUEUE_BOUNDS[1] / QUEUE_BOUNDS[0], 9)) == (52, 100, 1.2)


def test_totals_are_found_by_both_forms_of_the_name() -> None:
    metrics = Metrics()
    for model in ("a", "b", "b"):
        metrics.requests.add((model, "OK"))
    names = ["/tensorflow/serving/request_count", ":tensorflow:serving:request_count", "/no/such"]
    assert metrics.values(names) == dict(zip(names, (3, 3, 0), strict=True))


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ("prometheus_config { enable: true }", DEFAULT_PATH),
        ("prometheus_config { enable: true path: '/metrics' }", "/metrics"),
        ("prometheus_config { path: '/metrics' }", None),
        ("", None),
    ],
)
def test_monitoring_config_sets_the_metrics_path(tmp_path: Path, content: str, path: str | None) -> None:
    (tmp_path / "monitoring").write_text(content)
    assert metrics_path(Flags(monitoring_config_file=str(tmp_path / "monitoring"))) == path


def test_relative_metrics_path_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true path: 'metrics' }")
    with pytest.raises(ServingError, match="monitoring: found the path 'metrics'; expected one that starts with /"):
        metrics_path(Flags(monitoring_config_file=str(tmp_path / "monitoring")))
