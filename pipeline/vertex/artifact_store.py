"""Artifacts of checked pipelines, and the queries of their resolvers."""

import dataclasses
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.vertex.spec import Json, SpecError

FILE = "artifacts.jsonl"
_INPUT = re.compile(r"\{\{\$\.inputs\.artifacts\['([^']+)'\]\.metadata\['([^']+)'\]\}\}")
_CLAUSE = re.compile(r'(schema_title|state|name|metadata\.(\w+)\.(?:number|string)_value)="?([^"]*)"?')


@dataclasses.dataclass(frozen=True)
class Artifact:
    """An output of a task.

    Attributes:
        name: Resource name.
        uri: Location.
        schema: Type, as YAML with a ``title``.
        metadata: Properties.
        pipeline: The pipeline that made it.
    """

    name: str
    uri: str
    schema: str
    metadata: Json
    pipeline: str

    @property
    def runtime_artifact(self) -> Json:
        """The artifact as the JSON of a ``RuntimeArtifact``."""
        return {
            "name": self.name,
            "uri": self.uri,
            "type": {"instanceSchema": self.schema},
            "metadata": self.metadata,
        }


def new_name() -> str:
    """Returns a unique resource name for an artifact."""
    return f"projects/local/locations/local/metadataStores/default/artifacts/{uuid.uuid4().int % 10**19}"


class ArtifactStore:
    """All artifacts of the pipelines that were checked with one output folder, kept in a file."""

    def __init__(self, folder: Path) -> None:
        """Opens the store.

        Args:
            folder: Folder of the store. It is created if it does not exist.

        Raises:
            SpecError: The file cannot be read.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
            self._artifacts = [Artifact(**json.loads(line)) for line in lines]
        except (ValueError, TypeError) as error:
            raise SpecError(f"{self._path}: {error}; expected the file of an earlier check: remove it") from error

    def add(self, artifacts: list[Artifact]) -> None:
        """Adds artifacts, in the order in which they were made."""
        self._artifacts += artifacts
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(dataclasses.asdict(each)) + "\n" for each in artifacts)

    def latest(self, query: str, pipeline: str, inputs: Mapping[str, list[Artifact]]) -> list[Artifact]:
        """Returns the newest artifact that matches a resolver's query, or an empty list.

        Args:
            query: Clauses joined by ``AND``, such as ``schema_title="tfx.Model" AND state=LIVE``.
            pipeline: Only artifacts of this pipeline match, as on Vertex AI.
            inputs: The resolver's inputs. The query may refer to their metadata.

        Raises:
            SpecError: The query has an unknown clause.
        """
        try:
            filled = _INPUT.sub(lambda found: str(inputs[found[1]][0].metadata[found[2]]), query)
        except (IndexError, KeyError):  # the query refers to an input that was not found
            return []
        clauses = list(_clauses(filled))
        matching = [each for each in self._artifacts if each.pipeline == pipeline and _matches(each, clauses)]
        return matching[-1:]


def _clauses(query: str) -> Iterator[tuple[str, str]]:
    for text in query.split(" AND "):
        found = _CLAUSE.fullmatch(text.strip())
        if not found:
            raise SpecError(f'found the query {query!r}; expected clauses such as schema_title="tfx.Model"')
        yield f"metadata.{found[2]}" if found[2] else found[1], found[3]


def _matches(artifact: Artifact, clauses: list[tuple[str, str]]) -> bool:
    return all(_has_value(artifact, key, value) for key, value in clauses)


def _has_value(artifact: Artifact, key: str, value: str) -> bool:
    if key == "state":
        return value == "LIVE"
    if key == "name":
        return artifact.name == value
    if key == "schema_title":
        return bool(yaml.safe_load(artifact.schema)["title"] == value)
    found: Any = artifact.metadata.get(key.removeprefix("metadata."))
    return found is not None and str(found) in (value, f"{value}.0")
