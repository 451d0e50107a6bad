import ast
import functools
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.compiler.compiler import Compiler
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline

from common.project import ROOT
from custom_components.anomaly_gate import component as anomaly_gate
from custom_components.batched_evaluator import component as evaluator
from custom_components.batched_statistics_gen import component as statistics_gen
from custom_components.batched_transform import component as transform
from custom_components.shared import model_check, seeded_split
from pipeline import pipeline as dag
from pipeline.beam.arguments import MANY_ROWS
from pipeline.config.loading import load_config
from pipeline.pipeline import create_pipeline
from pipeline.preflight.table import CheckedTable

SCHEMA = (ROOT / "schema/taxi/schema.pbtxt").read_text()


@functools.cache
def wired(tune: bool = True, **overrides: str) -> Pipeline:
    named = {key.replace("__", "."): value for key, value in overrides.items()}
    return create_pipeline(load_config(ROOT / "configs/taxi.yaml", named, output="/out", tune=tune), SCHEMA)


def nodes(tune: bool = True, **overrides: str) -> dict[str, BaseNode]:
    return {node.id: node for node in wired(tune, **overrides).components}


def source(node: BaseNode, key: str) -> tuple[str, str]:
    channel = node.inputs[key]
    return channel.producer_component_id, channel.output_key


def setting(node: BaseNode, key: str) -> Any:
    return json.loads(node.exec_properties[key])


def test_without_tuning_there_is_no_tuner_and_the_trainer_takes_the_settings() -> None:
    assert set(nodes()) - set(nodes(tune=False)) == {"Tuner"}
    assert source(nodes()["Trainer"], "hyperparameters") == ("Tuner", "best_hyperparameters")
    assert "hyperparameters" not in nodes(tune=False)["Trainer"].inputs


def test_transform_waits_for_the_anomaly_gate() -> None:
    by_id = nodes()
    assert by_id["AnomalyGate"] in by_id["Transform"].upstream_nodes
    assert source(by_id["AnomalyGate"], "anomalies") == ("ExampleValidator", "anomalies")
    assert source(by_id["ExampleValidator"], "statistics") == ("StatisticsGen", "statistics")


@pytest.mark.parametrize("node", ["ExampleValidator", "AnomalyGate", "Transform", "Evaluator"])
def test_data_is_validated_against_the_curated_schema(node: str) -> None:
    assert source(nodes()[node], "schema") == ("CuratedSchema", "schema")


def test_curated_schema_is_the_given_text() -> None:
    assert nodes()["CuratedSchema"].exec_properties["text"] == SCHEMA


def test_table_is_split_by_the_settings() -> None:
    split = setting(nodes(data__splits="{train: 5, validation: 3, eval: 2}")["ExampleGen"], "output_config")
    shares = {each["name"]: each["hash_buckets"] for each in split["split_config"]["splits"]}
    assert shares == {"train": 5, "validation": 3, "eval": 2}


def test_columns_are_read_with_the_types_of_the_schema() -> None:
    options = setting(nodes()["ExampleGen"], "custom_config")["custom_config"]["value"]
    assert {"fare": "FLOAT", "payment_type": "BYTES", "trip_start_hour": "INT"}.items() <= options[
        "schema_types"
    ].items()


def test_the_way_to_split_reaches_the_node() -> None:
    def options(**settings: Any) -> dict[str, Any]:
        found = setting(nodes(**settings)["ExampleGen"], "custom_config")["custom_config"]["value"]
        return {name: value for name, value in found.items() if name == "key" or name.startswith("split_")}

    assert options() == {"key": None}
    by_time = options(data__split_time="trip_start_timestamp", data__split_gap="7d")
    assert by_time == {"key": None, "split_time": "trip_start_timestamp", "split_gap": "7d", "split_required": True}
    assert options(data__split_column="company") == {"key": None, "split_column": "company"}
    tested = options(data__test_path="data/test.csv", data__split_key="company", data__pattern="'{SPAN}/*.csv'")
    assert tested == {"key": "company", "split_test": str(ROOT / "data/test.csv"), "split_test_pattern": "*.csv"}


def test_transform_analyzes_the_training_split_and_transforms_all_splits() -> None:
    splits = setting(nodes()["Transform"], "splits_config")
    assert splits == {"analyze": ["train"], "transform": ["train", "validation", "eval"]}


@pytest.mark.parametrize(("node", "steps"), [("Tuner", 320), ("Trainer", 1600)])
def test_tuner_and_trainer_read_the_training_and_validation_splits(node: str, steps: int) -> None:
    by_id = nodes()
    assert setting(by_id[node], "train_args") == {"splits": ["train"], "num_steps": steps}
    assert setting(by_id[node], "eval_args") == {"splits": ["validation"]}
    assert source(by_id[node], "examples") == ("Transform", "transformed_examples")
    assert source(by_id[node], "transform_graph") == ("Transform", "transform_graph")


def test_evaluator_reads_raw_rows_of_the_eval_split_and_compares_with_the_latest_blessed_model() -> None:
    evaluator = nodes()["Evaluator"]
    assert setting(evaluator, "example_splits") == ["eval"]
    assert source(evaluator, "examples") == ("ExampleGen", "examples")
    assert source(evaluator, "model") == ("Trainer", "model")
    assert source(evaluator, "baseline_model") == ("LatestBlessedModel", "model")
    assert setting(evaluator, "eval_config")["model_specs"][0]["signature_name"] == "serving_default"


def test_pusher_waits_for_the_blessing_and_pushes_to_the_serving_folder() -> None:
    pusher = nodes()["Pusher"]
    assert source(pusher, "model") == ("Trainer", "model")
    assert source(pusher, "model_blessing") == ("Evaluator", "blessing")
    assert source(pusher, "infra_blessing") == ("SkewGuard", "blessing")
    assert setting(pusher, "push_destination") == {"filesystem": {"base_directory": "/out/serving/taxi"}}


def test_exporter_waits_for_both_blessings_and_the_pusher_for_the_exporter() -> None:
    exporter, pusher = nodes()["TfliteExporter"], nodes()["Pusher"]
    assert source(exporter, "model_blessing") == ("Evaluator", "blessing")
    assert source(exporter, "infra_blessing") == ("SkewGuard", "blessing")
    assert source(exporter, "examples") == ("ExampleGen", "examples")
    assert source(exporter, "transformed_examples") == ("Transform", "transformed_examples")
    assert (exporter.exec_properties["split"], exporter.exec_properties["representative_split"]) == ("eval", "train")
    assert source(pusher, "tflite_model") == ("TfliteExporter", "tflite_model")
    assert pusher.exec_properties["tflite_directory"] == "/out/tflite/taxi"


def test_disabled_tflite_leaves_out_the_exporter() -> None:
    without = nodes(tflite__enabled="false")
    assert set(nodes()) - set(without) == {"TfliteExporter"}
    assert "tflite_model" not in without["Pusher"].inputs


def test_changed_features_are_recorded_where_they_are_used() -> None:
    changed = nodes(features__bucketed="{fare: {buckets: 7}}")
    for node in ("Transform", "Tuner", "Trainer"):
        config = setting(changed[node], "custom_config")
        assert config["problem"]["features"]["bucketed"] == {"fare": {"buckets": 7}}
        assert config["code"] == setting(nodes()[node], "custom_config")["code"]


def test_changed_trials_do_not_change_the_trainer() -> None:
    more = nodes(tuning__trials="9")
    assert setting(more["Trainer"], "custom_config") == setting(nodes()["Trainer"], "custom_config")
    assert setting(more["Tuner"], "custom_config")["tuning"]["trials"] == 9


@pytest.mark.parametrize("tune", [True, False])
def test_pipeline_compiles(tune: bool) -> None:
    pipeline = wired(tune)
    compiled = Compiler().compile(pipeline)
    assert len(compiled.nodes) == (14 if tune else 13)
    assert compiled.pipeline_info.id == "taxi"
    assert pipeline.pipeline_info.pipeline_root == "/out/artifacts"


@pytest.mark.parametrize("enable", [True, False])
def test_cache_is_enabled_on_request(tmp_path: Path, enable: bool) -> None:
    config = load_config(ROOT / "configs/taxi.yaml", output=str(tmp_path))
    assert create_pipeline(config, SCHEMA, enable_cache=enable).enable_cache is enable


def test_large_tables_are_transformed_in_several_processes() -> None:
    config = load_config(ROOT / "configs/taxi.yaml", {"beam.workers": "3"}, output="/out")
    components = create_pipeline(config, SCHEMA, table=CheckedTable(rows=MANY_ROWS)).components
    arguments = {node.id: getattr(node.executor_spec, "beam_pipeline_args", ()) for node in components}
    mode = "--direct_running_mode=multi_processing"
    assert [node_id for node_id, given in arguments.items() if mode in given] == ["Transform"]


def imported(module: str, packages: tuple[str, ...]) -> set[str]:
    """A module, and the modules of some packages that it imports, recursively."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        spec = importlib.util.find_spec(name)
        assert spec
        assert spec.origin
        tree = ast.walk(ast.parse(Path(spec.origin).read_text()))
        froms = [each.module for each in tree if isinstance(each, ast.ImportFrom) and each.module]
        waiting += [each for each in froms if each.startswith(packages)]
    return found


NODES_WITH_CODE = [
    "ExampleGen",
    "StatisticsGen",
    "AnomalyGate",
    "Transform",
    "Evaluator",
    "SkewGuard",
    "TfliteExporter",
]
# TFX's own executors call these modules.
MODELS_CODE = {"Trainer": "models.run_fn", "Tuner": "models.tuning.tuner"}


@pytest.mark.parametrize("node", [*NODES_WITH_CODE, *MODELS_CODE])
def test_digest_of_a_node_covers_every_module_that_it_runs(monkeypatch: pytest.MonkeyPatch, node: str) -> None:
    for component in (anomaly_gate, dag, evaluator, model_check, seeded_split, statistics_gen, transform):
        monkeypatch.setattr(component, "source_digest", lambda *names: " ".join(names))
    built = next(each for each in wired.__wrapped__().components if each.id == node)
    settings = str(built.exec_properties)
    packages = ("artifacts.", "custom_components.", "serving.", *(["models."] if node in MODELS_CODE else []))
    start = MODELS_CODE.get(node) or built.executor_spec.executor_class.__module__
    for module in imported(start, packages):
        parts = module.split(".")
        names = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
        assert any(re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", settings) for name in names), module
