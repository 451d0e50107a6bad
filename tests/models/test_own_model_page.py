"""The example of docs/your-own-model.md works as it is written."""

import importlib
import json
import re
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
import yaml
from small_table import IN_FULL, small_table

from common.project import ROOT
from models.network import NetworkFunction, feature_inputs, output_width
from models.problem.problem import Task
from models.transforms.kinds import categorical_sizes
from pipeline.config.loading import load_config

PAGE = (ROOT / "docs/your-own-model.md").read_text()
[MODULE] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
[YAML] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SETTINGS = yaml.safe_load(YAML)


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkFunction]:
    """The function of the page, in a module of its own."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "cross_network_of_the_page.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("cross_network_of_the_page").build_network
    sys.path.remove(str(folder))


@pytest.mark.parametrize("task", IN_FULL)
def test_the_network_of_the_page_has_the_output_of_the_task(function: NetworkFunction, task: Task) -> None:
    problem, table = IN_FULL[task], small_table()
    sizes = categorical_sizes(problem.features, table.graph)
    model = function(problem, SETTINGS["network"]["hyperparameters"], sizes)
    columns = table.transform(table.rows[:64])
    inputs = {name: tf.constant(columns[name]) for name in feature_inputs(problem.features)}
    predictions = model(inputs)
    assert predictions.shape == (64, output_width(problem))
    if task == "multiclass":
        np.testing.assert_allclose(tf.reduce_sum(predictions, axis=1), 1, rtol=1e-5)
        labels = columns[problem.target_tensor]
        losses = model.fit(inputs, labels, epochs=20, verbose=0).history["loss"]
        assert losses[-1] < losses[0]


def test_the_settings_of_the_page_fit_the_taxi_problem() -> None:
    overrides = {f"{block}.{key}": json.dumps(value) for block, keys in SETTINGS.items() for key, value in keys.items()}
    config = load_config(ROOT / "configs/taxi.yaml", overrides)
    assert config.network.function == "models.cross_network.build_network"
    assert config.tuning.search["cross_layers"].values == (1, 2, 3)
