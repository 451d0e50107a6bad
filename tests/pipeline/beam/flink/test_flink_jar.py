import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from common.project import ROOT
from pipeline.beam.flink import jar
from pipeline.config.errors import ConfigError

# A jar with the job server's class, at the first argument.
GOOD = f"""{sys.executable} -c '
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as archive:
    archive.writestr("{jar.JOB_SERVER.replace(".", "/")}.class", "")
' """


@pytest.fixture
def maven(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Installs a fake Maven that runs a line of shell; $folder is the folder for the jar."""

    def put(line: str) -> None:
        script = f"#!/bin/sh\nfor each; do case $each in -Dfolder=*) folder=${{each#*=}};; esac; done\n{line}\n"
        (tmp_path / "mvn").write_text(script)
        (tmp_path / "mvn").chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(jar, "CACHE", tmp_path / "cache")
    return put


def refusal() -> str:
    with pytest.raises(ConfigError) as raised:
        jar.jar()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_jar_is_built_once_and_leaves_no_other_files(maven: Callable[[str], None], tmp_path: Path) -> None:
    maven(f"{GOOD} $folder/flink-1.jar; cp $folder/flink-1.jar $folder/original-flink-1.jar")
    made = jar.jar()
    assert list((tmp_path / "cache/flink").iterdir()) == [made]
    maven("exit 1")
    assert jar.jar() == made


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("echo '[ERROR] Could not find artifact a:b'; exit 1", "job server: Could not find artifact a:b; run mvn"),
        ("exit 7", "Maven could not build Beam's job server: exit code 7; run mvn"),
        ("true", "pom.xml: Maven built no jar; expected one jar"),
        ("touch $folder/a.jar $folder/b.jar", "pom.xml: Maven built a.jar, b.jar; expected one jar"),
        ("echo PK >$folder/a.jar", "pom.xml: Maven built a broken jar (File is not a zip file); try"),
        (
            f"{GOOD.replace('FlinkJob', 'OtherJob')} $folder/a.jar",
            "Maven built a jar without org.apache.beam",
        ),
    ],
)
def test_failed_build_is_reported(line: str, text: str, maven: Callable[[str], None], tmp_path: Path) -> None:
    maven(line)
    assert text in refusal()
    assert list((tmp_path / "cache/flink").iterdir()) == []


def test_unwritable_folder_is_reported(maven: Callable[[str], None], tmp_path: Path) -> None:
    maven("exit 1")
    (tmp_path / "cache").touch()
    assert refusal().startswith(f"{tmp_path}/cache/flink: cannot build Beam's job server for Flink (")


def test_full_disk_is_reported(maven: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    maven(f"{GOOD} $folder/flink-1.jar")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert "cannot build Beam's job server for Flink (No space left on device); expected a writable folder" in refusal()


def test_concurrent_builds_both_succeed(maven: Callable[[str], None], tmp_path: Path) -> None:
    """Each Maven waits until the other has started."""
    both = f"touch {tmp_path}/began.$$; while [ $(ls {tmp_path} | grep -c began) -lt 2 ]; do sleep 0.05; done"
    maven(f"{both}; {GOOD} $folder/flink-1.jar")
    imports = "from pathlib import Path; from pipeline.beam.flink import jar"
    code = f"{imports}; jar.CACHE = Path('{tmp_path}/cache'); jar.jar()"
    runs = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(2)]
    assert [run.wait(60) for run in runs] == [0, 0]
    assert [path.suffix for path in (tmp_path / "cache/flink").iterdir()] == [".jar"]
