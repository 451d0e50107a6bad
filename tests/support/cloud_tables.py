"""Serves the objects of a bucket and the rows of a BigQuery table, as Google's REST APIs do."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials

Table = Mapping[str, Any]  # "schema": names and types, "rows": values


@contextmanager
def cloud_tables(objects: Mapping[str, bytes], tables: Mapping[str, Table]) -> Iterator[None]:
    """Serves objects of the bucket ``bucket`` by name, and tables by ``project.dataset.table``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            answer = _answer(unquote(url.path), parse_qs(url.query), objects, tables)
            body = answer if isinstance(answer, bytes) else json.dumps(answer or _NOT_FOUND).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        patch.setenv("BIGQUERY_EMULATOR_HOST", address)
        patch.setattr(google.auth, "default", lambda *_, **__: (AnonymousCredentials(), "project"))
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()


_NOT_FOUND = {"error": {"code": 404, "message": "Not found"}}


def _answer(
    path: str, query: Mapping[str, list[str]], objects: Mapping[str, bytes], tables: Mapping[str, Table]
) -> dict[str, Any] | bytes | None:
    download, _, rest = path.partition("/storage/v1/b/bucket/o")
    if rest or path.endswith("/o"):
        name = rest.removeprefix("/")
        if not name:
            prefix = query.get("prefix", [""])[0]
            return {"items": [_metadata(each, objects) for each in objects if each.startswith(prefix)]}
        if name not in objects:
            return None
        return objects[name] if download == "/download" else _metadata(name, objects)
    parts = path.removeprefix("/bigquery/v2/projects/").split("/")
    table = tables.get(f"{parts[0]}.{parts[2]}.{parts[4]}") if len(parts) > 4 else None
    if table is None:
        return None
    rows = [{"f": [{"v": None if each is None else str(each)} for each in row]} for row in table["rows"]]
    if parts[-1] == "data":
        return {"kind": "bigquery#tableDataList", "totalRows": str(len(rows)), "rows": rows}
    fields = [{"name": name, "type": kind, "mode": "NULLABLE"} for name, kind in table["schema"].items()]
    reference = dict(zip(("projectId", "datasetId", "tableId"), (parts[0], parts[2], parts[4]), strict=True))
    return {"tableReference": reference, "schema": {"fields": fields}, "numBytes": "1", "numRows": str(len(rows))}


def _metadata(name: str, objects: Mapping[str, bytes]) -> dict[str, Any]:
    return {"name": name, "bucket": "bucket", "size": str(len(objects[name])), "generation": "1"}
