"""Runs one task of a compiled pipeline here, by the command that Vertex AI would run."""

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

from cloud.logs import last_error
from common.project import ROOT
from pipeline.beam.arguments import BATCH_BY_SIZE, local_args
from pipeline.config.settings import Beam
from pipeline.vertex.artifacts import Artifact, new_name
from pipeline.vertex.spec import Json, Task

INVOCATION = "{{$}}"
PLACEHOLDER = re.compile(r"\{\{\$[^}]*\}\}")
ENTRY_POINT = ("--executor_class_path", "--json_serialized_invocation_args", "--json_serialized_inputs_spec_args")
DATAFLOW = "--runner=DataflowRunner"
OUTPUT_FILE = "executor_output.json"


class TaskFailedError(RuntimeError):
    """A task failed; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the tasks of one check run.

    Attributes:
        pipeline: The pipeline's name.
        root: Below which they write their artifacts.
        logs: Folder of a log a task.
        environment: Variables that they find beside this process' own.
        running: Those of them that run.
        ended: Set once no more of them may.
    """

    pipeline: str
    root: Path
    logs: Path
    environment: Mapping[str, str]
    running: set["subprocess.Popen[bytes]"] = dataclasses.field(default_factory=set)
    ended: threading.Event = dataclasses.field(default_factory=threading.Event)

    def end(self) -> None:
        """Ends the tasks that run, with the processes that they started, and those that another thread yet starts."""
        self.ended.set()
        for process in list(self.running):
            _kill(process)


def run_task(task: Task, inputs: Mapping[str, list[Artifact]], place: Place) -> dict[str, list[Artifact]]:
    """Runs a container's hook, if it has one, and its command.

    The folders of its outputs are not made: in a bucket there are none.

    Args:
        task: The task.
        inputs: Its artifacts by input.
        place: Where it runs.

    Returns:
        What it gave, by output.

    Raises:
        TaskFailedError: It ended with an error.
    """
    folder = place.root / task.name
    outputs = {
        key: Artifact(
            name=new_name(),
            uri=str(folder / key),
            schema=spec["artifactType"]["instanceSchema"],
            metadata=dict(spec.get("metadata", {})),
            pipeline=place.pipeline,
        )
        for key, spec in task.outputs.items()
    }
    parameters, output_file = task.parameters, folder / OUTPUT_FILE
    for command in task.commands:
        invocation = _invocation(parameters, inputs, outputs, output_file)
        _run(task.name, _line(command, invocation), place)
        outputs, parameters = _after(outputs, parameters, output_file)
    return {key: [artifact] for key, artifact in outputs.items()}


def _invocation(
    parameters: Json, inputs: Mapping[str, list[Artifact]], outputs: Mapping[str, Artifact], output_file: Path
) -> str:
    """The ``ExecutorInput`` as JSON."""
    return json.dumps(
        {
            "inputs": {
                "parameterValues": parameters,
                "artifacts": {key: {"artifacts": [each.runtime for each in given]} for key, given in inputs.items()},
            },
            "outputs": {
                "artifacts": {key: {"artifacts": [each.runtime]} for key, each in outputs.items()},
                "outputFile": str(output_file),
            },
        }
    )


def _line(command: Json, invocation: str) -> list[str]:
    """What is run: Vertex AI's command, with this interpreter, and with Beam here where it asks for Dataflow."""
    program, *rest = command["command"]
    arguments = [invocation if each == INVOCATION else each for each in command.get("args", ())]
    unknown = [each for each in arguments if each != invocation and PLACEHOLDER.search(each)]
    if unknown:
        raise TaskFailedError(
            f"found the placeholder {PLACEHOLDER.findall(unknown[0])[0]}; expected {INVOCATION} alone"
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


def _run(name: str, line: Sequence[str], place: Place) -> None:
    log = place.logs / f"{name}.log"
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(  # noqa: S603 - the compiled pipeline's own command
            line,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, "PYTHONPATH": str(ROOT), **place.environment},
            start_new_session=True,
        )
        place.running.add(process)
        if place.ended.is_set():  # it may have begun behind the look of Place.end
            _kill(process)
        code = process.wait()
        place.running.discard(process)
    if code:
        raise TaskFailedError(f"{last_error(log) or f'ended with exit code {code}'}; the log: {log}")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _after(outputs: Mapping[str, Artifact], parameters: Json, output_file: Path) -> tuple[dict[str, Artifact], Json]:
    """Outputs and parameters with what a command says of them in its ``ExecutorOutput``.

    Raises:
        TaskFailedError: It wrote something else.
    """
    if not output_file.exists():
        return dict(outputs), parameters
    found = dict(outputs)
    try:
        said = json.loads(output_file.read_text(encoding="utf-8"))
        for key, given in said.get("artifacts", {}).items():
            [artifact] = given["artifacts"]
            metadata = {**outputs[key].metadata, **artifact.get("metadata", {})}
            found[key] = dataclasses.replace(outputs[key], uri=artifact.get("uri", outputs[key].uri), metadata=metadata)
        return found, {**parameters, **said.get("parameterValues", {})}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise TaskFailedError(f"{output_file}: found no ExecutorOutput of its artifacts ({error!r})") from error
