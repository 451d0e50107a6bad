from pathlib import Path
from typing import Any

import pytest
from small_table import BINARY, small_table
from tfx.components.trainer.fn_args_utils import FnArgs

from cloud import calls
from cloud.stand_in import BROKEN, StandIn
from cloud.vertex import CloudError, connect
from models.settings import ModelConfig, Network, Range, Training, Tuning
from models.tuning.tuner import search_space, tuner_fn
from models.tuning.vizier import VizierOracle, open_study

SEARCH = {
    "hidden_units": Range(min=2, max=9),
    "learning_rate": Range(min=0.001, max=0.1, sampling="log"),
    "dropout": Range(min=0, max=0.5),
    "embedding_size": Range(values=(8, 2, 4)),
    "kind": Range(values=("wide", "deep")),
    "batch_norm": Range(values=(True, False)),
}


def open_one(search: dict[str, Range], name: str = "tiny-run") -> str:
    return open_study(connect("one-project", "europe-west4"), name, search)


def oracle(study: str, client: str, search: dict[str, Range], trials: int = 3) -> VizierOracle:
    return VizierOracle(
        study, client, search, objective="val_loss", max_trials=trials, hyperparameters=search_space(search)
    )


def values(found: Any) -> dict[str, Any]:
    return dict(found.hyperparameters.values)


def test_the_search_space_in_viziers_terms(stand_in: StandIn) -> None:
    study = open_one(SEARCH)
    [made] = stand_in.resources("studies")
    assert study.endswith("/studies/" + made["name"].rpartition("/")[2])
    assert made["displayName"] == "tiny-run"
    assert made["studySpec"]["metrics"] == [{"metricId": "val_loss", "goal": "MINIMIZE"}]
    linear, log = "UNIT_LINEAR_SCALE", "UNIT_LOG_SCALE"
    assert {each.pop("parameterId"): each for each in made["studySpec"]["parameters"]} == {
        "hidden_units": {"integerValueSpec": {"minValue": "2", "maxValue": "9"}, "scaleType": linear},
        "learning_rate": {"doubleValueSpec": {"minValue": 0.001, "maxValue": 0.1}, "scaleType": log},
        "dropout": {"doubleValueSpec": {"maxValue": 0.5}, "scaleType": linear},  # from 0
        "embedding_size": {"discreteValueSpec": {"values": [2.0, 4.0, 8.0]}},
        "kind": {"categoricalValueSpec": {"values": ["wide", "deep"]}},
        "batch_norm": {"categoricalValueSpec": {"values": ["True", "False"]}},
    }


def test_what_vizier_suggests_is_in_the_space_and_of_its_types(stand_in: StandIn) -> None:
    found = values(oracle(open_one(SEARCH), "chief", SEARCH).create_trial("tuner0"))
    assert set(found) == set(SEARCH)
    assert {name: type(value) for name, value in found.items()} == {
        "hidden_units": int,
        "learning_rate": float,
        "dropout": float,
        "embedding_size": int,
        "kind": str,
        "batch_norm": bool,
    }
    assert 2 <= found["hidden_units"] <= 9
    assert 0.001 <= found["learning_rate"] <= 0.1
    assert found["embedding_size"] in (2, 4, 8)


def end(asked: VizierOracle, trial: Any, loss: float | None) -> None:
    if loss is not None:
        asked.update_trial(trial.trial_id, {"val_loss": loss})
    trial.status = "FAILED" if loss is None else "COMPLETED"
    asked.end_trial(trial)


def test_results_reach_vizier_and_the_best_comes_first(stand_in: StandIn) -> None:
    asked = oracle(open_one(SEARCH), "chief", SEARCH)
    for loss in (0.7, None, 0.4):
        end(asked, asked.create_trial("tuner0"), loss)
    assert asked.create_trial("tuner0").status == "STOPPED"
    kept = stand_in.resources("studies/1/trials")
    assert [each["state"] for each in kept] == ["SUCCEEDED", "INFEASIBLE", "SUCCEEDED"]
    assert kept[0]["finalMeasurement"]["metrics"] == [{"metricId": "val_loss", "value": 0.7}]
    assert kept[1]["infeasibleReason"] == "training produced NaN or infinite values"
    asked.wait_for_all()
    assert [(each.trial_id, each.score) for each in asked.get_best_trials(2)] == [("3", 0.4), ("1", 0.7)]


def test_a_step_that_is_tried_again_goes_on_where_the_first_was(stand_in: StandIn) -> None:
    first = oracle(open_one(SEARCH), "chief", SEARCH)
    end(first, first.create_trial("tuner0"), 0.7)
    lost = first.create_trial("tuner0")
    again = oracle(open_one(SEARCH), "chief", SEARCH)
    taken_up = again.create_trial("tuner0")
    assert (taken_up.trial_id, values(taken_up)) == (lost.trial_id, values(lost))
    end(again, taken_up, 0.4)
    end(again, again.create_trial("tuner0"), 0.5)
    assert again.create_trial("tuner0").status == "STOPPED"
    assert len(stand_in.resources("studies")) == 1
    assert len(stand_in.resources("studies/1/trials")) == 3


def test_two_that_ask_at_once_run_no_trial_too_many(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    study = open_one(SEARCH)
    one, other = (oracle(study, client, SEARCH, trials=1) for client in ("chief", "worker 0"))
    before = other._read()
    first = one.create_trial("tuner0")
    monkeypatch.setattr(other, "_read", lambda: before)  # as it was when both looked
    assert other.create_trial("tuner0").status == "STOPPED"
    assert [each["id"] for each in stand_in.resources("studies/1/trials")] == [first.trial_id]


@pytest.mark.parametrize("status", [503, BROKEN])
def test_an_answer_that_was_lost_ends_no_search(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(calls, "FIRST_WAIT", 0.01)
    for verb in ("POST .*/studies$", ":suggest", ":complete"):
        stand_in.refuse(verb, status, after=True)
    asked = oracle(open_one(SEARCH), "chief", SEARCH)
    end(asked, asked.create_trial("tuner0"), 0.7)
    assert len(stand_in.resources("studies")) == 1
    assert [each["state"] for each in stand_in.resources("studies/1/trials")] == ["SUCCEEDED"]
    assert [each.score for each in asked.get_best_trials(1)] == [0.7]


def test_vizier_that_refuses_is_told_in_one_line(stand_in: StandIn) -> None:
    stand_in.refuse("studies:lookup", 403, message="Permission 'aiplatform.studies.get' denied")
    with pytest.raises(CloudError, match=r"no permission aiplatform\.studies\.get"):
        open_one(SEARCH)


@pytest.mark.slow
def test_a_search_asks_vizier_and_a_trial_that_diverges_is_infeasible(stand_in: StandIn, tmp_path: Path) -> None:
    search = {"learning_rate": Range(values=(0.01, 1e38))}
    tuning = Tuning(algorithm="vizier", trials=4, steps=2, search=search)
    config = ModelConfig(
        problem=BINARY, network=Network(), training=Training(batch_size=64), tuning=tuning, study=open_one(search)
    )
    files = small_table().files
    found = tuner_fn(
        FnArgs(
            train_files=files,
            eval_files=files,
            transform_graph_path=small_table().graph_dir,
            working_dir=str(tmp_path),
            custom_config=config.to_config(),
        )
    )
    found.tuner.search(**found.fit_kwargs)
    kept = stand_in.resources("studies/1/trials")
    assert {(each["parameters"][0]["value"], each["state"]) for each in kept} == {
        (0.01, "SUCCEEDED"),
        (1e38, "INFEASIBLE"),
    }
    assert found.tuner.get_best_hyperparameters()[0].values == {"learning_rate": 0.01}


def test_without_a_study_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tuning\.algorithm: found 'vizier', but no study is open"):
        oracle("", "chief", SEARCH)
