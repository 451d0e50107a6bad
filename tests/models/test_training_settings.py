import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_table import BINARY, PROBLEMS

from models.training_settings import Hyperparameters, ModelConfig, Network, Range, Training, Tuning

counts = st.integers(1, 10**6)
numbers = st.floats(allow_nan=False, allow_infinity=False)
choices = (st.booleans(), st.integers(-(10**9), 10**9) | numbers, st.text(max_size=8))
scalars = st.one_of(*choices)
ranges = (
    st.builds(
        Range, values=st.sampled_from(choices).flatmap(lambda of: st.lists(of, min_size=1, max_size=4)).map(tuple)
    )
    | st.builds(Range, min=st.integers(-9, 0), max=st.integers(1, 9))
    | st.builds(Range, min=st.floats(1e-6, 0.1), max=st.floats(0.2, 10), sampling=st.just("log"))
)
tunings = st.builds(
    Tuning,
    enabled=st.booleans(),
    algorithm=st.sampled_from(["bayesian", "random"]),
    trials=counts,
    steps=counts,
    search=st.dictionaries(st.text(max_size=8), ranges, max_size=3),
)
configs = st.builds(
    ModelConfig,
    problem=st.sampled_from(list(PROBLEMS.values())),
    network=st.builds(
        Network, function=st.text(), hyperparameters=st.dictionaries(st.text(max_size=8), scalars, max_size=4)
    ),
    training=st.builds(Training, steps=counts, batch_size=counts, evaluate_every=counts, patience=counts, seed=counts),
    tuning=st.none() | tunings,
    code=st.text(),
)


def kinds(config: ModelConfig) -> list[type]:
    return [type(value) for value in config.network.hyperparameters.values()]


@settings(deadline=None)
@given(config=configs)
def test_a_config_survives_json_with_its_types(config: ModelConfig) -> None:
    read = ModelConfig.from_config(json.loads(json.dumps(config.to_config())))
    assert read == config
    assert kinds(read) == kinds(config)  # True == 1 == 1.0 in Python, but they are different hyperparameters


@pytest.mark.parametrize(
    ("record", "arguments", "reason"),
    [
        (Hyperparameters, {"hidden_layers": -1}, "greater than or equal to 0"),
        (Hyperparameters, {"hidden_layer": 1}, "hidden_layer"),
        (Hyperparameters, {"hidden_units": 0}, "greater than or equal to 1"),
        (Hyperparameters, {"hidden_units": 1.5}, "integer"),
        (Hyperparameters, {"dropout": 1.0}, "less than 1"),
        (Hyperparameters, {"learning_rate": 0.0}, "greater than 0"),
        (Hyperparameters, {"learning_rate": float("nan")}, "finite"),
        (Hyperparameters, {"l2": -0.1}, "greater than or equal to 0"),
        (Training, {"steps": 0}, "greater than or equal to 1"),
        (Training, {"batch_size": "128"}, "integer"),
        (Training, {"seed": -1}, "greater than or equal to 0"),
        (Training, {"strategy": "all"}, "one_device"),
        (Training, {"workers": 0}, "greater than or equal to 1"),
        (
            Training,
            {"workers": 2, "strategy": "tpu"},
            "found 2 'workers' with the single-process 'strategy' 'tpu'; expected 'auto'",
        ),
        (Training, {"workers": 3}, "found 'batch_size' 128 for 3 'workers'; expected a multiple of 'workers'"),
        (Training, {"workers": 8, "batch_size": 4}, "found 'batch_size' 4 for 8 'workers'; expected a multiple"),
        (Training, {"first_port": 70_000}, "less than or equal to 65535"),
        (
            Training,
            {"first_port": 65_535, "workers": 2},
            "found 'first_port' 65535, so the last port is 65536; expected",
        ),
        (
            Training,
            {"first_port": 65_532, "strategy": "parameter_server", "workers": 2, "parameter_servers": 2},
            "the last port is 65536",
        ),
        (Training, {"learning_rate_scaling": "cubic"}, "sqrt"),
        (Training, {"checkpoint_every": 0}, "greater than or equal to 1"),
        (Tuning, {"algorithm": "grid"}, "bayesian"),
        (Tuning, {"workers": 0}, "greater than or equal to 1"),
        (Tuning, {"trials": 0}, "greater than or equal to 1"),
        (Range, {}, "either 'min' and 'max', or 'values'"),
        (Range, {"min": 1}, "either 'min' and 'max', or 'values'"),
        (Range, {"min": 1, "max": 2, "values": (1,)}, "either 'min' and 'max', or 'values'"),
        (Range, {"values": ()}, "at least 1 item"),
        (Range, {"values": (1, "a")}, "'values' must be of one type"),
        (Range, {"values": (1, True)}, "'values' must be of one type"),
        (Range, {"min": 2, "max": 2}, "'min' must be below 'max'; found 2 and 2"),
        (Range, {"min": 0, "max": 2, "sampling": "log"}, "above 0 for log sampling; found 0"),
        (ModelConfig, {"problem": BINARY, "network": Network(), "training": Training(), "cod": ""}, "cod"),
    ],
)
def test_a_record_rejects_invalid_values(record: Any, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        record(**arguments)


@given(
    steps=st.integers(1, 500),
    evaluate_every=st.integers(1, 600),
    checkpoint_every=st.none() | st.integers(1, 600),
)
def test_checkpoints_cover_all_steps_and_evaluations(
    steps: int, evaluate_every: int, checkpoint_every: int | None
) -> None:
    training = Training(steps=steps, evaluate_every=evaluate_every, checkpoint_every=checkpoint_every)
    checkpoints = training.checkpoints
    assert checkpoints == sorted(set(checkpoints))
    assert checkpoints[-1] == steps
    longest = max(end - begin for begin, end in itertools.pairwise([0, *checkpoints]))
    assert longest <= min(steps, evaluate_every, checkpoint_every or evaluate_every)
    evaluated = [step for step in checkpoints if training.is_evaluated(step)]
    assert evaluated == [*range(evaluate_every, steps, evaluate_every), steps]
