from pathlib import Path
from typing import Any

import pytest
from small_table import BINARY, small_table
from tfx.components.trainer.fn_args_utils import FnArgs

from cloud import calls
from cloud.stand_in import BROKEN, StandIn
from cloud.vertex import CloudError, connect
from models.training_settings import ModelConfig, Network, Range, Training, Tuning
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


def make_study(search: dict[str, Range], name: str = "tiny-run") -> str:
    return open_study(connect("one-project", "europe-west4"), name, search)


def oracle(study: str, client: str, search: dict[str, Range], trials: int = 3) -> VizierOracle:
    return VizierOracle(
        study, client, search, objective="val_loss", max_trials=trials, hyperparameters=search_space(search)
    )


def values(found: Any) -> dict[str, Any]:
    return dict(found.hyperparameters.values)


def test_the_parameter_spec_of_the_study(stand_in: StandIn) -> None:
    study = make_study(SEARCH)
    [made] = stand_in.resources("studies")
    assert study.endswith("/studies/" + made["name"].rpartition("/")[2])
    assert made["displayName"] == "tiny-run"
    assert made["studySpec"]["metrics"] == [{"metricId": "val_loss", "goal": "MINIMIZE"}]
    linear, log = "UNIT_LINEAR_SCALE", "UNIT_LOG_SCALE"
    assert {each.pop("parameterId"): each for each in made["studySpec"]["parameters"]} == {
        "hidden_units": {"integerValueSpec": {"minValue": "2", "maxValue": "9"}, "scaleType": linear},
        "learning_rate": {"doubleValueSpec": {"minValue": 0.001, "maxValue": 0.1}, "scaleType": log},
        "dropout": {"doubleValueSpec": {"maxValue": 0.5}, "scaleType": linear},  # the minimum of 0 is the default
        "embedding_size": {"discreteValueSpec": {"values": [2.0, 4.0, 8.0]}},
        "kind": {"categoricalValueSpec": {"values": ["wide", "deep"]}},
        "batch_norm": {"categoricalValueSpec": {"values": ["True", "False"]}},
    }


def test_suggestions_are_in_the_space_and_have_its_types(stand_in: StandIn) -> None:
    found = values(oracle(make_study(SEARCH), "chief", SEARCH).create_trial("tuner0"))
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


def end_trial(vizier: VizierOracle, trial: Any, loss: float | None) -> None:
    if loss is not None:
        vizier.update_trial(trial.trial_id, {"val_loss": loss})
    trial.status = "FAILED" if loss is None else "COMPLETED"
    vizier.end_trial(trial)


def test_results_are_reported_and_the_best_trial_comes_first(stand_in: StandIn) -> None:
    vizier = oracle(make_study(SEARCH), "chief", SEARCH)
    for loss in (0.7, None, 0.4):
        end_trial(vizier, vizier.create_trial("tuner0"), loss)
    assert vizier.create_trial("tuner0").status == "STOPPED"
    kept = stand_in.resources("studies/1/trials")
    assert [each["state"] for each in kept] == ["SUCCEEDED", "INFEASIBLE", "SUCCEEDED"]
    assert kept[0]["finalMeasurement"]["metrics"] == [{"metricId": "val_loss", "value": 0.7}]
    assert kept[1]["infeasibleReason"] == "training produced NaN or infinite values"
    vizier.wait_for_all()
    assert [(each.trial_id, each.score) for each in vizier.get_best_trials(2)] == [("3", 0.4), ("1", 0.7)]


def test_a_retried_step_resumes_the_search(stand_in: StandIn) -> None:
    first = oracle(make_study(SEARCH), "chief", SEARCH)
    end_trial(first, first.create_trial("tuner0"), 0.7)
    lost = first.create_trial("tuner0")
    again = oracle(make_study(SEARCH), "chief", SEARCH)
    resumed = again.create_trial("tuner0")
    assert (resumed.trial_id, values(resumed)) == (lost.trial_id, values(lost))
    end_trial(again, resumed, 0.4)
    end_trial(again, again.create_trial("tuner0"), 0.5)
    assert again.create_trial("tuner0").status == "STOPPED"
    assert len(stand_in.resources("studies")) == 1
    assert len(stand_in.resources("studies/1/trials")) == 3


def test_concurrent_requests_do_not_exceed_the_trials(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_study(SEARCH)
    one, other = (oracle(study, client, SEARCH, trials=1) for client in ("chief", "worker 0"))
    before = other._read()
    first = one.create_trial("tuner0")
    monkeypatch.setattr(other, "_read", lambda: before)  # as both processes read it
    assert other.create_trial("tuner0").status == "STOPPED"
    assert [each["id"] for each in stand_in.resources("studies/1/trials")] == [first.trial_id]


@pytest.mark.parametrize("status", [503, BROKEN])
def test_a_lost_response_does_not_end_the_search(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(calls, "FIRST_WAIT", 0.01)
    for verb in ("POST .*/studies$", ":suggest", ":complete"):
        stand_in.refuse(verb, status, after=True)
    vizier = oracle(make_study(SEARCH), "chief", SEARCH)
    end_trial(vizier, vizier.create_trial("tuner0"), 0.7)
    assert len(stand_in.resources("studies")) == 1
    assert [each["state"] for each in stand_in.resources("studies/1/trials")] == ["SUCCEEDED"]
    assert [each.score for each in vizier.get_best_trials(1)] == [0.7]


def test_a_rejected_request_is_an_error_in_one_line(stand_in: StandIn) -> None:
    stand_in.refuse("studies:lookup", 403, message="Permission 'aiplatform.studies.get' denied")
    with pytest.raises(CloudError, match=r"no permission aiplatform\.studies\.get"):
        make_study(SEARCH)


@pytest.mark.slow
def test_a_search_reports_a_diverging_trial_as_infeasible(stand_in: StandIn, tmp_path: Path) -> None:
    search = {"learning_rate": Range(values=(0.01, 1e38))}
    tuning = Tuning(algorithm="vizier", trials=4, steps=2, search=search)
    config = ModelConfig(
        problem=BINARY,
        network=Network(),
        training=Training(batch_size=64),
        tuning=tuning,
        study=make_study(search),
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


def test_a_missing_study_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"tuning\.algorithm: found 'vizier', but no study is open"):
        oracle("", "chief", SEARCH)
