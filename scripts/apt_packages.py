"""Download and unpack Debian packages without root.

apt checks the signatures. Standard library only.
"""

import contextlib
import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path


def is_possible() -> bool:
    """Returns whether this system has the tools that packages are fetched with."""
    return all(shutil.which(command) for command in ("apt-get", "dpkg-deb"))


def download(apt: Path, packages: "list[str]", sources: "str | None" = None) -> "list[Path]":
    """Downloads packages and returns the paths of their ``.deb`` files.

    Args:
        apt: Folder for apt's own files. It is created.
        packages: Names of the packages.
        sources: Lines of another ``sources.list``, from which only the named packages are downloaded. Without it,
            packages come from the system's own release, together with their dependencies that are not installed.
    """
    for folder in ("lists/partial", "archives/partial", "etc/trusted.gpg.d"):
        (apt / folder).mkdir(parents=True)
    options = {
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt,
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "true",
    }
    if sources is not None:
        (apt / "status").touch()
        (apt / "etc/sources.list").write_text(sources)
        options.update(
            {
                "Dir::State": apt,
                "Dir::State::status": apt / "status",
                "Dir::Etc::sourcelist": apt / "etc/sources.list",
                "Dir::Etc::sourceparts": apt / "etc/none",
            }
        )
    command = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    run([*command, "update"], apt)
    if sources is not None:
        run([*command, "download", *packages], apt)
    else:
        run([*command, "install", "--yes", "--download-only", "--no-install-recommends", *packages], apt)
    return sorted(apt.rglob("*.deb"))


def unpack(packages: "list[Path]", folder: Path) -> None:
    """Extracts ``.deb`` files into a folder."""
    for package in packages:
        run(["dpkg-deb", "--extract", package, folder], package.parent)


def fetch(packages: "list[str]", folder: Path) -> None:
    """Unpacks packages and their dependencies from the system's own release into a folder, unless it exists."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(folder.with_name(f"{folder.name}.lock")):
        if folder.is_dir():
            return
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        unpack(download(partial / "apt", packages), partial / "root")
        (partial / "root").rename(folder)
        shutil.rmtree(partial)


@contextlib.contextmanager
def file_lock(path: Path) -> "Iterator[None]":
    """Holds an exclusive lock on a file. Other processes wait for it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(command: "list[object]", folder: Path) -> None:
    """Runs a command in a folder."""
    subprocess.run([str(part) for part in command], check=True, cwd=folder, stdin=subprocess.DEVNULL)
