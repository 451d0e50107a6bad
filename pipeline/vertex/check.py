"""Runs the tasks of a compiled pipeline on this machine, with the entry point that Vertex AI calls."""

import contextlib
import dataclasses
import datetime
import json
import time
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path

from artifacts.nodes.push import read_push
from artifacts.summary import Node
from cloud.stand_in import LocalJobs, StandIn
from cloud.vertex import ENDPOINT_VARIABLE
from common.project import ROOT
from common.remote_paths import SCHEME_END
from pipeline.config.loading import GLOB_CHARACTERS
from pipeline.nodes import ANOMALY_GATE, PUSHER, Listener
from pipeline.results.run_folder import locked
from pipeline.vertex.artifact_store import Artifact, ArtifactStore, new_name
from pipeline.vertex.condition import evaluate_condition
from pipeline.vertex.spec import PipelineSpec, SpecError, Task, read_spec, read_text
from pipeline.vertex.tasks import TaskEnvironment, TaskFailedError, run_task

BUCKETS, SCHEME = "buckets", "gs://"
INPUT_BASE = "input_base"
MAX_PARALLEL_TASKS = 2
ANOMALIES_ERROR = "DataAnomaliesError"
BIGQUERY = "custom_components.bigquery_example_gen."

Outputs = dict[str, list[Artifact]]


@dataclasses.dataclass(frozen=True)
class CheckSummary:
    """Result of a check.

    Attributes:
        status: ``pushed``, ``not_blessed``, ``anomalies`` or ``failed``.
        nodes: State and duration of each task.
        pushed: Folder of the pushed version.
        error: The first error, in one line.
        logs: Folder with one log per task.
        seconds: Wall time.
    """

    status: str
    nodes: list[Node]
    pushed: str | None
    error: str | None
    logs: str
    seconds: float

    def to_json(self) -> str:
        """Returns the summary as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)


def check(file: Path, output: Path, listener: Listener, data: Path | None = None) -> CheckSummary:
    """Runs all tasks of a compiled pipeline.

    Folders take the place of buckets: ``gs://bucket/x`` is ``<output>/buckets/bucket/x``. Resolvers find the artifacts
    of earlier checks with the same output folder, as on Vertex AI they find those of earlier runs. A local stand-in
    answers requests to Vertex AI, and custom jobs run as local processes. Nothing is cached, and failed tasks are not
    retried.

    Args:
        file: A file that ``vertex_runner.py compile`` wrote.
        output: Folder for everything that the tasks write.
        listener: Called for each task.
        data: A local folder to use instead of the table named in the file.

    Raises:
        SpecError: The file cannot be used, its table is not on this machine, or the output is not writable.
        ConfigError: Another check or run is using the output.
    """
    start = time.monotonic()
    spec = _with_local_folders(read_text(file), output, data)
    _check_table(spec)
    run_id = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S.%f}"
    logs = output / "logs" / run_id
    jobs = LocalJobs(logs)
    with _opened_store(output, logs) as store, StandIn(jobs.run_job, jobs.cancel_job) as stand_in:
        jobs.environment = {ENDPOINT_VARIABLE: stand_in.endpoint}
        environment = TaskEnvironment(spec.name, Path(spec.root) / run_id, logs, jobs.environment)
        run = _Run(spec, environment, store, listener)
        run.run_all()
    seconds = round(time.monotonic() - start, 3)
    return CheckSummary(run.status, run.nodes, run.pushed, run.error, str(logs), seconds)


@contextlib.contextmanager
def _opened_store(output: Path, logs: Path) -> Iterator[ArtifactStore]:
    """Locks the output, creates the folder for the logs, and yields the artifacts of earlier checks."""
    with contextlib.ExitStack() as stack:
        try:
            logs.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(output))
            logs.mkdir()
            store = ArtifactStore(output)
        except OSError as error:
            raise SpecError(f"--output: cannot write to {output} ({error.strerror}); expected a folder") from error
        yield store


def _with_local_folders(text: str, output: Path, data: Path | None) -> PipelineSpec:
    """Parses a compiled pipeline with local folders in place of buckets."""
    for option, folder in (("--output", output), ("--data", data)):
        _check_folder(option, folder)
    buckets = str((output / BUCKETS).resolve()) + "/"
    if json.dumps(buckets, ensure_ascii=False) != f'"{buckets}"':  # the path goes into JSON inside JSON
        raise SpecError(f"--output: found {output}; expected a path without quotes and backslashes")
    spec = read_spec(text.replace(SCHEME, buckets))
    if data:
        for task in spec.tasks:
            if INPUT_BASE in task.parameters:
                task.spec["inputs"]["parameters"][INPUT_BASE]["runtimeValue"]["constant"] = str(data.resolve())
    return spec


def _check_folder(option: str, folder: Path | None) -> None:
    """Rejects a folder that tasks would mistake for a bucket or a pattern."""
    if folder and f"{SCHEME_END[0]}/" in str(folder):  # a Path keeps one slash of gs://bucket
        raise SpecError(f"{option}: found {folder}; expected a folder on this machine")
    if folder and (found := sorted(set(str(folder.resolve())) & set(GLOB_CHARACTERS))):
        raise SpecError(f"{option}: found {''.join(found)} in {folder.resolve()}; expected none of {GLOB_CHARACTERS}")


def _check_table(spec: PipelineSpec) -> None:
    """Rejects a table that the tasks would not find."""
    for task in spec.tasks:
        base = task.parameters.get(INPUT_BASE)
        if base is not None and not (ROOT / str(base)).is_dir():  # tasks run in the project's folder
            raise SpecError(f"{task.name}: found no folder {base}; put the table there, or pass its folder with --data")
        if any(each.startswith(BIGQUERY) for each in task.executor.get("container", {}).get("args", ())):
            raise SpecError(
                f"{task.name}: reads BigQuery, which a check cannot do; compile with --data to read files instead"
            )


class _Run:
    """One run of all tasks. Independent tasks run in parallel."""

    def __init__(
        self, spec: PipelineSpec, environment: TaskEnvironment, store: ArtifactStore, listener: Listener
    ) -> None:
        self._spec, self._environment, self._store, self._listener = spec, environment, store, listener
        self._outputs: dict[str, Outputs] = {}
        self._starts: dict[str, float] = {}
        self.nodes: list[Node] = []
        self.error: str | None = None

    @property
    def status(self) -> str:
        failed = [node.id for node in self.nodes if node.state == "failed"]
        if failed == [ANOMALY_GATE] and ANOMALIES_ERROR in (self.error or ""):
            return "anomalies"
        if failed or self.error:
            return "failed"
        return "pushed" if self.pushed else "not_blessed"

    @property
    def pushed(self) -> str | None:
        for artifact in self._outputs.get(PUSHER, {}).get("pushed_model", ()):
            if push := read_push(artifact.metadata):
                return push.destination
        return None

    def run_all(self) -> None:
        """Runs the tasks until the last one has ended or this process is interrupted."""
        waiting = list(self._spec.tasks)
        running: dict[futures.Future[Outputs | None], Task] = {}
        with futures.ThreadPoolExecutor(MAX_PARALLEL_TASKS) as pool:
            try:
                while waiting or running:
                    for task in [task for task in waiting if self._have_ended(task.upstream)]:
                        waiting.remove(task)
                        if task.upstream <= self._outputs.keys():
                            running[pool.submit(self._run, task)] = task
                        else:
                            self._finish(Node(task.name, "skipped"))
                    done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
                    for each in done:
                        self._collect(each, running.pop(each))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._environment.kill()
                raise
        if PUSHER not in {node.id for node in self.nodes}:
            self.error = self.error or f"found no task {PUSHER}; expected one that pushes a blessed model"

    def _have_ended(self, names: set[str]) -> bool:
        return names <= {node.id for node in self.nodes}

    def _collect(self, future: "futures.Future[Outputs | None]", task: Task) -> None:
        seconds = time.monotonic() - self._starts[task.name]
        try:
            outputs = future.result()
        except Exception as error:  # any error fails the task, not the check
            is_expected = isinstance(error, TaskFailedError | ValueError)
            self.error = self.error or f"{task.name}: {'' if is_expected else f'{type(error).__name__}: '}{error}"
            self._finish(Node(task.name, "failed", seconds))
            return
        if outputs is None:
            self._finish(Node(task.name, "skipped"))
            return
        self._outputs[task.name] = outputs
        if "resolver" not in task.executor:
            self._store.add([artifact for each in outputs.values() for artifact in each])
        self._finish(Node(task.name, "ran", seconds))

    def _finish(self, node: Node) -> None:
        self.nodes.append(node)
        self._listener.node_finished(node)

    def _run(self, task: Task) -> Outputs | None:
        """Returns the outputs of a task, or ``None`` if its condition is false."""
        self._starts[task.name] = time.monotonic()
        inputs = {key: self._outputs[producer].get(output, []) for key, (producer, output) in task.producers.items()}
        artifacts = {
            key: {"artifacts": [artifact.runtime_artifact for artifact in each]} for key, each in inputs.items()
        }
        if task.condition and not evaluate_condition(task.condition, {"artifacts": artifacts}):
            return None
        self._listener.node_started(task.name)
        if "resolver" in task.executor:
            return self._resolve(task, inputs)
        if "importer" in task.executor:
            return self._import(task)
        return run_task(task, inputs, self._environment)

    def _resolve(self, task: Task, inputs: Mapping[str, list[Artifact]]) -> Outputs:
        queries = task.executor["resolver"]["outputArtifactQueries"]
        return {key: self._store.latest(query["filter"], self._spec.name, inputs) for key, query in queries.items()}

    def _import(self, task: Task) -> Outputs:
        importer = task.executor["importer"]
        [key] = task.outputs
        artifact = Artifact(
            name=new_name(),
            uri=importer["artifactUri"]["constant"],
            schema=importer["typeSchema"]["instanceSchema"],
            metadata=importer.get("metadata", {}),
            pipeline=self._spec.name,
        )
        return {key: [artifact]}
