from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_data_validation.api.validation_api import validate_statistics_internal
from tensorflow_data_validation.api.validation_options import ValidationOptions
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.types import artifact_utils, channel_utils
from tfx.types.standard_artifacts import ExampleAnomalies, Schema

from custom_components.anomaly_gate.anomaly import Anomaly, DataAnomaliesError
from custom_components.anomaly_gate.component import AnomalyGate
from custom_components.anomaly_gate.executor import Executor, allowed
from custom_components.shared.artifact_types import DataBlessing

SCHEMA = text_format.Parse(
    """
    feature { name: "payment" type: BYTES domain: "payment" presence { min_fraction: 1.0 min_count: 1 } }
    feature { name: "miles" type: FLOAT float_domain { min: 0 max: 100 } }
    feature { name: "area" type: INT int_domain { min: 1 } presence { min_fraction: 0.5 } }
    string_domain { name: "payment" value: "Cash" value: "Card" }
    """,
    schema_pb2.Schema(),
)
CLEAN = pd.DataFrame({"payment": ["Cash", "Card"], "miles": [1.0, 2.5], "area": [3, 4]})


def anomalies_in(table: pd.DataFrame, new_is_warning: bool = False) -> anomalies_pb2.Anomalies:
    options = ValidationOptions(new_features_are_warnings=new_is_warning)
    statistics = tfdv.generate_statistics_from_dataframe(table)
    return validate_statistics_internal(statistics, SCHEMA, validation_options=options)


def gate(folder: Path, splits: Mapping[str, anomalies_pb2.Anomalies]) -> DataBlessing:
    """Runs the executor on the anomalies that TFDV found in each split."""
    anomalies, schema, blessing = ExampleAnomalies(), Schema(), DataBlessing()
    anomalies.uri, schema.uri, blessing.uri = (str(folder / name) for name in ("anomalies", "schema", "blessing"))
    anomalies.split_names = artifact_utils.encode_split_names(list(splits))
    for split, found in splits.items():
        path = folder / f"anomalies/Split-{split}/SchemaDiff.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(found.SerializeToString())
    (folder / "schema").mkdir()
    (folder / "schema/schema.pbtxt").write_text(text_format.MessageToString(SCHEMA))
    Executor().Do({"anomalies": [anomalies], "schema": [schema]}, {"blessing": [blessing]}, {})
    return blessing


def refused(folder: Path, table: pd.DataFrame) -> tuple[Anomaly, ...]:
    with pytest.raises(DataAnomaliesError) as error:
        gate(folder, {"train": anomalies_in(table)})
    return error.value.anomalies


def test_clean_data_is_blessed(tmp_path: Path) -> None:
    blessing = gate(tmp_path, {"train": anomalies_in(CLEAN), "eval": anomalies_in(CLEAN)})
    assert blessing.get_int_custom_property("warnings") == 0


def test_an_unknown_category_is_refused_with_feature_found_and_allowed(tmp_path: Path) -> None:
    (anomaly,) = refused(tmp_path, CLEAN.assign(payment=["Cash", "Bitcoin"]))
    assert (anomaly.feature, anomaly.split) == ("payment", "train")
    assert "Bitcoin (~50%)" in anomaly.found
    assert anomaly.allowed == "BYTES, present in at least 100% of the rows, one of Cash, Card"
    for part in ("payment (train)", anomaly.found, anomaly.allowed):
        assert part in str(anomaly)


@pytest.mark.parametrize(
    ("table", "feature", "found", "allowed_words"),
    [
        (CLEAN.assign(miles=[1.0, -3.0]), "miles", "-3<0", "at least 0.0, at most 100.0"),
        (CLEAN.assign(area=[0, 4]), "area", "small value: 0", "INT, present in at least 50% of the rows, at least 1"),
        (CLEAN.assign(area=["a", "b"]), "area", "STRING", "INT"),
        (CLEAN.assign(payment=["Cash", None]), "payment", "actual = 0.500000", "present in at least 100%"),
        (CLEAN.drop(columns="payment"), "payment", "dropped", "present in at least 100%"),
        (CLEAN.assign(surprise=[1, 2]), "surprise", "New column", "the columns area, miles, payment"),
    ],
)
def test_an_anomaly_fails_the_run(
    tmp_path: Path, table: pd.DataFrame, feature: str, found: str, allowed_words: str
) -> None:
    (anomaly,) = refused(tmp_path, table)
    assert anomaly.feature == feature
    assert found in anomaly.found
    assert allowed_words in anomaly.allowed


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    (anomaly,) = refused(tmp_path, CLEAN[:0].astype({"payment": str}))
    assert (anomaly.feature, anomaly.found) == ("(all)", "no examples")


def test_an_anomaly_of_the_complete_table_fails(tmp_path: Path) -> None:
    statistics = tfdv.generate_statistics_from_dataframe(CLEAN)
    schema = schema_pb2.Schema()
    schema.CopyFrom(SCHEMA)
    schema.dataset_constraints.min_examples_count = 1000
    with pytest.raises(DataAnomaliesError) as error:
        gate(tmp_path, {"train": tfdv.validate_statistics(statistics, schema)})
    assert [anomaly.feature for anomaly in error.value.anomalies] == ["(all)"]
    assert error.value.anomalies[0].found


def test_every_feature_of_every_split_is_named(tmp_path: Path) -> None:
    bad = CLEAN.assign(payment=["Cash", "Bitcoin"], miles=[1.0, 1000.0])
    with pytest.raises(DataAnomaliesError, match="in: area, miles, payment") as error:
        gate(tmp_path, {"train": anomalies_in(bad), "eval": anomalies_in(CLEAN.assign(area=[0, 1]))})
    found = {(anomaly.split, anomaly.feature) for anomaly in error.value.anomalies}
    assert found == {("train", "payment"), ("train", "miles"), ("eval", "area")}


def test_a_warning_is_let_through_and_counted(tmp_path: Path) -> None:
    found = anomalies_in(CLEAN.assign(surprise=[1, 2]), new_is_warning=True)
    assert found.anomaly_info["surprise"].severity == anomalies_pb2.AnomalyInfo.WARNING
    assert gate(tmp_path, {"train": found}).get_int_custom_property("warnings") == 1


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        ('type: BYTES string_domain { value: "a" value: "b" }', "BYTES, may be missing, one of a, b"),
        ('type: BYTES bool_domain { true_value: "yes" false_value: "no" }', "BYTES, may be missing, yes or no"),
        ("type: INT int_domain { min: 1 max: 7 }", "INT, may be missing, at least 1, at most 7"),
    ],
)
def test_a_domain_inside_the_feature_is_described(feature: str, words: str) -> None:
    assert allowed(text_format.Parse(feature, schema_pb2.Feature()), SCHEMA) == words


def test_a_long_list_of_allowed_values_is_cut() -> None:
    schema = schema_pb2.Schema()
    feature = schema.feature.add(name="city", type=schema_pb2.BYTES, domain="city")
    schema.string_domain.add(name="city", value=[f"c{number}" for number in range(15)])
    assert allowed(feature, schema).endswith("c10, c11 and 3 more")


def test_the_component_has_the_inputs_and_outputs_of_the_executor() -> None:
    node = AnomalyGate(channel_utils.as_channel([ExampleAnomalies()]), channel_utils.as_channel([Schema()]))
    assert set(node.inputs) == {"anomalies", "schema"}
    assert node.outputs["blessing"].type is DataBlessing
