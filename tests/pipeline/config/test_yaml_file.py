import copy
import math
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.errors import ConfigError
from pipeline.config.yaml_file import override, read_yaml

VALUES: dict[str, Any] = {
    "name": "taxi",
    "training": {"steps": 1, "seed": 2},
    "slices": [["a"], ["b", "c"]],
    "none": None,
}


# Nine levels of ten aliases each.
BOMB = b"a0: &a0 [x]\n" + b"".join(
    b"a%d: &a%d [%b]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)
)


def test_keys_stay_strings(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("off: 1\n2020-01-01: 2\n")
    assert read_yaml(path) == {"off": 1, "2020-01-01": 2}


def test_mapping_is_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("name: Łódź\ntraining: {steps: 1}\nslices: [[a], [b]]\n", encoding="utf-8")
    assert read_yaml(path) == {"name": "Łódź", "training": {"steps": 1}, "slices": [["a"], ["b"]]}


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (b"name: taxi\ntask: [binary\nlabel: x\n", ["line 3", "']'"]),
        (b"name: taxi\n\ttask: binary\n", ["line 2", "\\t"]),
        (b"name: taxi\ntuning: *other\n", ["line 2", "'other'"]),
        (b"name: taxi\ntask: binary\nname: trips\n", ["line 3", "'name' twice"]),
        (b"training:\n  steps: 1\n  seed: 1\n  steps: 2\n", ["line 4", "'steps' twice"]),
        (b"", ["NoneType", "a mapping"]),
        (b"- name\n- task\n", ["list", "a mapping"]),
        (b"taxi\n", ["str", "a mapping"]),
        (b"name: caf\xe9\n", ["not UTF-8 at byte 9"]),
        ("name: taxi\n".encode("utf-16"), ["not UTF-8"]),
        (b"{[a]: 1}\n", ["line 1", "a key that is not a string"]),
        (b"name: !!int abc\n", ["invalid literal", "expected valid YAML"]),
        (b"name: !!int ''\n", ["a value that its tag does not allow", "expected valid YAML"]),
        (b"name: !!bool maybe\n", ["a value that its tag does not allow", "expected valid YAML"]),
        *[
            (b"name: !!%b x\n" % tag, ["line 1", "constructor for the tag", "expected valid YAML"])
            for tag in (b"binary", b"timestamp", b"set", b"omap", b"pairs", b"python/name:os.system")
        ],
        (b"[" * 5000, ["recursion", "expected valid YAML"]),
        (b"name: a\x00b\n", ["expected valid YAML"]),
        (BOMB, ["line 1", "aliases that expand to more than 1048576 characters"]),
        (b"name: &a [*a]\n", ["line 1", "aliases that expand"]),
        (b"#" * (2 << 20), ["Larger than 1 MiB"]),
    ],
)
def test_file_without_a_yaml_mapping_is_refused(tmp_path: Path, content: bytes, fragments: list[str]) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_yaml(path)
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    assert [fragment for fragment in fragments if fragment not in line] == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent.yaml", "No such file"),
        (".", "Is a directory"),
        ("file/x.yaml", "Not a directory"),
    ],
)
def test_unreadable_file_points_to_an_example(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as error:
        read_yaml(tmp_path / name)
    line = str(error.value)
    assert line.startswith(f"{tmp_path / name}: {reason}")
    assert "configs/taxi.yaml" in line


@pytest.mark.parametrize(
    ("key", "text", "changed"),
    [
        ("name", "trips", {"name": "trips"}),
        ("name", "'7'", {"name": "7"}),
        ("name", "", {"name": None}),
        ("training.steps", "200", {"training": {"steps": 200, "seed": 2}}),
        ("training", "{steps: 3}", {"training": {"steps": 3}}),
        ("beam.workers", "2", {"beam": {"workers": 2}}),
        ("slices.0", "[x, y]", {"slices": [["x", "y"], ["b", "c"]]}),
        ("slices.1.0", "x", {"slices": [["a"], ["x", "c"]]}),
        ('training."my.seed"', "3", {"training": {**VALUES["training"], "my.seed": 3}}),
        (r'"a \"quoted\" key".b', "x", {'a "quoted" key': {"b": "x"}}),
        ('training."', "3", {"training": {**VALUES["training"], '"': 3}}),
    ],
)
def test_override_sets_one_key_and_leaves_the_others(key: str, text: str, changed: dict[str, Any]) -> None:
    values = copy.deepcopy(VALUES)
    override(values, key, text)
    assert values == {**VALUES, **changed}


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("name.first", "found no 'first' in 'name'"),
        ("none.first", "found no 'first' in 'none'"),
        ("slices.2", "found no '2' in 'slices'"),
        ("slices.-1", "found no '-1' in 'slices'"),
        ("slices.first", "found no 'first' in 'slices'"),
        ("slices.7.min", "found no 'min' in 'slices.7'"),
        ("slices.first.0", "found no '0' in 'slices.first'"),
        ("slices.²", "found no '²' in 'slices'"),
        ("training.steps.a.b", "found no 'b' in 'training.steps.a'"),
    ],
)
def test_override_of_a_missing_path_is_refused(key: str, reason: str) -> None:
    values = copy.deepcopy(VALUES)
    with pytest.raises(ConfigError) as error:
        override(values, key, "1")
    assert str(error.value).startswith(f"--set {key}: ")
    assert reason in str(error.value)
    assert values == VALUES


def test_override_with_invalid_yaml_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--set name: found '\[1'; expected a YAML value$"):
        override({}, "name", "[1")


@pytest.mark.parametrize("text", ["1e-5", "1E-5", "1.e-5", "+1e-5", "1.0e-5"])
def test_exponent_does_not_need_a_decimal_point(text: str) -> None:
    values: dict[str, Any] = {}
    override(values, "tflite.max_difference", text)
    assert values == {"tflite": {"max_difference": 1e-5}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("0", 0), ("12", 12), ("-3", -3), ("+3", 3), ("0.50", 0.5), (".5", 0.5), ("1.", 1.0), ("-0.5e3", -500.0)],
        *[("true", True), ("False", False), ("null", None), ("~", None), (".inf", math.inf), ("-.inf", -math.inf)],
        *[
            ("!!int 7", 7),
            ("'7'", "7"),
            ("!!str 7", "7"),
            ("!!bool true", True),
            ("!!float 1", 1.0),
            ("!!null ''", None),
        ],
    ],
)
def test_numbers_true_false_and_null_are_values(text: str, value: object) -> None:
    values: dict[str, Any] = {}
    override(values, "name", text)
    assert type(values["name"]) is type(value)
    assert values == {"name": value}


@pytest.mark.parametrize(
    "text",
    [
        *["010", "-010", "00", "007.5", "0123e4", "1:30", "1:30.5", "1_000", "1_0.5", "0x1F", "0b11", "0o17"],
        *["on", "Off", "yes", "NO", "y", "n", "2020-01-01", "2020-1-1", "2001-12-14 21:59:43.10 -5", "=", "<<"],
        *["e-5", "1e", "2020-01-01e5", "a1e5", "tRue", "nulL", ".", "1.5.2"],
    ],
)
def test_text_that_yaml_1_1_would_change_stays_text(text: str) -> None:
    values: dict[str, Any] = {}
    override(values, "name", text)
    assert values == {"name": text}


def test_aliases_of_an_option_are_bounded() -> None:
    bomb = (
        "[&a [x], "
        + ", ".join(f"&{new} [{', '.join([f'*{old}'] * 40)}]" for old, new in ("ab", "bc", "cd", "de"))
        + "]"
    )
    with pytest.raises(
        ConfigError, match=r"^--set x: found aliases that expand to more than 1048576 characters; expecte"
    ):
        override({}, "x", bomb)
    values: dict[str, Any] = {}
    override(values, "x", "[&a [1], *a]")
    assert values == {"x": [[1], [1]]}


@pytest.mark.parametrize("special", ["pipe", "/dev/zero"])
def test_special_file_is_refused_at_once(tmp_path: Path, special: str) -> None:
    path = tmp_path / "settings.yaml"
    if special == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(special)
    with pytest.raises(ConfigError, match=r"settings\.yaml: Not a regular file; expected a YAML file of settings"):
        read_yaml(path)
