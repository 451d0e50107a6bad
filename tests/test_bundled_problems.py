"""The bundled problems pass the checks before a run, and their tables are small and have terms."""

import sys
from pathlib import Path

import pytest
from conftest import run_in_fork

from common.project import ROOT
from pipeline.config.loading import load_config
from pipeline.preflight.preflight import preflight

CONFIGS = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
OTHERS = [name for name in CONFIGS if name != "taxi"]
MAX_BYTES = 2**20  # of a table in the repository


@pytest.mark.parametrize("name", CONFIGS)
def test_a_bundled_problem_passes_the_checks_without_a_warning(name: str) -> None:
    path = ROOT / f"configs/{name}.yaml"
    checked = preflight(load_config(path), path)
    assert (checked.config.name, checked.warnings) == (name, ())
    assert checked.table.rows > 5_000


@pytest.mark.parametrize("name", OTHERS)
def test_a_bundled_table_is_small_and_its_page_has_terms_and_columns(name: str) -> None:
    config = load_config(ROOT / f"configs/{name}.yaml")
    folder = Path(config.data.path)
    assert sum(path.stat().st_size for path in folder.glob(config.data.pattern)) < MAX_BYTES
    page = (folder / "README.md").read_text()
    assert "**Origin.**" in page
    assert "**Terms.**" in page
    for column in {*config.features.columns, config.label.column}:
        assert f"`{column}`" in page, column


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("name", OTHERS)
def test_a_bundled_problem_ends_in_a_pushed_model(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "local_runner.py"), f"--config={ROOT / f'configs/{name}.yaml'}", "--json"]
    finished = run_in_fork([*command, f"--output={tmp_path}"])
    assert finished.code == 0, finished.stderr
    assert finished.summary["status"] == "pushed"
    has_text = bool(load_config(ROOT / f"configs/{name}.yaml").features.text)
    assert finished.summary["tflite"] is None if has_text else finished.summary["tflite"]["builtin_only"]
