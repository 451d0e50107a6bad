"""Runs a compiled pipeline here: each task by the entry point that Vertex AI calls, in the order of what it needs."""

import contextlib
import dataclasses
import datetime
import json
import time
from collections.abc import Iterator, Mapping
from concurrent import futures
from pathlib import Path

from cloud.stand_in import LocalJobs, StandIn
from cloud.vertex import ENDPOINT
from common.project import ROOT
from pipeline.config.loading import GLOB_CHARACTERS, REMOTE
from pipeline.nodes import Listener, Node
from pipeline.results.run_folder import locked
from pipeline.vertex.artifacts import Artifact, Artifacts, new_name
from pipeline.vertex.condition import holds
from pipeline.vertex.spec import Spec, SpecError, Task, read_spec, read_text
from pipeline.vertex.tasks import Place, TaskFailedError, run_task

BUCKETS, SCHEME = "buckets", "gs://"
INPUT_BASE = "input_base"
AT_ONCE = 2  # tasks that do not need each other
PUSHER, GATE, ANOMALIES = "Pusher", "AnomalyGate", "DataAnomaliesError"
BIGQUERY = "custom_components.bigquery_example_gen."

Outputs = dict[str, list[Artifact]]


@dataclasses.dataclass(frozen=True)
class Checked:
    """How a check ended.

    Attributes:
        status: ``pushed``, ``not_blessed``, ``anomalies`` or ``failed``.
        nodes: How each task went.
        pushed: Folder of the pushed version.
        error: One line of what went wrong.
        logs: Folder of a log a task.
        seconds: Wall time.
    """

    status: str
    nodes: list[Node]
    pushed: str | None
    error: str | None
    logs: str
    seconds: float

    def to_json(self) -> str:
        """It as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=2)


def check(file: Path, output: Path, listener: Listener, data: Path | None = None) -> Checked:
    """Runs all tasks of a compiled pipeline.

    What is in buckets is in folders here: ``gs://bucket/x`` is ``<output>/buckets/bucket/x``. Resolvers find what
    earlier checks into the same folder made, as Vertex AI looks among the runs of the same pipeline. What tasks ask of
    Vertex AI a server here answers, and the jobs that they start there are processes here. Nothing is answered from a
    cache, and a failed task is not tried again.

    Args:
        file: What ``vertex_runner.py compile`` wrote.
        output: Folder for all that is made.
        listener: Told of each task.
        data: A folder that stands for the table that the file names.

    Raises:
        SpecError: The file cannot be used, its table is not here, or the output cannot be written.
        ConfigError: Another check, or a run, uses the output.
    """
    start = time.monotonic()
    spec = _here(read_text(file), output, data)
    _check_data(spec)
    run_id = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S.%f}"
    logs = output / "logs" / run_id
    jobs = LocalJobs(logs)
    with _held(output, logs) as artifacts, StandIn(jobs.run_job, jobs.cancel_job) as stand_in:
        jobs.environment = {ENDPOINT: stand_in.endpoint}
        run = _Run(spec, Place(spec.name, Path(spec.root) / run_id, logs, jobs.environment), artifacts, listener)
        run.all()
    seconds = round(time.monotonic() - start, 3)
    return Checked(run.status, run.nodes, run.pushed, run.error, str(logs), seconds)


@contextlib.contextmanager
def _held(output: Path, logs: Path) -> Iterator[Artifacts]:
    """Holds the output against other checks, with a folder for the logs; yields what earlier ones made there."""
    with contextlib.ExitStack() as stack:
        try:
            logs.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(output))
            logs.mkdir()
            artifacts = Artifacts(output)
        except OSError as error:
            raise SpecError(f"--output: cannot write in {output} ({error.strerror}); expected a folder") from error
        yield artifacts


def _here(text: str, output: Path, data: Path | None) -> Spec:
    """A compiled pipeline with folders of this machine in place of buckets."""
    for option, folder in (("--output", output), ("--data", data)):
        _check_folder(option, folder)
    buckets = str((output / BUCKETS).resolve()) + "/"
    if json.dumps(buckets, ensure_ascii=False) != f'"{buckets}"':  # it goes into JSON within JSON
        raise SpecError(f"--output: found {output}; expected a path without quotes and backslashes")
    spec = read_spec(text.replace(SCHEME, buckets))
    if data:
        for task in spec.tasks:
            if INPUT_BASE in task.parameters:
                task.spec["inputs"]["parameters"][INPUT_BASE]["runtimeValue"]["constant"] = str(data.resolve())
    return spec


def _check_folder(option: str, folder: Path | None) -> None:
    """Refuses a folder that tasks would look for elsewhere."""
    if folder and f"{REMOTE[0]}/" in str(folder):  # of gs://bucket a path has but one slash
        raise SpecError(f"{option}: found {folder}; expected a folder on this machine")
    if folder and (found := sorted(set(str(folder.resolve())) & set(GLOB_CHARACTERS))):
        raise SpecError(f"{option}: found {''.join(found)} in {folder.resolve()}; expected none of {GLOB_CHARACTERS}")


def _check_data(spec: Spec) -> None:
    for task in spec.tasks:
        base = task.parameters.get(INPUT_BASE)
        if base is not None and not (ROOT / str(base)).is_dir():  # where tasks run
            raise SpecError(f"{task.name}: found no folder {base}; put the table there, or name its folder with --data")
        if any(each.startswith(BIGQUERY) for each in task.executor.get("container", {}).get("args", ())):
            raise SpecError(
                f"{task.name}: reads BigQuery, which is not here; compile with --data, for a table in files"
            )


class _Run:
    """One run of all tasks; those that do not need each other run at once."""

    def __init__(self, spec: Spec, place: Place, artifacts: Artifacts, listener: Listener) -> None:
        self._spec, self._place, self._artifacts, self._listener = spec, place, artifacts, listener
        self._given: dict[str, Outputs] = {}
        self._starts: dict[str, float] = {}
        self.nodes: list[Node] = []
        self.error: str | None = None

    @property
    def status(self) -> str:
        failed = [node.id for node in self.nodes if node.state == "failed"]
        if failed == [GATE] and ANOMALIES in (self.error or ""):
            return "anomalies"
        if failed or self.error:
            return "failed"
        return "pushed" if self.pushed else "not_blessed"

    @property
    def pushed(self) -> str | None:
        for artifact in self._given.get(PUSHER, {}).get("pushed_model", ()):
            if artifact.metadata.get("pushed"):
                return str(artifact.metadata["pushed_destination"])
        return None

    def all(self) -> None:
        """Runs them, to the end of the last or until this process is interrupted."""
        self._run_all()
        if PUSHER not in {node.id for node in self.nodes}:
            self.error = self.error or f"found no task {PUSHER}; expected one, which pushes what was blessed"

    def _run_all(self) -> None:
        waiting = list(self._spec.tasks)
        running: dict[futures.Future[Outputs | None], Task] = {}
        with futures.ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                while waiting or running:
                    for task in [task for task in waiting if self._is_ended(task.upstream)]:
                        waiting.remove(task)
                        if task.upstream <= self._given.keys():
                            running[pool.submit(self._run, task)] = task
                        else:
                            self._finish(Node(task.name, "skipped"))
                    done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
                    for each in done:
                        self._collect(each, running.pop(each))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._place.end()
                raise

    def _is_ended(self, names: set[str]) -> bool:
        return names <= {node.id for node in self.nodes}

    def _collect(self, future: "futures.Future[Outputs | None]", task: Task) -> None:
        seconds = time.monotonic() - self._starts[task.name]
        try:
            given = future.result()
        except Exception as error:  # whatever it is, it is how the task ended
            told = str(error) if isinstance(error, TaskFailedError | ValueError) else f"{type(error).__name__}: {error}"
            self.error = self.error or f"{task.name}: {told}"
            self._finish(Node(task.name, "failed", seconds))
            return
        if given is None:
            self._finish(Node(task.name, "skipped"))
            return
        self._given[task.name] = given
        if "resolver" not in task.executor:
            self._artifacts.add([artifact for each in given.values() for artifact in each])
        self._finish(Node(task.name, "ran", seconds))

    def _finish(self, node: Node) -> None:
        self.nodes.append(node)
        self._listener.node_finished(node)

    def _run(self, task: Task) -> Outputs | None:
        """What a task gave; ``None`` if its condition does not hold."""
        self._starts[task.name] = time.monotonic()
        inputs = {key: self._given[producer].get(output, []) for key, (producer, output) in task.producers.items()}
        shown = {"artifacts": {key: {"artifacts": [each.runtime for each in given]} for key, given in inputs.items()}}
        if task.condition and not holds(task.condition, shown):
            return None
        self._listener.node_started(task.name)
        if "resolver" in task.executor:
            return self._resolved(task, inputs)
        if "importer" in task.executor:
            return self._imported(task)
        return run_task(task, inputs, self._place)

    def _resolved(self, task: Task, inputs: Mapping[str, list[Artifact]]) -> Outputs:
        queries = task.executor["resolver"]["outputArtifactQueries"]
        return {key: self._artifacts.latest(query["filter"], self._spec.name, inputs) for key, query in queries.items()}

    def _imported(self, task: Task) -> Outputs:
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
