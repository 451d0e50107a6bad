import json
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from cloud.stand_in import LocalJobs, replicas

WRITES = "import os, sys; open(sys.argv[1] + '/' + {name}, 'w').write(os.environ.get({variable!r}, ''))"
NAME = "'-'.join([(t := __import__('json').loads(os.environ['CLUSTER_SPEC'])['task'])['type'], str(t['index'])])"


def pool(count: int, code: str, *arguments: str) -> dict[str, Any]:
    container = {"imageUri": "i/steps", "command": ["python", "-c"], "args": [code, *arguments]}
    return {"machineSpec": {"machineType": "n2-standard-4"}, "replicaCount": str(count), "containerSpec": container}


def job(*pools: dict[str, Any]) -> dict[str, Any]:
    return {"name": "jobs/1", "displayName": "tiny", "jobSpec": {"workerPoolSpecs": list(pools)}}


def test_each_replica_gets_the_addresses_of_all(tmp_path: Path) -> None:
    code = WRITES.format(name=NAME, variable="TF_CONFIG")
    made = job(pool(1, code, str(tmp_path)), pool(2, code, str(tmp_path)), pool(1, code, str(tmp_path)))
    assert LocalJobs().run_job(made) is None
    told = {path.name: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert {name: (each["task"]["type"], each["task"]["index"]) for name, each in told.items()} == {
        "workerpool0-0": ("chief", 0),
        "workerpool1-0": ("worker", 0),
        "workerpool1-1": ("worker", 1),
        "workerpool2-0": ("ps", 0),
    }
    [cluster] = {json.dumps(each["cluster"]) for each in told.values()}
    addresses = json.loads(cluster)
    assert {kind: len(each) for kind, each in addresses.items()} == {"chief": 1, "worker": 2, "ps": 1}
    assert len({address for each in addresses.values() for address in each}) == 4


def test_one_replica_has_no_cluster_and_an_image_without_a_command_is_not_started(tmp_path: Path) -> None:
    made = job(pool(1, WRITES.format(name=NAME, variable="TF_CONFIG"), str(tmp_path)))
    assert LocalJobs().run_job(made) is None
    assert (tmp_path / "workerpool0-0").read_text() == ""
    reducers = {"replicaCount": "2", "containerSpec": {"imageUri": "google/reductionserver"}}
    made["jobSpec"]["workerPoolSpecs"] += [pool(1, "pass"), reducers]
    assert LocalJobs().run_job(made) is None
    assert len(json.loads((tmp_path / "workerpool0-0").read_text())["cluster"]["ps"]) == 2, "Vertex AI names them so"


def test_the_containers_variables_are_in_its_environment(tmp_path: Path) -> None:
    made = job(pool(1, WRITES.format(name="'own'", variable="OWN"), str(tmp_path)))
    jobs = LocalJobs()
    jobs.environment = {"OWN": "6"}
    assert jobs.run_job(made) is None
    assert (tmp_path / "own").read_text() == "6"
    made["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["env"] = [{"name": "OWN", "value": "7"}]
    assert jobs.run_job(made) is None
    assert (tmp_path / "own").read_text() == "7"


def test_the_first_failure_is_reported_and_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "GRACE_SECONDS", 0.2)
    made = job(pool(1, "import time; time.sleep(600)"), pool(1, "raise ValueError('no such column')"))
    start = time.monotonic()
    told = LocalJobs().run_job(made)
    assert told == "The replica workerpool1-0 exited with a non-zero status of 1: ValueError: no such column"
    assert time.monotonic() - start < 30
    assert not [each for each in psutil.Process().children() if "time.sleep(600)" in " ".join(each.cmdline())]


def test_a_job_that_is_cancelled_ends(tmp_path: Path) -> None:
    jobs, told = LocalJobs(), []
    made = job(pool(1, f"import time; open({str(tmp_path / 'up')!r}, 'w'); time.sleep(600)"))
    thread = threading.Thread(target=lambda: told.append(jobs.run_job(made)))
    thread.start()
    while not (tmp_path / "up").exists():
        time.sleep(0.05)
    jobs.cancel_job("jobs/1")
    thread.join(10)
    assert told == ["it was cancelled"]
