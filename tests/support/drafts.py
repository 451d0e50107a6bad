"""Drafts settings and a schema as ``python local_runner.py init`` does."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from pipeline.drafting.command import init

SAMPLES = Path(__file__).parent.parent / "pipeline/drafting/tables"


@dataclasses.dataclass(frozen=True)
class Drafted:
    """What the command printed and wrote."""

    code: int
    stdout: str
    stderr: str
    folder: Path

    @property
    def choices(self) -> dict[str, Any]:
        choices: dict[str, Any] = json.loads(self.stdout)
        return choices

    @property
    def uses(self) -> dict[str, str]:
        """Kinds of features, or another use, by column."""
        return {each["name"]: "+".join(each["kinds"]) or each["use"] for each in self.choices["columns"]}

    @property
    def reasons(self) -> dict[str, str]:
        return {each["name"]: each["reason"] for each in self.choices["columns"]}

    @property
    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = yaml.safe_load((self.folder / self.choices["config"]).read_text())
        return settings

    @property
    def schema(self) -> dict[str, Any]:
        text = (self.folder / self.choices["schema"]).read_text()
        return {each.name: each for each in text_format.Parse(text, schema_pb2.Schema()).feature}

    @property
    def files(self) -> list[str]:
        return sorted(str(each.relative_to(self.folder)) for each in self.folder.rglob("*"))


def drafted(data: Path, label: str, folder: Path, *options: str) -> Drafted:
    """Drafts a table into a folder, with the choices as JSON."""
    arguments = ["--data", str(data), "--label", label, "--into", str(folder), "--json", *options]
    result = CliRunner().invoke(init, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Drafted(result.exit_code, result.stdout, result.stderr, folder)


def table(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
