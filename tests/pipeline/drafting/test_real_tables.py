"""Small samples of real tables are drafted, and the drafts pass the checks that a run makes."""

import re
from pathlib import Path

import pytest
from drafts import SAMPLES, drafted


@pytest.mark.parametrize(
    ("name", "label", "task", "features", "left_out"),
    [
        ("penguins", "species", "multiclass", {"island", "bill_length_mm", "sex", "year"}, {"rownames"}),
        ("penguins", "body_mass_g", "regression", {"species", "island", "flipper_length_mm"}, {"rownames"}),
        ("storms", "status", "multiclass", {"lat", "long", "wind", "pressure"}, {"rownames"}),
        ("diamonds", "price", "regression", {"carat", "cut", "x", "y", "z"}, {"rownames"}),
        ("flights", "arr_delay", "regression", {"dep_delay", "carrier", "time_hour"}, {"rownames", "year"}),
        ("wa_churn", "churn", "binary", {"tenure", "contract", "monthly_charges"}, {"rownames"}),
        ("hotel_rates", "avg_price_per_room", "regression", {"lead_time", "arrival_date"}, {"rownames"}),
    ],
)
def test_a_sample_of_a_real_table(  # the draft is only written if it passes the checks before a run
    tmp_path: Path, name: str, label: str, task: str, features: set[str], left_out: set[str]
) -> None:
    found = drafted(SAMPLES / f"{name}.csv", label, tmp_path)
    assert (found.code, found.stderr) == (0, "")
    assert found.settings["task"] == task
    uses = found.uses
    assert uses[label] == "label"
    assert features <= {column for column, use in uses.items() if use not in ("left out", "label")}
    assert left_out <= {column for column, use in uses.items() if use == "left out"}
    assert set(found.schema) == set(uses)
    assert found.files == ["configs", f"configs/{name}.yaml", "schema", f"schema/{name}", f"schema/{name}/schema.pbtxt"]


def test_missing_values_in_rs_spelling_do_not_turn_numbers_into_text(tmp_path: Path) -> None:
    found = drafted(SAMPLES / "storms.csv", "status", tmp_path)
    assert found.settings["data"]["missing_values"] == ["NA"]
    assert found.uses["tropicalstorm_force_diameter"] == "dense+missing"
    [line] = [line for line in found.choices["warnings"] if "missing values" in line]
    assert re.search(r"missing values: NA \('category': \d+ of 150 are numbers; 'tropicalstorm", line)


def test_rows_without_a_label_are_announced_and_allowed(tmp_path: Path) -> None:
    found = drafted(SAMPLES / "flights.csv", "arr_delay", tmp_path)
    assert any("rows have no label and are left out" in line for line in found.choices["warnings"])
    assert found.schema["arr_delay"].presence.min_fraction < 1


def test_the_settings_say_why_a_column_is_left_out(tmp_path: Path) -> None:
    found = drafted(SAMPLES / "flights.csv", "arr_delay", tmp_path)
    text = (tmp_path / "configs/flights.yaml").read_text()
    for name, reason in (
        ("rownames", "a different value in every row"),
        ("year", "the same value in every row"),
    ):
        assert found.reasons[name] == reason
        [line] = [line for line in text.splitlines() if f"left out: {name} " in line]
        assert line.endswith(reason)
