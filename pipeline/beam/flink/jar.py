"""The jar that the job server and a cluster on this machine are started from."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import click

from common.project import ROOT
from pipeline.config.errors import ConfigError

POM = ROOT / "deploy/flink/pom.xml"
CACHE = ROOT / ".cache"
FLINK = "1.19"  # as in the pom; a cluster's last number may be another
JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
BUILD_SECONDS = 1_200
NEED = "beam.runner: 'flink' needs {0} on the PATH, and there is none; install {1}, or take 'local'"
# What Flink and Beam reach into, and Java 17 shuts.
_OPENED = ("lang", "lang.reflect", "io", "net", "nio", "text", "time", "util", "util.concurrent")
OPENED = [f"--add-opens=java.base/java.{each}=ALL-UNNAMED" for each in _OPENED]
# What it starts lives for minutes, and Python does the work on rows: the second compiler would cost more than it saves.
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def java(main: str, *arguments: str, megabytes: int = 512) -> list[str]:
    """The command that starts a class of the jar, which is made if it is not there.

    Raises:
        ConfigError: Java or Maven is missing, or the jar cannot be made.
    """
    command = _program("java", "Java 17 (a package such as openjdk-17-jre-headless)")
    return [command, f"-Xmx{megabytes}m", *QUICK, *OPENED, "-cp", str(jar()), main, *arguments]


def jar() -> Path:
    """Path of the jar; the first time Maven fetches its parts, each held to its checksum, and puts them together.

    Raises:
        ConfigError: Maven is missing or failed, or the folder cannot be written.
    """
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    made = CACHE / f"flink/onegraph-flink-{digest}.jar"
    if made.exists():
        return made
    maven = _program("mvn", "Maven (a package such as maven)")
    click.echo("Maven fetches Beam's job server for Flink into .cache, once; this takes a minute or two.", err=True)
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as folder:
            os.replace(_build(maven, Path(folder)), made)  # whole or not at all, whoever else makes it now
    except OSError as error:
        raise ConfigError(
            f"{made.parent}: Beam's job server for Flink cannot be made there ({error.strerror or error}); expected a "
            "folder that can be written, on a disk with 1 GB to spare"
        ) from error
    return made


def _build(maven: str, folder: Path) -> Path:
    options = ["--batch-mode", "--quiet", "--strict-checksums", f"-Dmaven.repo.local={CACHE / 'maven'}"]
    command = [maven, *options, "-f", str(POM), f"-Dfolder={folder}", "package"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)  # noqa: S603 - Maven
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"Maven was not done after {BUILD_SECONDS} s; look whether its repository answers") from error
    if result.returncode:
        lines = [line for line in (result.stdout + result.stderr).splitlines() if "[ERROR]" in line]
        said = lines[0].partition("[ERROR]")[2].strip() if lines else f"exit code {result.returncode}"
        raise ConfigError(f"Maven could not make Beam's job server: {said}; try mvn -f {POM} package for all it says")
    return _checked(folder)


def _checked(folder: Path) -> Path:
    """The one jar that Maven left in a folder; it has the job server."""
    found = sorted(path.name for path in folder.glob("*.jar") if not path.name.startswith("original-"))
    if len(found) != 1:
        raise ConfigError(f"{POM}: Maven made of it {', '.join(found) or 'no jar'}; expected one jar")
    try:
        with zipfile.ZipFile(folder / found[0]) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ConfigError(f"{POM}: the jar that Maven made of it is broken ({error}); try again") from error
    if JOB_SERVER.replace(".", "/") + ".class" not in names:
        raise ConfigError(f"{POM}: the jar that Maven made of it holds no {JOB_SERVER}; expected Beam's runner")
    return folder / found[0]


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigError(NEED.format(name, package))
    return found
