"""Writes a draft, but only if it passes the checks before a run."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.config.errors import UserError
from pipeline.config.loading import load_config
from pipeline.drafting.choices.features import names
from pipeline.drafting.draft import Draft
from pipeline.drafting.errors import DraftError
from pipeline.drafting.output.schema import draft_schema
from pipeline.drafting.output.settings_text import settings_text
from pipeline.drafting.table.location import project_path
from pipeline.preflight.preflight import preflight


class Saved(NamedTuple):
    """What was written.

    Attributes:
        settings: The settings.
        schema: The schema.
        warnings: What the checks before a run warn about, one line each.
    """

    settings: Path
    schema: Path
    warnings: tuple[str, ...]


def paths(name: str, folder: Path) -> tuple[Path, Path]:
    """Where the settings and the schema of a problem go."""
    return folder / f"configs/{name}.yaml", folder / f"schema/{name}/schema.pbtxt"


def check_new(name: str, folder: Path, force: bool) -> None:
    """Checks that a draft would overwrite nothing.

    Raises:
        DraftError: A file exists.
    """
    for path in () if force else paths(name, folder):
        if os.path.lexists(path):
            raise DraftError(
                f"{project_path(str(path))}: the file exists; give another --name, or --force to replace it"
            )


def save(draft: Draft, folder: Path, force: bool) -> Saved:
    """Writes the settings and the schema, both or none, after checking them as a run does.

    Raises:
        DraftError: A file exists, or cannot be written.
        UserError: The draft does not pass the checks.
    """
    settings, schema = paths(draft.name, folder)
    classes = {draft.target.column.name: tuple(draft.target.classes)}
    missing = draft.target.column.missing
    weights = names(draft.choices, {"weight"})
    schema_text = draft_schema(draft.columns, draft.read.rows, classes, missing, not draft.split, weights)
    try:
        with _temporary(schema, schema_text) as new_schema:
            with _temporary(settings, settings_text(draft, project_path(str(new_schema)))) as checked:
                warnings = _check(checked, settings)
            with _temporary(settings, settings_text(draft, project_path(str(schema)))) as new_settings:
                check_new(draft.name, folder, force)
                os.replace(new_schema, schema)
                os.replace(new_settings, settings)
    except OSError as error:
        raise DraftError(f"{error.filename or folder}: {error.strerror}; expected a folder to write to") from error
    return Saved(settings, schema, warnings)


def _check(written: Path, settings: Path) -> tuple[str, ...]:
    """Checks settings as a run does, and returns its warnings. Errors name the file that they are for."""
    try:
        return preflight(load_config(written), settings).warnings
    except UserError as error:
        raise DraftError(str(error).replace(str(written), project_path(str(settings)))) from error


@contextlib.contextmanager
def _temporary(path: Path, text: str) -> Iterator[Path]:
    """A new file with a text next to ``path``. Removes it at the end, and the folders that this leaves empty."""
    created = [each for each in path.parents if not each.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(text, encoding="utf-8")
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a folder that is not empty
            for each in created:
                each.rmdir()
