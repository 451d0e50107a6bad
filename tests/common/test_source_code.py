import sys
from pathlib import Path

import pytest

from common.source_code import import_function, source_digest
from models.network import build_network


def test_imports_the_named_function() -> None:
    assert import_function("models.network.build_network") is build_network


@pytest.mark.parametrize(
    "path",
    ["models.network.no_such_function", "models.no_such_module.build", "no_such_package.build", "build", "", "."],
)
def test_an_import_error_names_the_path(path: str) -> None:
    with pytest.raises(ValueError, match=rf"cannot import '{path}'.*expected package\.module\.function"):
        import_function(path)


def test_a_path_to_something_else_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"'models\.training_settings\.DEFAULT_NETWORK' is str; expected a function"):
        import_function("models.training_settings.DEFAULT_NETWORK")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that fails on import, with one module in a subpackage."""
    folder = tmp_path / "digested_package"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('imported')")
    (folder / "inner/__init__.py").touch()
    (folder / "inner/deep.py").write_text("X = 1")
    (tmp_path / "digested_module.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_the_digest_of_the_same_sources_is_the_same_and_imports_nothing(package: Path) -> None:
    assert source_digest("digested_package", "digested_module") == source_digest("digested_package", "digested_module")
    assert not {"digested_package", "digested_module"} & set(sys.modules)


def test_the_digest_changes_with_any_file_of_a_package(package: Path) -> None:
    before = source_digest("digested_package")
    (package / "inner/deep.py").write_text("X = 2")
    edited = source_digest("digested_package")
    (package / "added.py").touch()
    added = source_digest("digested_package")
    (package / "added.py").rename(package / "renamed.py")
    assert len({before, edited, added, source_digest("digested_package")}) == 4


def test_the_digest_of_a_module_depends_on_that_module_only(package: Path) -> None:
    before = source_digest("digested_module")
    (package / "inner/deep.py").write_text("X = 2")
    assert source_digest("digested_module") == before
    (package.parent / "digested_module.py").write_text("X = 2")
    assert source_digest("digested_module") != before


def test_the_digest_of_a_missing_module_is_an_error() -> None:
    with pytest.raises(ValueError, match="found no module 'no_such_module'"):
        source_digest("no_such_module")
