"""TensorFlow Serving's REST API: what each path answers."""

import dataclasses
import json
import re
from urllib.parse import unquote

from absl import logging
from google.protobuf import json_format
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    regression_pb2,
)

from serving.errors import Code, ServingError, invalid
from serving.inference.service import SIGNATURE_DEF, Core
from serving.rest_json.examples import read_input, write_classes, write_values
from serving.rest_json.values import SHOWN, SIGNATURE_NAME, error_body, parse_object, to_bytes

ENTRY = "REST"
JSON, TEXT, HTML = "application/json", "text/plain", "text/html"
NOT_FOUND = b"<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD><BODY><H1>Not Found</H1></BODY></HTML>\n"
_VERSION = r"(?:/(?:versions/(?P<version>[0-9]+)|labels/(?P<label>[^/:]+)))?"
_API = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_RUN = re.compile(rf"/v1/models/(?P<model>[^/:]+){_VERSION}:(?P<method>classify|regress|predict)", re.IGNORECASE)
_STATUS = re.compile(rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION}(?P<metadata>/metadata)?", re.IGNORECASE)
LARGEST_VERSION = 2**63 - 1
LONGEST_VERSION = len(str(LARGEST_VERSION))
HTTP = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}


@dataclasses.dataclass(frozen=True)
class Reply:
    """What a request is answered with."""

    status: int
    body: bytes
    content_type: str = JSON


class RestApi:
    """Answers requests by path; knows nothing of sockets."""

    def __init__(self, core: Core, metrics_path: str | None) -> None:
        """Makes the API.

        Args:
            core: What answers.
            metrics_path: Where metrics are told; ``None`` is nowhere.
        """
        self._core = core
        self._metrics_path = metrics_path

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        """Answers one request.

        Args:
            method: ``GET``, ``POST`` …
            path: As it came, percent-encoded and without a query.
            body: Unpacked.
        """
        try:
            if method == "GET" and path == self._metrics_path:
                return Reply(200, self._core.metrics.text().encode(), TEXT)
            if not _API.fullmatch(path):
                return Reply(404, NOT_FOUND, HTML)
            return Reply(200, self._answer(method, path, body))
        except ServingError as error:
            return Reply(HTTP.get(error.code, 500), error_body(error.message))
        except Exception:  # a defect of ours must not end the server
            logging.exception("%s %s failed.", method, path)
            return Reply(500, error_body("internal error; the server's log tells more"))

    def _answer(self, method: str, path: str, body: bytes) -> bytes:
        if method == "POST" and (found := _RUN.fullmatch(path)):
            return self._run(found["method"].lower(), _spec(found), body)
        if method == "GET" and (found := _STATUS.fullmatch(path)):
            if not found["model"]:
                raise invalid("Missing model name in request.")
            return self._metadata(_spec(found)) if found["metadata"] else self._status(_spec(found))
        raise invalid(f"Malformed request: {method} {path}")

    def _run(self, method: str, spec: model_pb2.ModelSpec, body: bytes) -> bytes:
        document = parse_object(body)
        if method == "predict":
            return self._core.predict_json(spec, document)
        try:
            spec.signature_name = document.get(SIGNATURE_NAME, "")
            given = read_input(document)
        except UnicodeEncodeError as error:  # a message takes bytes of any kind as a value, but not as a name
            place = max(0, body.find(to_bytes(error.object)))
            raise invalid(f"JSON Parse error: Invalid encoding in string at offset: {place}") from error
        if method == "classify":
            classified = classification_pb2.ClassificationRequest(model_spec=spec, input=given)
            return write_classes(self._core.classify(classified, ENTRY).result)
        regressed = regression_pb2.RegressionRequest(model_spec=spec, input=given)
        return write_values(self._core.regress(regressed, ENTRY).result)

    def _status(self, spec: model_pb2.ModelSpec) -> bytes:
        response = self._core.status(get_model_status_pb2.GetModelStatusRequest(model_spec=spec))
        return _printed(json_format.MessageToDict(response, **_FORMAT))

    def _metadata(self, spec: model_pb2.ModelSpec) -> bytes:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=[SIGNATURE_DEF])
        response = self._core.metadata(request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURE_DEF].Unpack(signatures)
        model = {
            "name": response.model_spec.name,
            "signature_name": "",
            "version": str(response.model_spec.version.value),
        }
        metadata = {SIGNATURE_DEF: json_format.MessageToDict(signatures, **_FORMAT)}
        return _printed({"model_spec": model, "metadata": metadata})


_FORMAT = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}


def _printed(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"


def _spec(found: re.Match[str]) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=unquote(found["model"]))
    if found["version"]:
        digits = found["version"].lstrip("0") or "0"
        if len(digits) > LONGEST_VERSION or int(digits) > LARGEST_VERSION:
            raise invalid(f"Failed to convert version: {found['version'][:SHOWN]} to numeric.")
        spec.version.value = int(digits)
    if found["label"]:
        spec.version_label = unquote(found["label"])
    return spec
