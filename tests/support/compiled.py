"""Compiled pipelines whose tasks are one line of Python each, for tests of checks."""

import json
from pathlib import Path
from typing import Any

SCHEMA = "title: tfx.Model\ntype: object\n"
BLESSING = "title: tfx.ModelBlessing\ntype: object\n"
# Names that a task's line may use: its invocation, and a function that writes its ExecutorOutput.
PROLOGUE = """
import json, pathlib, sys
invocation = json.loads(sys.argv[1])
inputs = {key: each["artifacts"] for key, each in invocation["inputs"]["artifacts"].items()}
outputs = {key: each["artifacts"][0] for key, each in invocation["outputs"]["artifacts"].items()}
file = pathlib.Path(invocation["outputs"]["outputFile"])
def write_output(**metadata):
    file.parent.mkdir(parents=True, exist_ok=True)
    artifacts = {key: {"artifacts": [{**each, "metadata": metadata}]} for key, each in outputs.items()}
    file.write_text(json.dumps({"artifacts": artifacts}))
"""


def container(line: str, hook: str = "") -> dict[str, Any]:
    """An executor that runs one line."""
    found: dict[str, Any] = {"image": "image", **_command(line)}
    if hook:
        found["lifecycle"] = {"preCacheCheck": _command(hook)}
    return {"container": found}


def _command(line: str) -> dict[str, Any]:
    return {"command": ["python", "-c", f"{PROLOGUE}\n{line}"], "args": ["{{$}}"]}


class Compiled:
    """A compiled pipeline under construction."""

    def __init__(self) -> None:
        self.tasks: dict[str, Any] = {}
        self._components: dict[str, Any] = {}
        self._executors: dict[str, Any] = {}

    def add(
        self,
        name: str,
        executor: dict[str, Any],
        inputs: dict[str, tuple[str, str]] | None = None,
        outputs: dict[str, str] | None = None,
        *,
        condition: str = "",
        parameters: dict[str, Any] | None = None,
        after: tuple[str, ...] = (),
    ) -> None:
        """Adds a task."""
        artifacts = {
            key: {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": output}}
            for key, (task, output) in (inputs or {}).items()
        }
        constants = {key: {"runtimeValue": {"constant": value}} for key, value in (parameters or {}).items()}
        task: dict[str, Any] = {
            "taskInfo": {"name": name},
            "componentRef": {"name": name},
            "inputs": {"artifacts": artifacts, "parameters": constants},
            "dependentTasks": sorted({*(task for task, _ in (inputs or {}).values()), *after}),
        }
        if condition:
            task["triggerPolicy"] = {"condition": condition}
        self.tasks[name] = task
        definitions = {key: {"artifactType": {"instanceSchema": schema}} for key, schema in (outputs or {}).items()}
        self._components[name] = {
            "executorLabel": f"{name}_executor",
            "outputDefinitions": {"artifacts": definitions},
        }
        self._executors[f"{name}_executor"] = executor

    @property
    def job(self) -> dict[str, Any]:
        """The ``PipelineJob``."""
        return {
            "displayName": "toy",
            "pipelineSpec": {
                "pipelineInfo": {"name": "toy"},
                "schemaVersion": "2.1.0",
                "sdkVersion": "tfx",
                "root": {"dag": {"tasks": self.tasks}},
                "components": self._components,
                "deploymentSpec": {"executors": self._executors},
            },
            "runtimeConfig": {"gcsOutputDirectory": "gs://bucket/toy/artifacts"},
        }

    def write(self, path: Path) -> Path:
        """Writes the file; returns its path."""
        path.write_text(json.dumps(self.job))
        return path
