"""The Dataflow workers' image has everything that the Beam steps need."""

import importlib.machinery
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest
from conftest import ROOT, arguments
from packaging.utils import canonicalize_name
from test_cloud_images import WORKERS, copied, stages

pytestmark = pytest.mark.slow
# Each worker loads this first. It blocks imports of packages that the image lacks.
BLOCK_ABSENT = """
import json, os, pathlib, sys

class Absent:
    names = set(json.loads(pathlib.Path({names!r}).read_text()))

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)

sys.meta_path.insert(0, Absent())
pathlib.Path({folder!r}, f"worker-{{os.getpid()}}").touch()
"""


def modules() -> tuple[set[str], set[str]]:
    """Names of the modules and packages in the image's lock, and of those outside it."""
    locked = set(re.findall(r"^(\S+)==", (ROOT / "deploy/beam/requirements.lock").read_text(), re.MULTILINE))
    suffixes = tuple(importlib.machinery.all_suffixes())
    brought: set[str] = set()
    absent: set[str] = set()
    for found in distributions():
        names = brought if canonicalize_name(found.metadata["Name"]) in locked else absent
        for file in found.files or ():
            if file.name.endswith(suffixes) and ".." not in file.parts:
                stem = file.parent if file.name == "__init__.py" else file.parent / file.name.partition(".")[0]
                names.add(".".join(stem.parts))
    return brought, absent - brought


def test_beam_steps_run_on_workers_with_only_the_packages_of_the_image(table: Path, tmp_path: Path) -> None:
    brought, absent = modules()
    assert {"google.cloud.aiplatform", "pytest", "tensorboard"} <= absent
    assert "tensorflow" in brought
    site, app, output = (tmp_path / name for name in ("site", "app", "output"))
    site.mkdir()
    (tmp_path / "names").write_text(json.dumps(sorted(absent)))
    text = BLOCK_ABSENT.format(names=str(tmp_path / "names"), folder=str(site))
    (site / "sitecustomize.py").write_text(text)
    for package, _ in copied(stages(WORKERS)[-1]):
        shutil.copytree(ROOT / package, app / package)
    worker = f"env PYTHONPATH={site}:{app} {sys.executable} -m apache_beam.runners.worker.sdk_worker_main"
    command = arguments(output, f"--data={table}", "--no-tune")
    command[1] = str(ROOT / "tests/support/remote_workers.py")
    environment = {**os.environ, "BEAM_WORKER": worker, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, env=environment)
    logs = [log.read_text() for log in output.glob("runs/2*/log")]
    assert result.returncode == 0, "\n".join([result.stderr, *logs])[-3000:]
    assert len(list(site.glob("worker-*"))) >= 4, "each of the four steps started workers"
