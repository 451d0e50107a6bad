import dataclasses
import datetime
import multiprocessing
import multiprocessing.synchronize
import shutil
from pathlib import Path
from typing import Any

import pytest
from database_servers import PASSWORD, Running, certificates
from ml_metadata import errors, metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from lineage.errors import LineageError
from lineage.graph.walker import GraphWalker
from lineage.queries.find_run import find_run
from lineage.recorded.run_recorder import RunRecorder
from lineage.records import Origin
from lineage.store.connection import (
    READONLY,
    connection_config,
    create_tables,
    one_line_errors,
    open_reader,
    open_store,
    with_password,
)
from lineage.store.location import PASSWORD_VARIABLE, Server, Sqlite, StoreLocation, read_location, save_location
from lineage.store.probe import probe

WORDS = "東京 ü 🚕 'quoted' \\ back"
ORIGIN = Origin(
    commit="c0ffee",
    dirty=False,
    lock=None,
    command="local_runner.py",
    settings={"label": WORDS, "long": "x" * 70_000},  # longer than a TEXT column
    user="u",
    host="h",
    pid=2**22,
    python="3.11",
    versions={"tfx": "1.21.0"},
)
RUNS = {"taxi": "20260101T000000.000Z", "tips": "20260102T000000.000Z"}  # two problems in one store


def write(store: metadata_store.MetadataStore) -> None:
    """Writes what two runs of two nodes each leave behind, with one failed execution of the Trainer per run."""
    for pipeline, run_id in RUNS.items():
        started = datetime.datetime.fromisoformat(run_id[:8]).replace(tzinfo=datetime.UTC)
        recorder = RunRecorder(store, run_id)
        recorder.begin(pipeline, started, ORIGIN)
        examples = artifact(store, "Examples", f"/{pipeline}/examples")
        model = artifact(store, "Model", f"/{pipeline}/model")
        executed(store, (pipeline, run_id, "ExampleGen"), [], [examples])
        executed(store, (pipeline, run_id, "Trainer"), [examples], [])
        executed(store, (pipeline, run_id, "Trainer"), [examples], [model])
        for made_id in (examples, model):
            (made,) = store.get_artifacts_by_id([made_id])
            made.custom_properties["done"].bool_value = True
            store.put_artifacts([made])
        recorder.end("pushed", 12.5, "3", {"auc": 0.95}, None)


def artifact(store: metadata_store.MetadataStore, kind: str, uri: str) -> int:
    properties = {"span": mlmd.INT, "split_names": mlmd.STRING, "share": mlmd.DOUBLE}
    type_id = store.put_artifact_type(mlmd.ArtifactType(name=kind, properties=properties))
    made = mlmd.Artifact(type_id=type_id, uri=uri, state=mlmd.Artifact.LIVE)
    made.properties["span"].int_value = 7
    made.properties["split_names"].string_value = '["train", "eval"]'
    made.properties["share"].double_value = 0.1
    made.custom_properties["words"].string_value = WORDS
    made.custom_properties["nested"].struct_value.update({"a": [1, {"b": WORDS}]})
    made.custom_properties["blessed"].bool_value = True
    (made_id,) = store.put_artifacts([made])
    return int(made_id)


def executed(
    store: metadata_store.MetadataStore, names: tuple[str, str, str], inputs: list[int], outputs: list[int]
) -> None:
    pipeline, run_id, node = names
    state = mlmd.Execution.COMPLETE if outputs else mlmd.Execution.FAILED
    type_id = store.put_execution_type(mlmd.ExecutionType(name=f"tfx.{node}"))
    execution = mlmd.Execution(type_id=type_id, last_known_state=state)
    execution.custom_properties["settings"].string_value = WORDS
    node_type = store.put_context_type(mlmd.ContextType(name="node"))
    known = store.get_context_by_type_and_name("node", f"{pipeline}.{node}")
    contexts = [
        store.get_context_by_type_and_name("pipeline", pipeline),
        store.get_context_by_type_and_name("pipeline_run", run_id),
        known or mlmd.Context(type_id=node_type, name=f"{pipeline}.{node}"),
    ]
    found = [*((each, mlmd.Event.INPUT) for each in inputs), *((each, mlmd.Event.OUTPUT) for each in outputs)]
    pairs = []
    for index, (artifact_id, direction) in enumerate(found):
        event = mlmd.Event(artifact_id=artifact_id, type=direction)
        event.path.steps.add().key = "examples"
        event.path.steps.add().index = index
        pairs.append((store.get_artifacts_by_id([artifact_id])[0], event))
    store.put_execution(execution, pairs, contexts)


def query(output: Path) -> Any:
    """Returns what lineage reads from the store, without the times."""
    store, reader = open_store(read_location(output), READONLY), open_reader(output)
    walker = GraphWalker(reader)
    found = [sorted(reader.runs(), key=lambda each: each.run_id), walker.of_run(find_run(reader, RUNS["taxi"]))]
    # PostgreSQL moves rows that are updated.
    order = [[each.id for each in store.get_artifacts_by_id(ids)] for ids in ([1, 2, 3, 4], [2, 4])]
    order += [[each.id for each in each_kind] for each_kind in (store.get_artifacts(), store.get_executions())]
    return timeless(
        [*found, order, walker.upstream([2]), walker.upstream([4]), walker.downstream([1]), walker.downstream([3])]
    )


def timeless(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return timeless({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key not in ("created", "finished", "started")}
    return [timeless(each) for each in value] if isinstance(value, list | tuple) else value


def write_and_query(store: StoreLocation, output: Path) -> Any:
    create_tables(store)
    save_location(store, output)
    write(open_store(store))
    return query(output)


def test_all_kinds_of_stores_return_the_same(server: Running, tmp_path: Path) -> None:
    outputs = tmp_path / "file", tmp_path / "server"
    for output in outputs:
        output.mkdir()
    expected = write_and_query(Sqlite(outputs[0] / "metadata.db"), outputs[0])
    assert write_and_query(server.database("same_results"), outputs[1]) == expected
    runs, of_taxi, order, taxi_model, *_ = expected
    assert [run["pipeline"] for run in runs] == ["taxi", "tips"]
    assert runs[0]["origin"]["settings"] == ORIGIN.settings
    assert taxi_model["artifacts"][1]["properties"]["nested"] == {"a": [1.0, {"b": WORDS}]}
    assert order == [[1, 2, 3, 4], [2, 4], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6]]
    assert [each["state"] for each in of_taxi["executions"].values()] == ["ran", "failed", "ran"]
    assert set(taxi_model["artifacts"]) == {1, 2}  # nothing of the other problem in this database
    assert not (outputs[1] / "metadata.db").exists()


def test_reading_a_file_changes_neither_it_nor_its_folder(tmp_path: Path) -> None:
    file = Sqlite(tmp_path / "metadata.db")
    create_tables(file)
    before = file.path.read_bytes()
    reader = open_reader(tmp_path)
    assert reader.runs() == []
    with pytest.raises(errors.StatusError):
        reader._store.put_context_type(mlmd.ContextType(name="new"))
    assert file.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["metadata.db"]


def test_reading_without_a_store_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match=r"metadata\.db: not found"):
        open_reader(tmp_path)
    assert not list(tmp_path.iterdir())


def test_connecting_prints_nothing(server: Running, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    store = server.database("noise")
    create_tables(store)
    save_location(store, tmp_path)
    open_reader(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_only_the_config_with_password_has_the_password(server: Running) -> None:
    store = server.database("secret")
    config = connection_config(store)
    assert not config.mysql.password
    assert not config.postgresql.password
    assert PASSWORD not in f"{config} {store!r}"
    metadata_store.MetadataStore(with_password(config))


def test_rows_requested_by_id_come_in_that_order(postgresql: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    named = postgresql.database("ordered")
    create_tables(named)
    store = open_store(named)
    write(store)
    assert [each.id for each in store.get_artifacts_by_id([3, 1, 4, 2])] == [3, 1, 4, 2]
    assert [each.id for each in store.get_executions_by_id([6, 2, 4])] == [6, 2, 4]
    types = [each.id for each in store.get_artifact_types()]
    assert [each.id for each in store.get_artifact_types_by_id(types[::-1])] == types[::-1]
    newest = metadata_store.ListOptions(limit=2, order_by=metadata_store.OrderByField.ID, is_asc=False)
    assert [each.id for each in store.get_artifacts(newest)] == [4, 3]


def test_a_store_that_is_garbage_collected_closes_its_connection(server: Running) -> None:
    store = server.database("closed")
    for _ in range(3):
        create_tables(store)
    open_store(store).get_contexts()
    server.sql("DROP DATABASE closed")  # PostgreSQL refuses this while somebody is connected
    if server.kind == "mysql":
        assert server.sql("SELECT id FROM information_schema.processlist WHERE db = 'closed'") == []


def test_a_connection_to_mariadb_is_encrypted_with_ssl_settings(
    mariadb: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    plain = mariadb.database("encrypted", user="careful")
    mariadb.sql("ALTER USER careful REQUIRE SSL")
    encrypted = dataclasses.replace(plain, ca=mariadb.ca)
    create_tables(encrypted)
    probe(encrypted)
    with pytest.raises(LineageError, match="the server refused user 'careful'"):
        probe(plain)
    strange = dataclasses.replace(encrypted, ca=certificates(tmp_path)["ca"])
    for wrong in (strange, dataclasses.replace(encrypted, host="127.0.0.1")):
        with pytest.raises(LineageError, match=r"no encrypted connection \(.*certificate.*; correct metadata\.ssl, or"):
            probe(wrong)


def first_run(store: Server, number: int, barrier: "multiprocessing.synchronize.Barrier") -> None:
    barrier.wait(20)
    create_tables(store)
    opened = open_store(store)
    for again in range(8):
        barrier.wait(20)
        recorder = RunRecorder(opened, f"{number}.{again}")
        recorder.begin(f"pipeline {again}", datetime.datetime.now(datetime.UTC), ORIGIN)


@pytest.mark.slow  # three processes import ML Metadata
def test_concurrent_first_runs_do_not_conflict(server: Running) -> None:
    store = server.database("together")
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=first_run, args=(store, number, barrier)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(open_store(store).get_contexts_by_type("pipeline_run")) == 24
    assert len(open_store(store).get_contexts_by_type("pipeline")) == 8
    column = "together.MLMDEnv" if server.kind == "mysql" else "mlmdenv"
    assert [list(row) for row in server.sql(f"SELECT schema_version FROM {column}", database="together")] == [[10]]


def test_a_server_that_goes_away_is_reported(server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = server.database("leaving")
    create_tables(store)
    save_location(store, tmp_path)
    opened = open_reader(tmp_path)
    if server.kind == "mysql":
        server.sql("DROP DATABASE leaving")
    else:
        server.sql("DROP DATABASE leaving WITH (FORCE)")
    message = (
        "there is no database 'leaving'" if server.kind == "postgresql" else "ML Metadata failed|there is no database"
    )
    with pytest.raises(LineageError, match=message), one_line_errors(store):
        opened.runs()


def test_tables_that_go_away_are_reported(tmp_path: Path) -> None:
    file = Sqlite(tmp_path / "metadata.db")
    create_tables(file)
    opened = open_reader(tmp_path)
    shutil.copy("/dev/null", file.path)
    with pytest.raises(LineageError, match="found an empty database"), one_line_errors(file):
        opened.runs()
