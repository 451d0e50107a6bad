"""Check whether this machine can run the project. Standard library only."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import apt_packages
import setup_env

MEMORY_GB, DISK_GB = 4, 8


def main() -> int:
    setup_env.restart_outside_venv()
    checks = [check_python(), check_system(), check_memory(), check_disk(), *check_environment()]
    for passed, message in checks:
        print(f"{'ok  ' if passed else 'FAIL'} {message}")
    failed = sum(not passed for passed, _ in checks)
    print("all checks passed" if not failed else f"{failed} of {len(checks)} checks failed")
    return 1 if failed else 0


def check_python() -> "tuple[bool, str]":
    if sys.version_info[:2] == setup_env.NEEDED_PYTHON:
        return True, f"Python {platform.python_version()}"
    return False, f"Python {platform.python_version()}: TFX 1.21 needs 3.11. Run 'make PYTHON=/path/to/python3.11'"


def check_system() -> "tuple[bool, str]":
    try:
        setup_env.check_machine()
    except setup_env.SetupError as error:
        return False, str(error)
    version = setup_env.glibc_version()
    if version >= setup_env.NEEDED_GLIBC:
        return True, f"glibc {setup_env.dotted(version)}"
    needed = setup_env.dotted(setup_env.NEEDED_GLIBC)
    try:
        setup_env.next_release_sources()
    except setup_env.SetupError as error:
        return False, str(error)
    if not apt_packages.is_possible():
        return False, f"no apt-get to fetch glibc {needed}: use the container image {setup_env.CONTAINER_IMAGE}"
    return True, f"glibc {setup_env.dotted(version)} is older than {needed}: .venv gets its own from the next release"


def check_memory() -> "tuple[bool, str]":
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) / 1e6
    return free >= MEMORY_GB, f"{free:.0f} GB of memory free (the sample needs {MEMORY_GB} GB)"


def check_disk() -> "tuple[bool, str]":
    free = shutil.disk_usage(setup_env.ROOT).free / 1e9
    return free >= DISK_GB, f"{free:.0f} GB of disk free (the environment and its downloads need {DISK_GB} GB)"


def check_environment() -> "list[tuple[bool, str]]":
    python = setup_env.VENV / "bin/python"
    if not python.exists():
        return [(True, "no .venv yet: 'make run' or 'make test' installs it")]
    if not setup_env.is_current():
        return [(False, ".venv does not match requirements.lock: 'make run' or 'make test' updates it")]
    script = "import ml_metadata, tfx.components, tf_keras, tensorflow as tf; print(tf.__version__)"
    result = subprocess.run([python, "-I", "-c", script], capture_output=True, text=True, check=False)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no output"])[-1]
        return [(False, f".venv cannot import TFX ({reason}): run 'python3.11 scripts/setup_env.py --force'")]
    return [(True, f".venv matches requirements.lock and imports TFX and TensorFlow {result.stdout.strip()}")]


if __name__ == "__main__":
    sys.exit(main())
