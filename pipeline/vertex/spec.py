"""Reads compiled pipelines."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from common.small_files import read_small_text
from pipeline.config.errors import UserError
from pipeline.vertex.condition import parse_condition

Json: TypeAlias = dict[str, Any]
EXPECTED = "expected a file that vertex_runner.py compile wrote"
KINDS = ("container", "resolver", "importer")
HOOK = "preCacheCheck"


class SpecError(UserError):
    """A compiled pipeline, or an option of the check, that cannot be used."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One task of a compiled pipeline.

    Attributes:
        name: Name of the task.
        spec: The ``PipelineTaskSpec``.
        component: The ``ComponentSpec``.
        executor: The ``ExecutorSpec``: ``container``, ``resolver`` or ``importer``.
    """

    name: str
    spec: Json
    component: Json
    executor: Json

    @property
    def producers(self) -> dict[str, tuple[str, str]]:
        """The task and the output that each input comes from, by input key."""
        found = {}
        for key, given in self.spec.get("inputs", {}).get("artifacts", {}).items():
            source = given["taskOutputArtifact"]
            found[key] = source["producerTask"], source["outputArtifactKey"]
        return found

    @property
    def upstream(self) -> set[str]:
        """The tasks that have to finish first."""
        return {*self.spec.get("dependentTasks", ()), *(task for task, _ in self.producers.values())}

    @property
    def outputs(self) -> dict[str, Json]:
        """The spec of each output artifact, by output key."""
        found: dict[str, Json] = self.component.get("outputDefinitions", {}).get("artifacts", {})
        return found

    @property
    def condition(self) -> str:
        """The condition under which the task runs, or an empty string if it always runs."""
        found: str = self.spec.get("triggerPolicy", {}).get("condition", "")
        return found

    @property
    def commands(self) -> list[Json]:
        """The commands of a container task: the hook, if there is one, and the container's own."""
        container = self.executor["container"]
        return [each for each in (container.get("lifecycle", {}).get(HOOK), container) if each]

    @property
    def parameters(self) -> Json:
        """Parameter values."""
        given = self.spec.get("inputs", {}).get("parameters", {})
        return {key: value["runtimeValue"]["constant"] for key, value in given.items()}


@dataclasses.dataclass(frozen=True)
class PipelineSpec:
    """A compiled pipeline.

    Attributes:
        name: Name of the pipeline.
        root: Root folder of the artifacts.
        tasks: The tasks in topological order.
    """

    name: str
    root: str
    tasks: list[Task]


def read_text(path: Path) -> str:
    """Reads the text of a compiled pipeline, and checks that it is one.

    Raises:
        SpecError: The file cannot be read, or is not a compiled pipeline.
    """
    try:
        text = read_small_text(path)
        job = json.loads(text)
        json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
        json_format.ParseDict(job["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
        version = job["pipelineSpec"]["schemaVersion"]
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}; {EXPECTED}") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: not UTF-8 at byte {error.start}; {EXPECTED}") from error
    except KeyError as error:
        raise SpecError(f"{path}: found no {error}; {EXPECTED}") from error
    except (ValueError, TypeError, RecursionError, json_format.ParseError) as error:
        raise SpecError(f"{path}: {error}; {EXPECTED}") from error
    if version != "2.1.0":
        raise SpecError(f"{path}: found pipeline spec {version}; expected 2.1.0")
    return text


def read_spec(text: str) -> PipelineSpec:
    """Parses the tasks of a compiled pipeline.

    Raises:
        SpecError: A task is incomplete, or depends on itself.
    """
    job = json.loads(text)
    spec = job["pipelineSpec"]
    try:
        tasks = {name: _task(name, task, spec) for name, task in spec["root"]["dag"]["tasks"].items()}
        for each in tasks.values():
            _check(each)
        root = job["runtimeConfig"]["gcsOutputDirectory"]
        name = spec["pipelineInfo"]["name"]
        ordered = _ordered(tasks)
    except KeyError as error:
        raise SpecError(f"the compiled pipeline lacks {error}; {EXPECTED}") from error
    except (AttributeError, TypeError) as error:  # such as null, which protocol buffers accept as unset
        raise SpecError(f"the compiled pipeline has an invalid part ({error}); {EXPECTED}") from error
    return PipelineSpec(name, root, ordered)


def _task(name: str, task: Json, spec: Json) -> Task:
    component = spec["components"][task["componentRef"]["name"]]
    return Task(name, task, component, spec["deploymentSpec"]["executors"][component["executorLabel"]])


def _check(task: Task) -> None:
    """Checks everything in a task that running it needs, so that it does not fail hours later.

    Raises:
        SpecError: The executor or the condition is of an unknown kind.
        KeyError: A part is missing.
    """
    assert task.parameters is not None  # all constants, or else a KeyError
    for output in task.outputs.values():
        assert output["artifactType"]["instanceSchema"]
    if task.condition:
        try:
            parse_condition(task.condition)
        except ValueError as error:
            raise SpecError(f"{task.name}: {error}") from error
    match [kind for kind in KINDS if kind in task.executor]:
        case ["container"]:
            if not all(each["command"] for each in task.commands):
                raise SpecError(f"{task.name}: found a container with no command; {EXPECTED}")
        case ["resolver"]:
            queries = task.executor["resolver"]["outputArtifactQueries"]
            assert all(query["filter"] is not None for query in queries.values())
        case ["importer"]:
            importer = task.executor["importer"]
            assert importer["artifactUri"]["constant"] is not None
            assert importer["typeSchema"]["instanceSchema"]
            if len(task.outputs) != 1:
                raise SpecError(f"{task.name}: found an importer of {len(task.outputs)} artifacts; expected one")
        case _:
            found = ", ".join(task.executor) or "{}"
            raise SpecError(f"{task.name}: found the executor {found}; expected one of {', '.join(KINDS)}")


def _ordered(tasks: Mapping[str, Task]) -> list[Task]:
    waiting = {name: set(task.upstream) for name, task in tasks.items()}
    ordered: list[Task] = []
    while waiting:
        ready = sorted(name for name, upstream in waiting.items() if not upstream & waiting.keys())
        missing = {each for upstream in waiting.values() for each in upstream} - tasks.keys()
        if missing:
            raise KeyError(min(missing))
        if not ready:
            raise SpecError(f"the tasks {', '.join(sorted(waiting))} depend on each other; {EXPECTED}")
        for name in ready:
            ordered.append(tasks[name])
            del waiting[name]
    return ordered
