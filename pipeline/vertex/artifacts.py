"""The artifacts of checked pipelines, and the queries that resolvers ask of them."""

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
    """What a task gave.

    Attributes:
        name: Its resource name.
        uri: Where it is.
        schema: Its type, as YAML with a ``title``.
        metadata: Its properties.
        pipeline: The pipeline that it was made in.
    """

    name: str
    uri: str
    schema: str
    metadata: Json
    pipeline: str

    @property
    def runtime(self) -> Json:
        """It as the JSON of a ``RuntimeArtifact``."""
        return {
            "name": self.name,
            "uri": self.uri,
            "type": {"instanceSchema": self.schema},
            "metadata": self.metadata,
        }


def new_name() -> str:
    """A resource name that no other artifact has."""
    return f"projects/local/locations/local/metadataStores/default/artifacts/{uuid.uuid4().int % 10**19}"


class Artifacts:
    """All artifacts of the pipelines that were checked into one folder; they outlive the check."""

    def __init__(self, folder: Path) -> None:
        """Opens them.

        Args:
            folder: Where they are kept; it is made if there is none.

        Raises:
            SpecError: The file there cannot be read.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
            self._found = [Artifact(**json.loads(line)) for line in lines]
        except (ValueError, TypeError) as error:
            raise SpecError(f"{self._path}: {error}; expected what earlier checks wrote: remove it") from error

    def add(self, artifacts: list[Artifact]) -> None:
        """Keeps artifacts, in the order in which they were made."""
        self._found += artifacts
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(dataclasses.asdict(each)) + "\n" for each in artifacts)

    def latest(self, query: str, pipeline: str, inputs: Mapping[str, list[Artifact]]) -> list[Artifact]:
        """The newest artifact of a pipeline that a resolver's query asks for, or none.

        Args:
            query: Clauses joined by ``AND``, such as ``schema_title="tfx.Model" AND state=LIVE``.
            pipeline: The pipeline; Vertex AI looks no further.
            inputs: The resolver's own, of whose metadata the query may speak.

        Raises:
            SpecError: The query has a clause that is not known.
        """
        try:
            filled = _INPUT.sub(lambda found: str(inputs[found[1]][0].metadata[found[2]]), query)
        except (IndexError, KeyError):  # nothing was found that it could ask for
            return []
        clauses = list(_clauses(filled))
        matching = [each for each in self._found if each.pipeline == pipeline and _matches(each, clauses)]
        return matching[-1:]


def _clauses(query: str) -> Iterator[tuple[str, str]]:
    for text in query.split(" AND "):
        found = _CLAUSE.fullmatch(text.strip())
        if not found:
            raise SpecError(f'found the query {query!r}; expected clauses such as schema_title="tfx.Model"')
        yield f"metadata.{found[2]}" if found[2] else found[1], found[3]


def _matches(artifact: Artifact, clauses: list[tuple[str, str]]) -> bool:
    return all(_has(artifact, key, value) for key, value in clauses)


def _has(artifact: Artifact, key: str, value: str) -> bool:
    if key == "state":
        return value == "LIVE"
    if key == "name":
        return artifact.name == value
    if key == "schema_title":
        return bool(yaml.safe_load(artifact.schema)["title"] == value)
    found: Any = artifact.metadata.get(key.removeprefix("metadata."))
    return found is not None and str(found) in (value, f"{value}.0")
