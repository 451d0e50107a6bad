import gzip
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from server_process import Embedded, Server, embedded

from serving.protocols import http_server

PREDICT, CLASSIFY, REGRESS = (f"/v1/models/tiny:{method}" for method in ("predict", "classify", "regress"))
INVALID_UTF8 = "JSON Parse error: Invalid encoding in string"


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Server:
    return shared_server


@pytest.fixture(scope="module")
def impatient(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A server with a short timeout."""
    folder = tmp_path_factory.mktemp("impatient")
    (folder / "base").mkdir()
    (folder / "base/1").symlink_to(tiny)
    flags = ["--model_name=tiny", f"--model_base_path={folder / 'base'}", "--rest_api_timeout_in_ms=500"]
    server = embedded(folder, *flags)
    server.server.start()
    yield server
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_server, "LAST_REQUEST_SECONDS", 0.1)
        server.stop()


def test_curl_sends_rows_and_columns(server: Server) -> None:
    url = f"http://127.0.0.1:{server.rest_port}{PREDICT}"
    for body, expected in (
        ('{"instances": [1.0, 2.0]}', {"predictions": [2.5, 3.0]}),
        ('{"inputs": {"x": [1.0, 2.0]}}', {"outputs": [2.5, 3.0]}),
    ):
        output = subprocess.run(["curl", "-sf", url, "-d", body], capture_output=True, text=True, check=True).stdout
        assert json.loads(output) == expected


def test_large_bodies_are_converted_as_small_ones_are(server: Server) -> None:
    rows = 60_000
    pieces = [f"{place}.{place % 7}25" for place in range(rows)]
    body = f'{{"inputs": [{", ".join(pieces)}]}}'
    status, content, headers = server.rest_headers("POST", PREDICT, body, Origin="http://a")
    small = [
        server.rest("POST", PREDICT, f'{{"inputs": [{", ".join(pieces[start : start + 10_000])}]}}')[1]
        for start in range(0, rows, 10_000)
    ]
    texts = [each.decode().partition("[")[2].rpartition("]")[0].strip() for each in (content, *small)]
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert texts[0] == ", ".join(texts[1:])
    assert any("serving.rest_json.worker" in each.cmdline() for each in psutil.Process(server.process.pid).children())
    broken = body.replace(" 30000.", ' "30000".')
    assert server.rest("POST", PREDICT, broken)[0] == 400
    wrong = body.replace(" 30000.525,", ' "a",')
    message = 'JSON Value: "a" Type: String is not of expected type: float'
    assert server.rest("POST", PREDICT, wrong) == (400, json.dumps({"error": message}).encode())
    examples = json.dumps({"signature_name": "regress", "examples": [{"x": 0.5}] * 30_000})
    assert server.rest("POST", REGRESS, examples)[1].count(b"2.25") == 30_000


@pytest.mark.parametrize(
    "path",
    [
        PREDICT,
        "/v1/models/tiny/versions/3:predict",
        "/V1/MODELS/tiny:PREDICT",
        "/v1/models/t%69ny:predict",
        f"{PREDICT}?pretty=1",
    ],
)
def test_paths_select_the_model(server: Server, path: str) -> None:
    assert server.json("POST", path, {"instances": [1.0]}) == (200, {"predictions": [2.5]})


def test_unknown_flag_is_reported_and_ignored(server: Server) -> None:
    assert "unknown argument: --no_such_flag=1" in server.log.read_text()


def test_responses_and_errors_are_json_and_other_pages_are_html(server: Server) -> None:
    for method, path, body, status, kind in (
        ("POST", PREDICT, '{"instances": [1]}', 200, "application/json"),
        ("GET", "/v1/models/tiny", None, 200, "application/json"),
        ("POST", PREDICT, "{", 400, "application/json"),
        ("GET", "/v1/models/nope", None, 404, "application/json"),
        ("GET", "/v2/models/tiny", None, 404, "text/html"),
    ):
        found, _, headers = server.rest_headers(method, path, body)
        assert (found, headers["Content-Type"].partition(";")[0]) == (status, kind)


def test_several_outputs_are_named_and_bytes_are_base64(server: Server) -> None:
    body = {"signature_name": "two", "instances": [{"x": 1, "s": {"b64": "/wA="}}, {"x": 2, "s": "a"}]}
    rows = [{"text_bytes": {"b64": "/wA="}, "total": 3.0}, {"text_bytes": {"b64": "YQ=="}, "total": 4.0}]
    assert server.json("POST", PREDICT, body) == (200, {"predictions": rows})


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"instances": [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]}, {"predictions": [[21.0], [43.0]]}),
        ({"instances": [{"a": [1.0], "b": 2.0}]}, {"predictions": [[21.0]]}),
        ({"inputs": {"a": [1.0, 3.0], "b": [2.0, 4.0]}}, {"outputs": [[21.0], [43.0]]}),
        ({"inputs": {"a": [1.0, 3.0], "b": [[2.0], [4.0]]}}, {"outputs": [[21.0], [43.0]]}),
    ],
)
def test_columns_may_be_flat(server: Server, body: dict[str, Any], answer: dict[str, Any]) -> None:
    assert server.json("POST", "/v1/models/types:predict", {"signature_name": "columns", **body}) == (200, answer)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"a": [[1, 2], [3, 4]], "b": [1, 2]}, "Input a has the shape [2,2]; expected [N,1]. Matrix size-incompatible"),
        ({"a": 1, "b": [1]}, "Input a has the shape []; expected [N,1]. ConcatOp : "),
        ({"a": [1, 2], "b": [[1]]}, "Inputs differ in their number of rows: a has 2, b has 1. ConcatOp : "),
    ],
)
def test_error_names_the_input_and_its_shape(server: Server, inputs: dict[str, Any], message: str) -> None:
    status, answer = server.json("POST", "/v1/models/types:predict", {"signature_name": "columns", "inputs": inputs})
    assert (status, answer["error"][: len(message)]) == (400, message)
    assert "node" not in answer["error"]


def test_classify_and_regress_take_examples(server: Server) -> None:
    examples = {"signature_name": "classify", "examples": [{"x": 1.0}]}
    status, answer = server.json("POST", "/v1/models/tiny:classify", examples)
    assert (status, answer) == (200, {"results": [[["low", -1.5], ["high", 2.5]]]})
    context = {"signature_name": "regress", "context": {"x": 8.0}, "examples": [{}, {"x": [2.0]}]}
    assert server.json("POST", "/v1/models/tiny:regress", context) == (200, {"results": [6.0, 3.0]})


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", PREDICT, "", 400, "JSON Parse error: The document is empty"),
        ("POST", PREDICT, "{", 400, "JSON Parse error: "),
        ("POST", PREDICT, " \n", 400, "JSON Parse error: The document is empty"),
        ("POST", PREDICT, "x", 400, "JSON Parse error: Invalid value. at offset: 0"),
        ("POST", PREDICT, '{"\xe9": x}', 400, "JSON Parse error: Invalid value. at offset: 6"),
        ("POST", PREDICT, "{1}", 400, "JSON Parse error: Missing a name for object member. at offset: 1"),
        ("POST", PREDICT, '{"a": [1 2]}', 400, "Missing a comma or ] after an array element. at offset: 9"),
        ("POST", PREDICT, '{"a": 1 2}', 400, "Missing a comma or } after an object member. at offset: 8"),
        ("POST", PREDICT, '{"instances": ["a"]}', 400, "is not of expected type: float"),
        ("POST", PREDICT, '{"signature_name": "no", "instances": [1]}', 400, 'name: "no" not found in signature def'),
        ("POST", PREDICT, '{"signature_name": "scalar", "instances": [1]}', 400, "has no shape information"),
        ("POST", "/v1/models/nope:predict", '{"instances": [1]}', 404, "Servable not found for request: Latest(nope)"),
        ("POST", "/v1/models/tiny/versions/9:predict", '{"instances": [1]}', 404, "for request: Specific(tiny, 9)"),
        (
            "POST",
            "/v1/models/tiny/labels/x:predict",
            '{"instances": [1]}',
            400,
            "Unrecognized servable version label: x",
        ),
        ("POST", "/v1/models/tiny:regress", '{"signature_name": "regress"}', 400, "key 'examples' is expected"),
        ("POST", "/v1/models/tiny:regress", '{"examples": []}', 400, "'examples' value is an empty array"),
        ("POST", "/v1/models/tiny:regress", '{"examples": 1}', 400, "Expecting 'examples' value to be an list/array"),
        (
            "POST",
            "/v1/models/tiny:regress",
            '{"examples": [1]}',
            400,
            "Example must be JSON object but got JSON Number",
        ),
        ("POST", "/v1/models/tiny:regress", '{"examples": [{"x": null}]}', 400, "unexpected JSON type: Null"),
        ("POST", "/v1/models/tiny:regress", '{"examples": [{"x": [1, 2.0]}]}', 400, "expecting type: int64"),
        ("POST", "/v1/models/tiny:regress", '{"examples": [{"x": 18446744073709551615}]}', 400, "uint64 element"),
        ("GET", "/v1/models", None, 400, "Missing model name in request."),
        ("GET", "/v1/models/nope", None, 404, "Could not find any versions of model nope"),
        ("GET", "/v1/models/tiny/versions/9223372036854775808", None, 400, "Failed to convert version: 92233720368547"),
        ("GET", f"/v1/models/tiny/versions/{'9' * 5000}", None, 400, "Failed to convert version: 9999"),
        ("GET", "/v1/models/tiny%0A/x", None, 400, "Malformed request: GET /v1/models/tiny%0A/x"),
        ("POST", PREDICT, '{"instances": [' + "9" * 5000 + "]}", 400, "JSON Parse error: Number too big to be"),
        ("POST", PREDICT, r'{"instances": ["\ud800"]}', 400, "JSON Parse error: The surrogate pair in string is inval"),
        ("POST", PREDICT, r'{"signature_name": "\ud800", "instances": [1]}', 400, "JSON Parse error"),
        ("POST", PREDICT, '{"instances": ' + "[" * 80 + "1" + "]" * 80 + "}", 400, "cannot be converted to a tensor"),
        (
            "POST",
            PREDICT,
            '{"signature_name": "two", "instances": [{"b64": "YQ=="}]}',
            400,
            "expecting list of objects",
        ),
        ("GET", PREDICT, None, 400, f"Malformed request: GET {PREDICT}"),
        ("DELETE", "/v1/models/tiny", None, 400, "Malformed request: DELETE /v1/models/tiny"),
        ("POST", "/v1/models/tiny:explain", "{}", 400, "Malformed request: POST /v1/models/tiny:explain"),
        ("POST", "/v1/models/tiny:multiInference", "{}", 400, "Malformed request: POST /v1/models/tiny:multiInference"),
        ("GET", "/v1/models/tiny/versions/x", None, 400, "Malformed request: GET /v1/models/tiny/versions/x"),
        ("GET", "/v1/models/tiny/versions/-3", None, 400, "Malformed request: GET /v1/models/tiny/versions/-3"),
        ("GET", "/v1/other", None, 400, "Malformed request: GET /v1/other"),
        (
            "POST",
            "/v1/models/tiny:classify",
            '{"signature_name": "nope", "examples": [{}]}',
            400,
            "No signature was found with the name: nope",
        ),
        ("OPTIONS", PREDICT, None, 400, f"Malformed request: OPTIONS {PREDICT}"),
        # http.client writes a body's \xff as that one byte.
        ("POST", PREDICT, '{"signature_name": "\xff", "instances": [1]}', 400, "not found in signature def"),
        ("POST", PREDICT, '{"instances": [{"\xff": 1}]}', 400, "does not have named input"),
        ("POST", CLASSIFY, '{"signature_name": "\xff", "examples": [{}]}', 400, f"{INVALID_UTF8} at offset: 20"),
        ("POST", REGRESS, '{"signature_name": "\xff", "examples": [{}]}', 400, f"{INVALID_UTF8} at offset: 20"),
        ("POST", REGRESS, '{"examples": [{"\xff": 1}]}', 400, f"{INVALID_UTF8} at offset: 16"),
        ("POST", REGRESS, '{"context": {"a\xff": 1}, "examples": [{}]}', 400, f"{INVALID_UTF8} at offset: 14"),
        ("POST", REGRESS, r'{"examples": [{"\udcff": 1}]}', 400, f"{INVALID_UTF8} at offset: 0"),
        ("GET", "/v1/models/%ff", None, 404, "Could not find any versions of model \ufffd"),
        ("POST", "/v1/models/%ff:predict", "{}", 404, "Servable not found for request: Latest(\ufffd)"),
        ("GET", "/v1/models/tiny/labels/%ff/metadata", None, 400, "Unrecognized servable version label: \ufffd"),
    ],
)
def test_errors_have_tensorflow_servings_code_and_text(
    server: Server, method: str, path: str, body: str | None, status: int, message: str
) -> None:
    found, answer = server.rest(method, path, body)
    assert found == status
    assert list(json.loads(answer)) == ["error"]
    assert message in json.loads(answer)["error"]


def test_values_need_not_be_utf8(server: Server) -> None:
    body = b'{"signature_name": "two", "inputs": {"x": [1.0], "s": ["\xff"]}}'
    assert server.rest("POST", PREDICT, body)[1].split() == (
        b'{ "outputs": {"text_bytes": [{"b64": "/w=="}], "total": [3.0]} }'.split()
    )
    text = b'{"signature_name": "regress", "examples": [{"x": 1.0, "text": "\xff"}]}'
    assert server.rest("POST", REGRESS, text)[0] == 200


def test_other_paths_are_an_html_page(server: Server) -> None:
    status, answer = server.rest("GET", "/")
    assert (status, answer[:6]) == (404, b"<HTML>")


def test_status_includes_default_values(server: Server) -> None:
    version = {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/tiny", "/v1/models/tiny/versions/3"):
        assert server.json("GET", path) == (200, {"model_version_status": [version]})


def test_metadata_lists_the_signatures_with_proto_field_names(server: Server) -> None:
    status, answer = server.json("GET", "/v1/models/tiny/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "tiny", "signature_name": "", "version": "3"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert "__saved_model_init_op" in signatures
    taken = signatures["serving_default"]["inputs"]["x"]
    assert taken["dtype"] == "DT_FLOAT"
    assert taken["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}


def test_gzip_body_is_decompressed(server: Server) -> None:
    body = gzip.compress(b'{"instances": [1.0]}')
    assert server.rest("POST", PREDICT, body, Content_Encoding="gzip")[0] == 200
    assert server.rest("POST", PREDICT, b"not gzip", Content_Encoding="gzip")[0] == 400


@pytest.mark.parametrize("compressed", [False, True])
def test_body_over_the_limit_is_rejected(server: Server, compressed: bool) -> None:
    body = b'{"instances": [' + b"1.0," * 2_500_000 + b"1.0]}"  # 10 MB
    headers = {"Content_Encoding": "gzip"} if compressed else {}
    try:
        status, answer = server.rest("POST", PREDICT, gzip.compress(body, 1) if compressed else body, **headers)
        assert status == 413
        assert "larger than 1000000 bytes" in json.loads(answer)["error"]
    except (BrokenPipeError, ConnectionResetError):
        assert not compressed  # the server may close the connection before it has read everything
    assert server.json("POST", PREDICT, {"instances": [1.0]})[0] == 200


def test_request_that_takes_too_long_times_out(impatient: Embedded) -> None:
    wait = {"signature_name": "wait", "instances": [1.0]}
    assert impatient.json("POST", PREDICT, wait)[0] == 504
    assert impatient.json("POST", PREDICT, {"instances": [1.0]})[0] == 200
    assert impatient.json("POST", PREDICT, {"signature_name": "release", "instances": [1.0]})[0] == 200


def test_cors_headers_are_sent_to_other_origins(server: Server) -> None:
    url = f"http://127.0.0.1:{server.rest_port}{PREDICT}"
    line = ["curl", "-si", "-X", "OPTIONS", url, "-H", "Origin: http://elsewhere"]
    output = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert output.startswith("HTTP/1.1 200")
    assert "Access-Control-Allow-Origin: *" in output
    assert "Access-Control-Allow-Methods: POST, GET\n" in output
    _, _, headers = server.rest_headers("POST", PREDICT, '{"instances": [1]}', Origin="http://elsewhere")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Origin" not in server.rest_headers("POST", PREDICT, '{"instances": [1]}')[2]


def test_metrics_have_tensorflow_servings_names(server: Server) -> None:
    server.json("POST", PREDICT, {"instances": [1.0]})
    server.rest("POST", PREDICT, "{")
    server.json("POST", PREDICT, {"instances": ["a"]})
    server.json("POST", PREDICT, {"signature_name": "invented", "instances": ["a"]})
    status, page = server.rest("GET", "/monitoring/prometheus/metrics")
    assert status == 200
    lines = dict(line.rsplit(" ", 1) for line in page.decode().splitlines() if not line.startswith("#"))

    def value(name: str, **labels: str) -> float:
        pairs = ",".join(f'{key}="{each}"' for key, each in labels.items())
        return float(lines[f":tensorflow:serving:{name}{{{pairs}}}"])

    assert value("request_count", model_name="tiny", status="OK") >= 1
    assert value("request_count", model_name="tiny", status="INVALID_ARGUMENT") >= 1
    assert value("request_latency_count", model_name="tiny", API="predict", entrypoint="REST") >= 2
    assert value("runtime_latency_count", model_name="tiny", API="Predict", runtime="TF1") >= 1
    assert value("request_example_count_total", model="tiny") >= 1
    assert value("signature_request_count", model_name="tiny", signature_name="serving_default", status="OK") >= 1
    assert value("signature_request_latency_count", model_name="tiny", signature_name="serving_default") >= 2
    unknown = value("signature_request_count", model_name="tiny", signature_name="unknown", status="INVALID_ARGUMENT")
    assert unknown >= 1
    assert "invented" not in page.decode()
    assert "# TYPE :tensorflow:serving:request_count counter" in page.decode()
    assert "# TYPE :tensorflow:serving:request_latency histogram" in page.decode()
    labels = 'model_name="tiny",API="predict",entrypoint="REST"'
    buckets = [name for name in lines if "request_latency_bucket" in name and labels in name]
    assert len(buckets) == 34


def test_incomplete_request_delays_nobody_and_times_out(impatient: Embedded) -> None:
    with socket.create_connection(("127.0.0.1", impatient.rest_port)) as slow:
        slow.sendall(f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert impatient.json("POST", PREDICT, {"instances": [1.0]})[0] == 200
        slow.settimeout(10)
        assert slow.recv(100).startswith(b"HTTP/1.1 504")


def test_expect_100_continue_is_honored(server: Server) -> None:
    body = b'{"instances": [1.0]}'
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) as client:
        client.sendall(head.encode())
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert client.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "request_", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"], ids=["line", "header"]
)
def test_malformed_http_is_reported_as_json(server: Server, request_: bytes) -> None:
    before = len(server.log.read_text())
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=10) as client:
        client.sendall(request_)
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))  # until the server closes
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert json.loads(body)["error"].startswith("Malformed HTTP: ")
    assert "Traceback" not in server.log.read_text()[before:]


def test_errors_reveal_no_paths(server: Server) -> None:
    answer: Any = server.rest("POST", PREDICT, '{"instances": ["a"]}')[1]
    assert b"/serving/" not in answer
    folder = server.log.parent / "types/1"
    (folder / "assets/notes.txt").unlink()
    status, document = server.json("POST", "/v1/models/types:predict", {"signature_name": "asset", "inputs": [1.0]})
    assert (status, document["error"].partition(";")[0]) == (404, "types/1/assets/notes.txt")
