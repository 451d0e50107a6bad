"""Complete runs with ML Metadata on a server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import ROOT, Finished, arguments, run, wait_for
from database_servers import PASSWORD, Running, settings
from forked import Forked

from lineage.store.location import PASSWORD_VARIABLE, Server, read_location

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

OPTIONS = ("--no-tune", "--json")


class Runs(NamedTuple):
    """A run, and the same run again."""

    server: Running
    store: Server
    output: Path
    finished: list[Finished]


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def runs(request: pytest.FixtureRequest, table: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    server: Running = request.getfixturevalue(request.param)
    store, output = server.database("whole_runs"), tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(PASSWORD_VARIABLE, PASSWORD)
        finished = [run(output, f"--data={table}", *OPTIONS, metadata=settings(store)) for _ in range(2)]
        yield Runs(server, store, output, finished)


def start(command: list[str], folder: Path) -> Forked:
    """Starts a command that writes to ``out`` and ``err`` in a new folder."""
    folder.mkdir()
    return Forked(command, str(folder / "out"), str(folder / "err"))


def lineage(output: Path, *command: str) -> Any:
    result = subprocess.run(
        [sys.executable, "-m", "lineage", *command, f"--output={output}", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_a_run_is_pushed_and_the_same_run_again_is_cached(runs: Runs) -> None:
    first, again = runs.finished
    assert (first.code, first.summary["status"]) == (0, "pushed")
    assert set(first.states.values()) == {"ran"}
    assert (again.code, again.summary["status"]) == (0, "pushed")
    assert set(again.states.values()) == {"cached"}
    assert again.summary["pushed"] == first.summary["pushed"]
    assert again.summary["metrics"] == first.summary["metrics"]


def test_lineage_finds_the_server_by_the_output_folder(runs: Runs) -> None:
    assert read_location(runs.output) == runs.store
    assert not (runs.output / "metadata.db").exists()
    found = lineage(runs.output, "runs")
    assert [each["run_id"] for each in found] == [each.summary["run_id"] for each in reversed(runs.finished)]
    version = runs.finished[0].summary["pushed"]["version"]
    traced = json.dumps(lineage(runs.output, "trace", str(version)))
    assert str(runs.output / "artifacts/Trainer/model") in traced


def test_runs_leave_the_password_nowhere(runs: Runs) -> None:
    hidden = [PASSWORD, json.dumps(PASSWORD)[1:-1], json.dumps(PASSWORD, ensure_ascii=False)[1:-1]]
    texts = {path: path.read_bytes() for path in runs.output.rglob("*") if path.is_file()}
    assert any(runs.store.database.encode() in text for text in texts.values())
    texts |= {Path("shown"): "".join(each.stdout + each.stderr for each in runs.finished).encode()}
    for table in ("ContextProperty", "ExecutionProperty", "ArtifactProperty"):
        name = f"whole_runs.{table}" if runs.store.kind == "mysql" else table
        rows = runs.server.sql(f"SELECT string_value FROM {name}", database="whole_runs")
        assert rows
        texts[Path(table)] = "\n".join(str(row[0]) for row in rows).encode()
    for path, text in texts.items():
        assert not [each for each in hidden if each.encode() in text], path


def test_two_problems_share_a_database(runs: Runs, table: Path, tmp_path: Path) -> None:
    other = run(tmp_path, f"--data={table}", "--json", "--to=SchemaGen", name="other", metadata=settings(runs.store))
    assert other.code == 0
    assert other.states["StatisticsGen"] == "ran"  # the cache of the first problem is not used
    again = run(tmp_path, f"--data={table}", "--json", "--to=SchemaGen", name="other", metadata=settings(runs.store))
    assert again.states["StatisticsGen"] == "cached"
    assert {each["pipeline"] for each in lineage(runs.output, "runs")} == {"taxi", "other"}
    first = run(runs.output, f"--data={table}", *OPTIONS, metadata=settings(runs.store))
    assert set(first.states.values()) == {"cached"}


@pytest.mark.parametrize("names", [("one", "two"), ("one", "one")], ids=["two problems", "one problem"])
def test_concurrent_first_runs_do_not_conflict(
    server: Running, table: Path, tmp_path: Path, names: tuple[str, str]
) -> None:
    store = server.database(f"at_once_{len(set(names))}")
    commands = [
        arguments(tmp_path / str(i), f"--data={table}", "--json", "--to=SchemaGen", name=name, metadata=settings(store))
        for i, name in enumerate(names)
    ]
    folders = [tmp_path / f"shown {i}" for i in range(len(commands))]
    running = [start(command, folder) for command, folder in zip(commands, folders, strict=True)]
    for process, folder in zip(running, folders, strict=True):
        assert process.wait() == 0, (folder / "err").read_text()
        nodes = json.loads((folder / "out").read_text())["nodes"]
        assert {each["state"] for each in nodes} <= {"ran", "cached", "skipped"}
    assert len(lineage(tmp_path / "0", "runs")) == 2


def test_a_database_that_goes_away_ends_the_run_in_one_line(server: Running, table: Path, tmp_path: Path) -> None:
    store = server.database("leaving_run")
    command = arguments(tmp_path, f"--data={table}", "--json", "--to=SchemaGen", metadata=settings(store))
    process = start(command, tmp_path / "shown")
    wait_for(tmp_path, "Node StatisticsGen starts", process)
    server.sql("DROP DATABASE leaving_run" + (" WITH (FORCE)" if server.kind == "postgresql" else ""))
    assert process.wait() == 1
    shown, errors = ((tmp_path / "shown" / name).read_text() for name in ("out", "err"))
    assert json.loads(shown)["error"].startswith(f"{store}: there is no database 'leaving_run'; create it")
    assert errors.count("there is no database") == 1
    assert "Traceback" not in errors
