"""Runs one task of a compiled pipeline on this machine, with the command that Vertex AI would run."""

import contextlib
import dataclasses
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.child_processes import child_environment, ending_with_this_process, exit_description
from common.logs import last_error
from common.project import ROOT
from pipeline.beam.arguments import BATCH_BY_SIZE, local_args
from pipeline.config.beam import Beam
from pipeline.vertex.artifact_store import Artifact, new_name
from pipeline.vertex.spec import Json, Task

INVOCATION = "{{$}}"
PLACEHOLDER = re.compile(r"\{\{\$[^}]*\}\}")
ENTRY_POINT = ("--executor_class_path", "--json_serialized_invocation_args", "--json_serialized_inputs_spec_args")
DATAFLOW = "--runner=DataflowRunner"
OUTPUT_FILE = "executor_output.json"


class TaskFailedError(RuntimeError):
    """A task failed. The message is one line."""


@dataclasses.dataclass(frozen=True)
class TaskEnvironment:
    """Folders, variables and running processes that the tasks of one check share.

    Attributes:
        pipeline: Name of the pipeline.
        root: Root folder of the artifacts.
        logs: Folder with one log per task.
        variables: Environment variables, in addition to those of this process.
        running: Processes of the tasks that are running.
        killed: Set once no more tasks may run.
    """

    pipeline: str
    root: Path
    logs: Path
    variables: Mapping[str, str]
    running: set["subprocess.Popen[bytes]"] = dataclasses.field(default_factory=set)
    killed: threading.Event = dataclasses.field(default_factory=threading.Event)

    def kill(self) -> None:
        """Kills the running tasks with their child processes, and any task that another thread is about to start."""
        self.killed.set()
        for process in list(self.running):
            _kill(process)


def run_task(
    task: Task, inputs: Mapping[str, list[Artifact]], environment: TaskEnvironment
) -> dict[str, list[Artifact]]:
    """Runs a container's hook, if it has one, and its command.

    Output folders are not created, since buckets have no folders.

    Args:
        task: The task.
        inputs: Its artifacts by input key.
        environment: Where it runs.

    Returns:
        Its artifacts by output key.

    Raises:
        TaskFailedError: The task failed.
    """
    folder = environment.root / task.name
    outputs = {
        key: Artifact(
            name=new_name(),
            uri=str(folder / key),
            schema=spec["artifactType"]["instanceSchema"],
            metadata=dict(spec.get("metadata", {})),
            pipeline=environment.pipeline,
        )
        for key, spec in task.outputs.items()
    }
    parameters, output_file = task.parameters, folder / OUTPUT_FILE
    for command in task.commands:
        invocation = _invocation(parameters, inputs, outputs, output_file)
        _run(task.name, _command_line(command, invocation), environment)
        outputs, parameters = _with_executor_output(outputs, parameters, output_file)
    return {key: [artifact] for key, artifact in outputs.items()}


def _invocation(
    parameters: Json, inputs: Mapping[str, list[Artifact]], outputs: Mapping[str, Artifact], output_file: Path
) -> str:
    """Returns the ``ExecutorInput`` as JSON."""
    input_artifacts = {
        key: {"artifacts": [each.runtime_artifact for each in artifacts]} for key, artifacts in inputs.items()
    }
    return json.dumps(
        {
            "inputs": {"parameterValues": parameters, "artifacts": input_artifacts},
            "outputs": {
                "artifacts": {key: {"artifacts": [each.runtime_artifact]} for key, each in outputs.items()},
                "outputFile": str(output_file),
            },
        }
    )


def _command_line(command: Json, invocation: str) -> list[str]:
    """Returns Vertex AI's command, with this Python interpreter, and with a local Beam runner instead of Dataflow."""
    program, *rest = command["command"]
    arguments = [invocation if each == INVOCATION else each for each in command.get("args", ())]
    unknown = [each for each in arguments if each != invocation and PLACEHOLDER.search(each)]
    if unknown:
        raise TaskFailedError(
            f"found the placeholder {PLACEHOLDER.findall(unknown[0])[0]}; expected no other than {INVOCATION}"
        )
    if DATAFLOW in arguments:
        arguments = _without_dataflow(arguments)
    return [sys.executable if program == "python" else program, *rest, *arguments]


def _without_dataflow(arguments: Sequence[str]) -> list[str]:
    kept: list[str] = []
    for flag, value in itertools.pairwise(arguments):
        if flag in ENTRY_POINT:
            kept += [flag, value]
    return [*kept, *local_args(Beam()), BATCH_BY_SIZE]


def _run(name: str, command: Sequence[str], environment: TaskEnvironment) -> None:
    log = environment.logs / f"{name}.log"
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(  # noqa: S603 - the compiled pipeline's own command
            ending_with_this_process(command),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=child_environment({"PYTHONPATH": str(ROOT), **environment.variables}),
            start_new_session=True,
        )
        environment.running.add(process)
        if environment.killed.is_set():  # it may have started after kill() listed the running processes
            _kill(process)
        code = process.wait()
        environment.running.discard(process)
    if code:
        # A process that was stopped by a signal has not logged why.
        cause = exit_description(code) if code < 0 else last_error(log) or f"failed with exit code {code}"
        raise TaskFailedError(f"{cause}; full log: {log}")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _with_executor_output(
    outputs: Mapping[str, Artifact], parameters: Json, output_file: Path
) -> tuple[dict[str, Artifact], Json]:
    """Updates outputs and parameters with the ``ExecutorOutput`` that a command wrote, if it wrote one.

    Raises:
        TaskFailedError: The file is not a valid ``ExecutorOutput``.
    """
    if not output_file.exists():
        return dict(outputs), parameters
    updated = dict(outputs)
    try:
        executor_output = json.loads(output_file.read_text(encoding="utf-8"))
        for key, listed in executor_output.get("artifacts", {}).items():
            [artifact] = listed["artifacts"]
            metadata = {**outputs[key].metadata, **artifact.get("metadata", {})}
            uri = artifact.get("uri", outputs[key].uri)
            updated[key] = dataclasses.replace(outputs[key], uri=uri, metadata=metadata)
        return updated, {**parameters, **executor_output.get("parameterValues", {})}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise TaskFailedError(
            f"{output_file}: expected an ExecutorOutput of the task's artifacts ({error!r})"
        ) from error
