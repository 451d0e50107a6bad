from pathlib import Path

import pytest
from google.protobuf import text_format

from serving.errors import Code, ServingError
from serving.models.model_config import ModelConfig
from serving.models.versions import Model, State, Version, check_labels, find_versions, wanted_versions


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("", [12]),
        ("latest { num_versions: 2 }", [12, 7]),
        ("all { }", [12, 7, 3]),
        ("specific { versions: 3 versions: 7 versions: 99 }", [7, 3]),
    ],
)
def test_policy_selects_versions(policy: str, wanted: list[int]) -> None:
    config = text_format.Parse(f"model_version_policy {{ {policy} }}" if policy else "", ModelConfig())
    assert wanted_versions(config, [3, 12, 7]) == wanted


def test_versions_are_folders_with_integer_names(tmp_path: Path) -> None:
    for name in ("1", "00000123", "-4", "1.5", "x", ".pushing-9", "9223372036854775808", "²"):
        (tmp_path / name).mkdir()
    (tmp_path / "7").touch()
    assert find_versions(tmp_path) == {1: tmp_path / "1", 123: tmp_path / "00000123"}
    with pytest.raises(FileNotFoundError):  # such as a folder that is not mounted
        find_versions(tmp_path / "absent")


@pytest.mark.parametrize(
    ("current", "new", "allow_unavailable", "allowed"),
    [
        ({}, {"stable": 1}, False, True),
        ({}, {"stable": 2}, False, False),
        ({}, {"stable": 2}, True, True),
        ({"stable": 1}, {"stable": 2}, True, False),  # a label in use must not move to an unavailable version
        ({"stable": 2}, {"stable": 2}, True, True),
        ({"stable": 2}, {"stable": 2}, False, False),
        ({"stable": 1}, {"stable": 1, "canary": 2}, True, True),
        ({"stable": 1}, {"stable": 1, "canary": 2}, False, False),
    ],
)
def test_labels_refer_to_available_versions(
    current: dict[str, int], new: dict[str, int], allow_unavailable: bool, allowed: bool
) -> None:
    known = Model(ModelConfig(name="tiny", version_labels=current), {1: Version(Path("/"), State.AVAILABLE)})
    config = ModelConfig(name="tiny", version_labels=new)
    if allowed:
        check_labels(known, config, allow_unavailable)
    else:
        with pytest.raises(ServingError, match="not currently available for inference") as caught:
            check_labels(known, config, allow_unavailable)
        assert caught.value.code == Code.FAILED_PRECONDITION


def test_labels_of_a_removed_model_are_free() -> None:
    known = Model(ModelConfig(name="tiny", version_labels={"stable": 1}), removed=True)
    check_labels(known, ModelConfig(name="tiny", version_labels={"stable": 2}), allow_unavailable=True)
