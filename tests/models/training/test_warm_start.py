import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tf_keras as keras
from bucket_training import copy_folder, read, trained_in_bucket
from small_table import small_table
from training_job import PROBLEM, training_job

from artifacts.names import EMBEDDINGS_FILE, HISTORY_FILE
from models.distributed.task import SINGLE_PROCESS
from models.embeddings import embedding_layers
from models.job import Job
from models.training.trainer import build_model, train
from models.training.warm_start import warm_start

FEATURE = "city_vocabulary"


@pytest.fixture(scope="module")
def earlier() -> Job:
    return trained_in_bucket()


def network(earlier: Job, **hyperparameters: int) -> keras.Model:
    """The same network as the earlier one, with its own initial weights."""
    return build_model(earlier.config, {**earlier.hyperparameters, **hyperparameters}, small_table().graph)


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    return {variable.name: variable.numpy() for variable in model.weights}


def embedding(model: keras.Model, feature: str) -> np.ndarray:
    """The rows of a feature in the deep part."""
    [found] = [
        layer.embeddings.numpy()[layer.rows[feature]]
        for name, layer in embedding_layers(model).items()
        if name.startswith("deep") and feature in layer.rows
    ]
    return found


def first_loss(job: Job) -> float:
    return float(read(job.in_run_dir(HISTORY_FILE)).splitlines()[1].split(",")[1])


def test_all_weights_of_the_same_network_are_copied(earlier: Job) -> None:
    model = network(earlier)
    before = weights(model)
    assert warm_start(model, earlier.model_dir, PROBLEM, small_table().graph) == len(model.weights)
    assert any((before[name] != value).any() for name, value in weights(model).items())


def test_training_starts_with_the_weights_of_the_base_model(
    earlier: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.training.trainer.export", lambda *_: None)  # takes seconds, and is not needed here
    job = training_job(tmp_path / "job", steps=1, evaluate_every=1)
    train(dataclasses.replace(job, base_model=earlier.model_dir), SINGLE_PROCESS)
    assert first_loss(job) < first_loss(earlier)


def test_weights_of_another_shape_keep_their_initial_values(earlier: Job) -> None:
    model, same = network(earlier, hidden_units=4), network(earlier)
    initial = weights(model)
    copied = warm_start(model, earlier.model_dir, PROBLEM, small_table().graph)
    warm_start(same, earlier.model_dir, PROBLEM, small_table().graph)
    assert 0 < copied < len(model.weights)
    np.testing.assert_array_equal(weights(model)["hidden_0/kernel:0"], initial["hidden_0/kernel:0"])
    np.testing.assert_array_equal(embedding(model, "gain_bucketed"), embedding(same, "gain_bucketed"))


def test_the_rows_of_an_embedding_follow_their_words(earlier: Job, tmp_path: Path) -> None:
    turned = Path(copy_folder(earlier.model_dir, str(tmp_path / "model")))
    words = (turned / "assets" / FEATURE).read_bytes().split(b"\n")[:-1]
    other = [*reversed(words[1:]), b"a word that is gone"]
    (turned / "assets" / FEATURE).write_bytes(b"".join(word + b"\n" for word in other))
    straight, follows = network(earlier), network(earlier)
    initial = embedding(follows, FEATURE)
    warm_start(straight, earlier.model_dir, PROBLEM, small_table().graph)
    warm_start(follows, str(turned), PROBLEM, small_table().graph)
    saved, found = (embedding(model, FEATURE) for model in (straight, follows))
    np.testing.assert_array_equal(found[1], initial[1])  # a new word
    np.testing.assert_array_equal(found[2 : 1 + len(words)], saved[1 : len(words)][::-1])
    np.testing.assert_array_equal(found[0], saved[0])
    np.testing.assert_array_equal(found[1 + len(words) :], saved[1 + len(words) :])


def test_embeddings_follow_their_feature_if_others_are_added_or_removed(earlier: Job, tmp_path: Path) -> None:
    other = Path(copy_folder(earlier.model_dir, str(tmp_path / "model")))
    layout = json.loads((other / EMBEDDINGS_FILE).read_text())
    [(variable, sizes)] = [(name, each) for name, each in layout.items() if name.startswith("wide")]
    renamed = {f"{name}_of_old" if name == FEATURE else name: size for name, size in sizes.items()}
    (other / EMBEDDINGS_FILE).write_text(json.dumps({**layout, variable: renamed}))
    initial, complete, without = network(earlier), network(earlier), network(earlier)
    warm_start(complete, earlier.model_dir, PROBLEM, small_table().graph)
    warm_start(without, str(other), PROBLEM, small_table().graph)
    rows = embedding_layers(initial)[variable].rows
    before, same, found = (weights(model)[f"{variable}:0"] for model in (initial, complete, without))
    for feature, place in rows.items():
        np.testing.assert_array_equal(found[place], (before if feature == FEATURE else same)[place])
    assert (before != same).any()


def test_a_model_of_an_earlier_version_is_rejected(earlier: Job, tmp_path: Path) -> None:
    older = copy_folder(earlier.model_dir, str(tmp_path / "model"))
    (Path(older) / EMBEDDINGS_FILE).unlink()
    with pytest.raises(ValueError, match=r"training\.warm_start: found no embeddings\.json in .* set it to false"):
        warm_start(network(earlier), older, PROBLEM, small_table().graph)


def test_a_model_without_a_common_variable_is_rejected(earlier: Job) -> None:
    inputs = keras.Input((3,))
    other = keras.Model(inputs, keras.layers.Dense(2, name="other")(inputs))
    with pytest.raises(ValueError, match=r"training\.warm_start: found none of the 2 variables of the network in"):
        warm_start(other, earlier.model_dir, PROBLEM, small_table().graph)
