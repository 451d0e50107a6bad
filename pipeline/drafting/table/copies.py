"""Copies a table from a bucket or from BigQuery to this machine, where ``init`` and local runs read it."""

import contextlib
import dataclasses
import fnmatch
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.remote_paths import is_remote
from custom_components.arrow_example_gen.source import TOKEN, format_of
from pipeline.drafting.errors import DraftError
from pipeline.drafting.table.location import Given, is_table_name

if TYPE_CHECKING:
    from google.cloud import storage

BIGQUERY = "bq://"
_OBJECT = re.compile(r"gs://([^/]+)(?:/(.*))?")
_TABLE = re.compile(r"bq://([a-z0-9:.-]+)\.(\w+)\.([^./]+)")
LOGIN = "log in with 'gcloud auth application-default login'"


@contextlib.contextmanager
def local_copies(given: Given, folder: Path, force: bool) -> Iterator[Given]:
    """Names files on this machine only: copies those that are elsewhere. Removes the copies if the draft fails.

    Args:
        given: What the command line says about the files.
        folder: Folder to copy into, which must not exist.
        force: Whether to replace the folder.

    Raises:
        DraftError: The table cannot be read, or the folder exists. One line that says what to do.
    """
    paths = {"data": given.data, "test": given.test}
    remote = {key: path for key, path in paths.items() if path is not None and is_remote(path)}
    with contextlib.ExitStack() as stack:
        for key, url in remote.items():
            target = folder if key == "data" else folder.with_name(f"{folder.name}_test")
            stack.enter_context(_new_folder(target, force))
            _copy(f"--{key}", url, given.pattern, target)
            path = str(_only_file(target, url))
            given = (
                dataclasses.replace(given, data=path, origin=url)
                if key == "data"
                else dataclasses.replace(given, test=path)
            )
        yield given


@contextlib.contextmanager
def _new_folder(path: Path, force: bool) -> Iterator[None]:
    """Creates a folder. If something fails in the context, it is removed, and the folder that it replaces is back."""
    if os.path.lexists(path) and not force:
        raise DraftError(f"{path}: the folder exists; give another --name, or --force to replace it")
    old = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    replaces, created = path.exists(), not path.parent.exists()
    if replaces:
        os.replace(path, old)
    try:
        path.mkdir(parents=True)
        yield
    except BaseException:
        shutil.rmtree(path.parent if created else path, ignore_errors=True)
        if replaces:
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def name_of_url(url: str) -> str:
    """The last part of a URL, without an extension that names a format.

    >>> name_of_url("gs://bucket/houses/2024.csv.gz"), name_of_url("bq://project.sales.houses")
    ('2024', 'houses')
    """
    if url.startswith(BIGQUERY):
        return url.rpartition(".")[2]
    last = url.rstrip("/").rpartition("/")[2]
    return last.removesuffix(".gz").rsplit(".", 1)[0] if format_of(last) or "." in last else last


def _copy(option: str, url: str, pattern: str | None, folder: Path) -> None:
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415 - takes a second
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        if found := _OBJECT.fullmatch(url):
            _copy_objects(option, found[1], found[2] or "", pattern, folder)
        elif found := _TABLE.fullmatch(url):
            _copy_rows(option, found[1].replace(":", "."), found[2], found[3], folder)
        else:
            raise DraftError(
                f"{option}: found {url}; expected gs://BUCKET/FOLDER, bq://PROJECT.DATASET.TABLE, or files on this "
                "machine: copy them first"
            )
    except (GoogleAPIError, GoogleAuthError, RequestException) as error:
        text = " ".join(str(getattr(error, "message", None) or error).split())
        hint = f": {LOGIN}" if isinstance(error, GoogleAuthError) else ""
        raise DraftError(f"{option}: {url}: {text}; expected a table that you may read{hint}") from error


def _copy_objects(option: str, bucket: str, name: str, pattern: str | None, folder: Path) -> None:
    """Copies an object, or those below a prefix that can be files of a table."""
    from google.cloud import storage  # noqa: PLC0415 - takes a second

    client = storage.Client()
    prefix = name if name.endswith("/") or not name else f"{name}/"
    blob = client.bucket(bucket).get_blob(name) if name and not name.endswith("/") else None
    files = (
        {name.rpartition("/")[2]: blob} if blob else _below(client.list_blobs(bucket, prefix=prefix), prefix, pattern)
    )
    if not files:
        raise DraftError(f"{option}: gs://{bucket}/{name}: found no files of a table; expected a file or a folder")
    _check_space(sum(each.size or 0 for each in files.values()), folder)
    for inside, each in files.items():
        (folder / inside).parent.mkdir(parents=True, exist_ok=True)
        each.download_to_filename(str(folder / inside))


def _below(blobs: Iterable["storage.Blob"], prefix: str, pattern: str | None) -> dict[str, "storage.Blob"]:
    """The objects below a prefix that can be files of a table, by their name without it."""
    found = {blob.name.removeprefix(prefix): blob for blob in blobs}
    return {name: blob for name, blob in found.items() if ".." not in name.split("/") and _is_file(name, pattern)}


def _is_file(name: str, pattern: str | None) -> bool:
    if pattern is not None:
        return fnmatch.fnmatchcase(name, TOKEN.sub("*", pattern))
    return "/" not in name and is_table_name(name)


def _copy_rows(option: str, project: str, dataset: str, table: str, folder: Path) -> None:
    """Writes the rows of a table in BigQuery to a Parquet file."""
    import pyarrow.parquet as pq  # noqa: PLC0415
    from google.cloud import bigquery  # noqa: PLC0415 - takes seconds

    client = bigquery.Client(project=project)
    found = client.get_table(f"{project}.{dataset}.{table}")
    _check_space(found.num_bytes or 0, folder)
    rows: Any = client.list_rows(found)
    batches = (batch for batch in rows.to_arrow_iterable() if len(batch))
    first = next(batches, None)
    if first is None:
        raise DraftError(f"{option}: bq://{project}.{dataset}.{table}: found no rows; expected at least one")
    with pq.ParquetWriter(folder / f"{table}.parquet", first.schema) as writer:
        for batch in itertools.chain([first], batches):
            writer.write_batch(batch)


def _check_space(size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DraftError(
            f"{folder}: found {free / 1e9:.1f} GB of free space; expected {size / 1e9:.1f} GB for a copy of the table"
        )


def _only_file(folder: Path, url: str) -> Path:
    """The file that the URL names, or the folder."""
    files = list(folder.iterdir())
    return files[0] if len(files) == 1 and files[0].is_file() and not url.endswith("/") else folder
