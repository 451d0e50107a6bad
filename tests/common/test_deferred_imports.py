import gc
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from objsize import get_deep_size

from common import deferred_imports as deferred
from common.deferred_imports import DEFERRED, defer_imports

ROOT = Path(__file__).resolve().parents[2]
# A run up to the start of its first node. It has no node, since there is no Tuner.
RUN_WITHOUT_NODES = """
import gc, json, sys
import local_runner
from common import deferred_imports

try:
    local_runner.main(["--no-tune", "--to=Tuner", "--output", sys.argv[1]])
except SystemExit as ended:
    waiting = [name for name, module in sys.modules.items() if type(module) is deferred_imports._DeferredModule]
    found = {"code": ended.code, "collects": gc.isenabled(), "frozen": gc.get_freeze_count(), "waiting": waiting}
    found["modules"] = sorted(sys.modules)
    print(json.dumps(found))
"""
HEAVY = {
    "google.cloud.aiplatform",
    "jinja2",
    "kubernetes",
    "lineage.commands.cli",
    "matplotlib",
    "nltk",
    "pipeline.beam.flink.cluster",
    "pipeline.vertex.compile",
    "reports.index",
    "scipy.ndimage._filters",
    "scipy.stats._stats_py",
    "serving.server",
    "sklearn.base",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A deferred package ``heavy`` with a submodule ``part``. ``heavy_log`` records which of them are loaded."""
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy_log.py").write_text("loaded = []\n")
    (tmp_path / "heavy/__init__.py").write_text("import heavy_log\nheavy_log.loaded.append(__name__)\nsize = 3\n")
    (tmp_path / "heavy/part.py").write_text(
        "import heavy_log, time, heavy\ntime.sleep(0.2)\nheavy_log.loaded.append(__name__)\nsize = heavy.size + 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(deferred, "DEFERRED", frozenset({"heavy"}))
    thresholds = gc.get_threshold()
    yield tmp_path
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("heavy", "heavy_log")]:
        del sys.modules[name]


def loaded() -> list[str]:
    import heavy_log  # noqa: PLC0415 - the fixture makes it

    return list(heavy_log.loaded)


def test_the_first_node_starts_without_modules_that_few_runs_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN_WITHOUT_NODES, str(tmp_path / "output")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["code"] == 2
    assert "tfx.components" in found["modules"]  # the run got that far
    assert HEAVY & set(found["modules"]) == set()
    assert DEFERRED - set(found["waiting"]) == set()
    assert found["collects"]
    assert found["frozen"] > 100_000


def test_a_worker_starts_without_them_too(tmp_path: Path) -> None:
    code = "import sys; from models import worker; print(worker.main()); print(*sys.modules)"
    arguments = ["--parent", str(os.getpid()), "--failure", str(tmp_path / "failure"), "train", "no-such-job"]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert result.returncode == 0, result.stderr
    *_, ended, modules = result.stdout.splitlines()
    assert (ended, "no-such-job" in (tmp_path / "failure").read_text()) == ("1", True)
    assert {"tensorflow_transform", "keras_tuner"} < set(modules.split())
    assert HEAVY & set(modules.split()) == set()


def test_a_module_is_loaded_on_first_use(package: Path) -> None:
    with defer_imports():
        import heavy  # noqa: PLC0415
    assert loaded() == []
    assert heavy.__file__ == str(package / "heavy/__init__.py")  # which importers read of every module
    assert isinstance(heavy, type(sys))
    assert loaded() == []
    assert heavy.size == 3
    assert loaded() == ["heavy"]
    assert type(heavy) is type(sys)


def test_vars_of_all_modules_load_none(package: Path) -> None:
    with defer_imports():
        import heavy.part  # noqa: PLC0415, F401
    assert get_deep_size({"as": "Beam", "measures": ["a", "side", "input"]}) > 100
    assert loaded() == []


def test_a_submodule_is_deferred_with_its_package_and_loaded_after_it(package: Path) -> None:
    with defer_imports():
        import heavy.part  # noqa: PLC0415
        import heavy.part as part  # noqa: PLC0415, PLR0402
    assert heavy.part is part
    assert loaded() == []
    assert part.size == 4
    assert loaded() == ["heavy", "heavy.part"]


def test_importing_a_name_loads_the_module(package: Path) -> None:
    with defer_imports():
        from heavy import size  # noqa: PLC0415
    assert (size, loaded()) == (3, ["heavy"])


def test_submodules_of_a_loaded_package_are_not_deferred(package: Path) -> None:
    with defer_imports():
        import heavy  # noqa: PLC0415

        assert heavy.size == 3
        import heavy.part  # noqa: PLC0415
    assert loaded() == ["heavy", "heavy.part"]


def test_threads_wait_for_the_one_that_loads_a_module(package: Path) -> None:
    with defer_imports():
        import heavy.part  # noqa: PLC0415
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(heavy.part.size)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [4] * 4
    assert loaded() == ["heavy", "heavy.part"]


def test_two_threads_can_load_modules_that_import_each_other(package: Path) -> None:
    (package / "heavy/__init__.py").write_text(
        "import heavy_log, time\ntime.sleep(0.2)\nheavy_log.loaded.append(__name__)\n"
        "size = 3\nfrom heavy.part import size as more\n"
    )
    with defer_imports():
        import heavy.part  # noqa: PLC0415
    parts = (heavy, "more"), (heavy.part, "size")
    threads = [threading.Thread(target=getattr, args=each, daemon=True) for each in parts * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)
    assert (heavy.more, loaded()) == (4, ["heavy", "heavy.part"])


def test_a_module_that_cannot_be_loaded_raises_on_every_use(package: Path) -> None:
    (package / "heavy/__init__.py").write_text("import there_is_no_such_module\n")
    with defer_imports():
        import heavy  # noqa: PLC0415
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="there_is_no_such_module"):
            _ = heavy.size


def test_imports_are_not_deferred_after_the_block(package: Path) -> None:
    finders = list(sys.meta_path)
    with pytest.raises(KeyError), defer_imports():
        raise KeyError(gc.isenabled())
    assert gc.isenabled()
    assert sys.meta_path == finders
    import heavy  # noqa: F401, PLC0415

    assert loaded() == ["heavy"]
