from pathlib import Path

import pytest
from tiny_problem import settings_file

from pipeline.config.errors import ConfigError
from pipeline.config.loading import load_config
from pipeline.preflight.network import check_network


@pytest.mark.parametrize(
    ("function", "fragments"),
    [
        ("models.netwrk.build_network", ["no module 'models.netwrk'", "models.network.build_network"]),
        ("nowhere.at.all", ["no module 'nowhere.at'"]),
        ("build_network", ["no module ''", "package.module.function"]),
        ("sys.exit", ["no module 'sys'"]),
        ("math.sqrt", ["no module 'math'"]),
        ("models.network.build_netwrk", ["'build_netwrk'", "did you mean 'build_network'?"]),
    ],
)
def test_missing_network_function_is_reported(tmp_path: Path, function: str, fragments: list[str]) -> None:
    path = settings_file(tmp_path)
    with pytest.raises(ConfigError) as error:
        check_network(load_config(path, {"network.function": function}), path)
    line = str(error.value)
    assert line.startswith(f"{path}: network.function: ")
    assert [fragment for fragment in fragments if fragment not in line] == []
    assert "\n" not in line


def test_a_package_that_cannot_be_imported_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_networks").mkdir()
    (tmp_path / "broken_networks/__init__.py").write_text("raise RuntimeError('no license')")
    monkeypatch.syspath_prepend(tmp_path)
    path = settings_file(tmp_path)
    with pytest.raises(ConfigError, match=r"found no module 'broken_networks\.wide' \(no license\); expected package"):
        check_network(load_config(path, {"network.function": "broken_networks.wide.build"}), path)


def test_default_network_exists(tmp_path: Path) -> None:
    path = settings_file(tmp_path)
    check_network(load_config(path), path)
