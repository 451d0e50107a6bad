import csv
import random
import sys
from pathlib import Path

import forked
import pytest
import tensorflow as tf
import yaml
from conftest import ROOT

pytestmark = pytest.mark.e2e

CLASSES = ("adelie", "chinstrap", "gentoo")


def write_table(folder: Path, rows: int = 600) -> None:
    """Writes a table of three classes that depend on two numbers and a category; some cells are empty.

    The columns have names of TFMA's extracts, of Keras's arguments and of the signatures' inputs.
    """
    folder.mkdir()
    draw = random.Random(7)
    with (folder / "penguins.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["features", "labels", "examples", "name", "inputs"])
        for _ in range(rows):
            index = draw.randrange(3)
            bill = round(draw.gauss(40 + 5 * index, 2), 2) if draw.random() > 0.05 else ""
            island = draw.choice(["Törgersen", "Biscoe", "Dream"][: index + 1])
            table.writerow([bill, round(draw.gauss(15 + 2 * index, 1), 2), island, draw.randint(1, 12), CLASSES[index]])


SETTINGS = {
    "name": "penguin",
    "task": "multiclass",
    "label": {"name": "inputs", "column": "inputs", "classes": list(CLASSES)},
    "features": {
        "dense": {"features": {}, "labels": {"scale": "min_max"}},
        "vocabulary": {"examples": {}},
        "cyclical": {"name": {"period": 12}},
    },
    "network": {"hyperparameters": {"learning_rate": 0.02}},
    "training": {"steps": 120, "batch_size": 32, "evaluate_every": 40},
    "tuning": {"enabled": False},
    "evaluation": {
        "metrics": ["accuracy", "loss", "example_count"],
        "slices": [["examples"], ["inputs"]],
        "thresholds": [
            {"metric": "accuracy", "min": 0.8},
            {"metric": "accuracy", "slice": {"examples": "Biscoe"}, "min": 0.1},
            {"metric": "accuracy", "slice": {"inputs": "gentoo"}, "min": 0.1},
        ],
    },
}


@pytest.mark.slow
def test_own_table_needs_a_drafted_schema_and_a_yaml(tmp_path: Path) -> None:
    data, schema, settings = tmp_path / "my data", tmp_path / "schema.pbtxt", tmp_path / "penguin.yaml"
    write_table(data)
    draft = [sys.executable, "-m", "pipeline.drafting.schema_command", f"--data={data}", f"--out={schema}"]
    drafted = forked.run(draft, cwd=ROOT)
    assert drafted.returncode == 0, drafted.stderr
    settings.write_text(yaml.safe_dump({**SETTINGS, "data": {"path": str(data), "schema": str(schema)}}))
    command = [sys.executable, str(ROOT / "local_runner.py"), f"--config={settings}", f"--output={tmp_path / 'out'}"]
    result = forked.run(command, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    [version] = (tmp_path / "out/serving/penguin").iterdir()
    serve = tf.saved_model.load(str(version)).signatures["serving_default"]
    answer = serve(examples=tf.constant([tf.train.Example().SerializeToString()]))
    assert answer["predictions"].shape == (1, 3)
    assert [name.decode() for name in answer["classes"].numpy()[0]] == list(CLASSES)
