import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

from lineage.recorded import origin as module
from lineage.recorded.origin import CodeVersion, code_version, collect_origin, package_versions
from lineage.recorded.provenance import Provenance, read_provenance, with_code_and_time, write_provenance

IDENTITY = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")


def git(folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", "-C", str(folder), *IDENTITY, *arguments], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "--message=first")
    return tmp_path


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    (checkout / "new.csv").write_text("a file that Git does not know")
    assert code_version(checkout) == CodeVersion(git(checkout, "rev-parse", "HEAD"), dirty=False)


def test_a_changed_file_makes_it_dirty(checkout: Path) -> None:
    (checkout / "code.py").write_text("2")
    assert code_version(checkout).dirty is True


def test_the_repository_of_a_git_hook_is_ignored(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(checkout / "not there"))
    assert code_version(checkout).commit == commit


def test_a_folder_inside_another_checkout_has_no_commit(checkout: Path) -> None:
    unpacked = checkout / "unpacked"
    unpacked.mkdir()
    assert code_version(unpacked) == CodeVersion(None, None)


def test_a_folder_without_a_checkout_has_no_commit(tmp_path: Path) -> None:
    assert code_version(tmp_path / "bare") == CodeVersion(None, None)
    git(tmp_path, "init", "--quiet")
    assert code_version(tmp_path) == CodeVersion(None, None)  # nothing committed yet


def test_without_git_there_is_no_commit_and_no_output(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(checkout))
    assert code_version(checkout) == CodeVersion(None, None)
    assert capfd.readouterr() == ("", "")


def test_the_lock_file_is_recorded_by_its_digest() -> None:
    digest = hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()
    found = collect_origin({}, ["python"])
    assert found.lock == digest
    assert found.versions["tfx"] == "1.21.0"
    assert found.user
    assert found.host


def test_without_a_lock_file_there_is_no_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOT", tmp_path)
    assert collect_origin({}, ["python"]).lock is None


def test_a_user_without_a_name_has_the_user_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert collect_origin({}, ["python"]).user.isdigit()


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ("--set=metadata.password=s3cret", "--set=metadata.password=***"),
        (
            "--set=metadata={user: me, password: s3cret, host: db}",
            "'--set=metadata={user: me, password: ***, host: db}'",
        ),
        ("mysql://me:s3cret@db/store", "mysql://me:***@db/store"),
        ("--set=training.steps=200", "--set=training.steps=200"),
    ],
)
def test_passwords_on_the_command_line_are_not_recorded(given: str, recorded: str) -> None:
    assert collect_origin({}, ["python", "local_runner.py", given]).command == f"python local_runner.py {recorded}"


def test_passwords_in_the_settings_are_not_recorded() -> None:
    settings = {
        "metadata": {"host": "db", "password": "s3cret", "ssl": None, "at": "mysql://me:s3cret@db"},
        "steps": [1],
    }
    found = collect_origin(settings, ["python"])
    assert "s3cret" not in json.dumps(found.settings)
    assert found.settings["metadata"]["host"] == "db"
    assert found.settings["steps"] == [1]


def test_a_copied_version_keeps_its_provenance(tmp_path: Path) -> None:
    written = with_code_and_time(Provenance("taxi", "a run", "17", 13, "/model/9", "/pushed/14"))
    assert written.commit == code_version().commit
    assert written.versions == package_versions()
    folder = tmp_path / "17"
    folder.mkdir()
    write_provenance(folder, written)
    (folder / "saved_model.pb").touch()
    shutil.copytree(folder, tmp_path / "copy")
    assert read_provenance(tmp_path / "copy") == read_provenance(folder / "saved_model.pb") == written
    assert read_provenance(folder / "another.pb") is None
    assert read_provenance(tmp_path) is None
    assert read_provenance(tmp_path / "not there") is None
    assert read_provenance(tmp_path / "not" / "there") is None
