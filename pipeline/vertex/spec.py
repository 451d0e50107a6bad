"""Reads a compiled pipeline."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.config.errors import UserError
from pipeline.vertex.condition import parsed

Json: TypeAlias = dict[str, Any]
EXPECTED = "expected a file that vertex_runner.py compile wrote"
KINDS = ("container", "resolver", "importer")
HOOK = "preCacheCheck"


class SpecError(UserError):
    """A compiled pipeline that cannot be used."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One task of a compiled pipeline.

    Attributes:
        name: Its name.
        spec: Its ``PipelineTaskSpec``.
        component: Its ``ComponentSpec``.
        executor: Its ``ExecutorSpec``: ``container``, ``resolver`` or ``importer``.
    """

    name: str
    spec: Json
    component: Json
    executor: Json

    @property
    def producers(self) -> dict[str, tuple[str, str]]:
        """By input, the task and the output that it takes its artifact from."""
        found = {}
        for key, given in self.spec.get("inputs", {}).get("artifacts", {}).items():
            source = given["taskOutputArtifact"]
            found[key] = source["producerTask"], source["outputArtifactKey"]
        return found

    @property
    def upstream(self) -> set[str]:
        """The tasks that have to end before it."""
        return {*self.spec.get("dependentTasks", ()), *(task for task, _ in self.producers.values())}

    @property
    def outputs(self) -> dict[str, Json]:
        """By output, its artifact's spec."""
        found: dict[str, Json] = self.component.get("outputDefinitions", {}).get("artifacts", {})
        return found

    @property
    def condition(self) -> str:
        """What has to hold for it to run; empty if it always does."""
        found: str = self.spec.get("triggerPolicy", {}).get("condition", "")
        return found

    @property
    def commands(self) -> list[Json]:
        """Of a container: its hook, if it has one, and itself."""
        container = self.executor["container"]
        return [each for each in (container.get("lifecycle", {}).get(HOOK), container) if each]

    @property
    def parameters(self) -> Json:
        """Its parameters' values."""
        given = self.spec.get("inputs", {}).get("parameters", {})
        return {key: value["runtimeValue"]["constant"] for key, value in given.items()}


@dataclasses.dataclass(frozen=True)
class Spec:
    """A compiled pipeline.

    Attributes:
        name: The pipeline's.
        root: Below which artifacts are written.
        tasks: In an order in which each comes behind all that it needs.
    """

    name: str
    root: str
    tasks: list[Task]


def read_text(path: Path) -> str:
    """A compiled pipeline's text, once it is known to be one.

    Raises:
        SpecError: There is no such file, or it is no compiled pipeline.
    """
    try:
        text = path.read_text(encoding="utf-8")
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
    except (ValueError, TypeError, json_format.ParseError) as error:
        raise SpecError(f"{path}: {error}; {EXPECTED}") from error
    if version != "2.1.0":
        raise SpecError(f"{path}: found pipeline spec {version}; expected 2.1.0")
    return text


def read_spec(text: str) -> Spec:
    """Reads the tasks of a compiled pipeline.

    Raises:
        SpecError: A task is not whole, or needs itself.
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
        raise SpecError(f"the compiled pipeline speaks of {error}, which is not there; {EXPECTED}") from error
    except (AttributeError, TypeError) as error:  # of null, say, which protocol buffers take for what is left out
        raise SpecError(f"the compiled pipeline has a part that is none ({error}); {EXPECTED}") from error
    return Spec(name, root, ordered)


def _task(name: str, task: Json, spec: Json) -> Task:
    component = spec["components"][task["componentRef"]["name"]]
    return Task(name, task, component, spec["deploymentSpec"]["executors"][component["executorLabel"]])


def _check(task: Task) -> None:
    """Looks at all of a task that running it reads, so that none fails for it hours later.

    Raises:
        SpecError: It is of a kind, or has a condition, that is not known.
        KeyError: Something is missing.
    """
    assert task.parameters is not None  # all of them constants: a KeyError tells of others
    for output in task.outputs.values():
        assert output["artifactType"]["instanceSchema"]
    if task.condition:
        try:
            parsed(task.condition)
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
            found = ", ".join(task.executor) or "nothing"
            raise SpecError(f"{task.name}: found {found} as what it runs; expected one of {', '.join(KINDS)}")


def _ordered(tasks: Mapping[str, Task]) -> list[Task]:
    waiting = {name: set(task.upstream) for name, task in tasks.items()}
    ordered: list[Task] = []
    while waiting:
        ready = sorted(name for name, upstream in waiting.items() if not upstream & waiting.keys())
        missing = {each for upstream in waiting.values() for each in upstream} - tasks.keys()
        if missing:
            raise KeyError(min(missing))
        if not ready:
            raise SpecError(f"the tasks {', '.join(sorted(waiting))} need each other; {EXPECTED}")
        for name in ready:
            ordered.append(tasks[name])
            del waiting[name]
    return ordered
