import csv
import json
import random
import sys
from pathlib import Path
from typing import Any

import forked
import pytest
import tensorflow as tf
import yaml
from conftest import ROOT

from serving.edge import load

pytestmark = pytest.mark.e2e

CLASSES = ("adelie", "chinstrap", "gentoo")


def write_table(folder: Path, rows: int = 600, seed: int = 7) -> None:
    """Writes a table of three classes that depend on two numbers and a category; some cells are empty.

    The columns have names of TFMA's extracts, of Keras's arguments and of the signatures' inputs, and names that
    TensorFlow cannot have in its graphs: two that differ only in case, one that is there twice, and none.
    """
    folder.mkdir()
    draw = random.Random(seed)
    with (folder / "penguins.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["", "features", "labels", "Größe (mm)", "größe (MM)", "examples", "name", "name", "inputs"])
        for number in range(rows):
            index = draw.randrange(3)
            bill = round(draw.gauss(40 + 5 * index, 2), 2) if draw.random() > 0.05 else ""
            island = draw.choice(["Törgersen", "Biscoe", "Dream"][: index + 1])
            depth, flipper, month = round(draw.gauss(15 + 2 * index, 1), 2), draw.gauss(200, 9), draw.randint(1, 12)
            row = [number, bill, depth, flipper, round(flipper), island, month, island, CLASSES[index]]
            table.writerow(row)


SETTINGS: dict[str, Any] = {
    "name": "penguin",
    "task": "multiclass",
    "label": {"name": "inputs", "column": "inputs", "classes": list(CLASSES)},
    "features": {
        "dense": {"features": {}, "labels": {"scale": "min_max"}, "Größe (mm)": {}, "größe (MM)": {}},
        "vocabulary": {"examples": {}},
        "hashed": {"name_2": {"buckets": 9}},
        "cyclical": {"name": {"period": 12}},
    },
    "network": {"hyperparameters": {"learning_rate": 0.02}},
    "training": {"steps": 120, "batch_size": 32, "evaluate_every": 40},
    "tuning": {"enabled": False},
    "evaluation": {
        "metrics": ["accuracy", "loss", "example_count"],
        "slices": [["examples"], ["inputs"], ["name_2"]],
        "thresholds": [
            {"metric": "accuracy", "min": 0.8},
            {"metric": "accuracy", "slice": {"examples": "Biscoe"}, "min": 0.1},
            {"metric": "accuracy", "slice": {"inputs": "gentoo"}, "min": 0.1},
            {"metric": "accuracy", "slice": {"name_2": "Törgersen"}, "min": 0.1},
        ],
    },
}


def edited(settings: dict[str, Any]) -> dict[str, Any]:
    """Drafted settings with other features in addition, and with all that SETTINGS has."""
    assert (settings["task"], settings["label"]["classes"]) == (SETTINGS["task"], list(CLASSES))
    for kind, columns in SETTINGS["features"].items():
        settings["features"].setdefault(kind, {}).update(columns)
    return {**settings, **{key: value for key, value in SETTINGS.items() if key != "features"}}


@pytest.mark.slow
def test_own_table_needs_one_command_and_takes_edits(tmp_path: Path) -> None:
    data, test, settings = tmp_path / "my data", tmp_path / "held out", tmp_path / "penguin.yaml"
    write_table(data)
    write_table(test, 150, seed=8)
    draft = ["init", f"--data={data}", f"--test={test}", "--label=inputs", "--name=penguin", f"--into={tmp_path}"]
    drafted = forked.run([sys.executable, str(ROOT / "local_runner.py"), *draft])
    assert drafted.returncode == 0, drafted.stderr
    settings.write_text(yaml.safe_dump(edited(yaml.safe_load((tmp_path / "configs/penguin.yaml").read_text()))))
    command = [sys.executable, str(ROOT / "local_runner.py"), f"--config={settings}", f"--output={tmp_path / 'out'}"]
    result = forked.run(command, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads((tmp_path / "out/runs/latest/summary.json").read_text())["rows"]
    assert (rows["eval"], rows["train"] + rows["validation"]) == (150, 600)
    [version] = (tmp_path / "out/serving/penguin").iterdir()
    serve = tf.saved_model.load(str(version)).signatures["serving_default"]
    answer = serve(examples=tf.constant([tf.train.Example().SerializeToString()]))
    assert answer["predictions"].shape == (1, 3)
    assert [name.decode() for name in answer["classes"].numpy()[0]] == list(CLASSES)
    assert "column 1 has no name: it is 'column_1'" in result.stdout
    assert "column 8 is another 'name': it is 'name_2'" in result.stdout
    row = {"features": 50.0, "labels": 19.0, "Größe (mm)": 200.0, "größe (MM)": 200, "examples": "Dream", "name": 3}
    device = load(tmp_path / "out/tflite/penguin" / version.name / "model.tflite")
    on_device = device.predict_with_scores({**row, "name_2": "Dream"})
    assert on_device["class"] == "gentoo"
