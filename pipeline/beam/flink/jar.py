"""The jar of the job server and of a local Flink cluster, which Maven builds."""

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
FLINK = "1.19"  # as in the pom; the patch version of a cluster may differ
JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
BUILD_SECONDS = 1_200
MISSING = "beam.runner: found 'flink', and no {0} on the PATH; install {1}, or set it to 'local'"
# Packages that Flink and Beam access by reflection, which Java 17 forbids by default.
_OPENED = ("lang", "lang.reflect", "io", "net", "nio", "text", "time", "util", "util.concurrent")
OPENED = [f"--add-opens=java.base/java.{each}=ALL-UNNAMED" for each in _OPENED]
# The processes live for minutes and Python processes the rows, so the optimizing compiler would not pay off.
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def java(main: str, *arguments: str, megabytes: int = 512) -> list[str]:
    """Returns the command that runs a class of the jar. The jar is built if it does not exist.

    Raises:
        ConfigError: Java or Maven is missing, or the jar cannot be built.
    """
    command = _program("java", "Java 17 (a package such as openjdk-17-jre-headless)")
    return [command, f"-Xmx{megabytes}m", *QUICK, *OPENED, "-cp", str(jar()), main, *arguments]


def jar() -> Path:
    """Returns the path of the jar.

    The first call builds it with Maven, which verifies the checksums of the dependencies.

    Raises:
        ConfigError: Maven is missing or fails, or the folder is not writable.
    """
    digest = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    path = CACHE / f"flink/onegraph-flink-{digest}.jar"
    if path.exists():
        return path
    maven = _program("mvn", "Maven (a package such as maven)")
    click.echo(
        "Downloading Beam's job server for Flink into .cache with Maven. This takes a minute or two, once.", err=True
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            os.replace(_build(maven, Path(folder)), path)  # atomic, in case another process builds it too
    except OSError as error:
        raise ConfigError(
            f"{path.parent}: cannot build Beam's job server for Flink ({error.strerror or error}); expected a "
            "writable folder with 1 GB of free space"
        ) from error
    return path


def _build(maven: str, folder: Path) -> Path:
    options = ["--batch-mode", "--quiet", "--strict-checksums", f"-Dmaven.repo.local={CACHE / 'maven'}"]
    command = [maven, *options, "-f", str(POM), f"-Dfolder={folder}", "package"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS)  # noqa: S603 - Maven
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"Maven did not finish within {BUILD_SECONDS} s; check that its repository is reachable"
        ) from error
    if result.returncode:
        lines = [line for line in (result.stdout + result.stderr).splitlines() if "[ERROR]" in line]
        found = lines[0].partition("[ERROR]")[2].strip() if lines else f"exit code {result.returncode}"
        raise ConfigError(
            f"Maven could not build Beam's job server: {found}; run mvn -f {POM} package for the full output"
        )
    return _checked(folder)


def _checked(folder: Path) -> Path:
    """Returns the jar that Maven built, after checking that it contains the job server."""
    found = sorted(path.name for path in folder.glob("*.jar") if not path.name.startswith("original-"))
    if len(found) != 1:
        raise ConfigError(f"{POM}: Maven built {', '.join(found) or 'no jar'}; expected one jar")
    try:
        with zipfile.ZipFile(folder / found[0]) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise ConfigError(f"{POM}: Maven built a broken jar ({error}); try again") from error
    if JOB_SERVER.replace(".", "/") + ".class" not in names:
        raise ConfigError(f"{POM}: Maven built a jar without {JOB_SERVER}; expected Beam's job server in it")
    return folder / found[0]


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigError(MISSING.format(name, package))
    return found
