from serving.inference.metrics import BOUNDS, QUEUE_BOUNDS, Metrics


def test_counters_are_whole_numbers_however_large() -> None:
    metrics = Metrics()
    metrics.requests.add(("tiny", "OK"), 123_456_789)
    metrics.requests.add(('a"b\\c\n', "OK"))
    lines = metrics.text().splitlines()
    assert ':tensorflow:serving:request_count{model_name="tiny",status="OK"} 123456789' in lines
    assert ':tensorflow:serving:request_count{model_name="a\\"b\\\\c\\n",status="OK"} 1' in lines


def test_a_histogram_adds_up_from_bucket_to_bucket() -> None:
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


def test_the_bounds_are_the_originals() -> None:
    assert (len(BOUNDS), BOUNDS[0], round(BOUNDS[1] / BOUNDS[0], 9)) == (33, 10, 1.8)
    assert (len(QUEUE_BOUNDS), QUEUE_BOUNDS[0], round(QUEUE_BOUNDS[1] / QUEUE_BOUNDS[0], 9)) == (52, 100, 1.2)


def test_values_are_found_by_either_name_over_all_labels() -> None:
    metrics = Metrics()
    for model in ("a", "b", "b"):
        metrics.requests.add((model, "OK"))
    names = ["/tensorflow/serving/request_count", ":tensorflow:serving:request_count", "/no/such"]
    assert metrics.values(names) == dict(zip(names, (3, 3, 0), strict=True))
