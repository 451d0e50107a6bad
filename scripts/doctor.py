"""Say in plain lines what is fine on this machine and what is not; standard library only."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import apt_packages
import setup_env

MEMORY_GB, DISK_GB = 4, 8


def main() -> int:
    setup_env.leave_environment()
    checks = [check_python(), check_system(), check_memory(), check_disk(), *check_environment()]
    for fine, text in checks:
        print(f"{'ok  ' if fine else 'BAD '} {text}")
    bad = sum(not fine for fine, _ in checks)
    print("everything is fine" if not bad else f"{bad} of {len(checks)} checks failed; each line says what to do")
    return 1 if bad else 0


def check_python() -> "tuple[bool, str]":
    if sys.version_info[:2] == setup_env.NEEDED_PYTHON:
        return True, f"Python {platform.python_version()}"
    return False, f"Python {platform.python_version()}: TFX 1.21 needs 3.11; call 'make PYTHON=/path/to/python3.11'"


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
        return False, f"no apt-get to fetch glibc {needed} with: use the container image {setup_env.CONTAINER_IMAGE}"
    return True, f"glibc {setup_env.dotted(version)} is below {needed}; .venv brings its own from the next release"


def check_memory() -> "tuple[bool, str]":
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) / 1e6
    return free >= MEMORY_GB, f"{free:.0f} GB of memory free; the sample needs {MEMORY_GB}"


def check_disk() -> "tuple[bool, str]":
    free = shutil.disk_usage(setup_env.ROOT).free / 1e9
    return free >= DISK_GB, f"{free:.0f} GB of disk free; the environment and its downloads need {DISK_GB}"


def check_environment() -> "list[tuple[bool, str]]":
    python = setup_env.VENV / "bin/python"
    if not python.exists():
        return [(True, "not installed yet; 'make run' or 'make test' does it")]
    if not setup_env.is_current():
        return [(False, ".venv is not what requirements.lock says; 'make run' or 'make test' mends it")]
    script = "import ml_metadata, tfx.components, tf_keras, tensorflow as tf; print(tf.__version__)"
    result = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no output"])[-1]
        return [(False, f".venv cannot import TFX ({reason}); call 'python3.11 scripts/setup_env.py --force'")]
    return [(True, f".venv is as requirements.lock says; TensorFlow {result.stdout.strip()} and TFX can be imported")]


if __name__ == "__main__":
    sys.exit(main())
