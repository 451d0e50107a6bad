"""TensorFlow Serving's REST API: routes a request by method and path, independently of the HTTP server."""

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
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

from serving.errors import Code, ServingError, invalid_argument
from serving.inference.apis import PREDICT, REST, Call
from serving.inference.predict import DEFAULT_SIGNATURE
from serving.inference.request_handler import SIGNATURE_DEF, RequestHandler
from serving.rest_json.classify_regress import write_classifications, write_regressions
from serving.rest_json.document import Document
from serving.rest_json.dtype_rules import rules_for
from serving.rest_json.frames import Buffer
from serving.rest_json.large_bodies import LargeBodies
from serving.rest_json.values import MAX_EXCERPT, error_body

JSON, TEXT, HTML = "application/json", "text/plain", "text/html"
NOT_FOUND = b"<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD><BODY><H1>Not Found</H1></BODY></HTML>\n"
_VERSION = r"(?:/(?:versions/(?P<version>[0-9]+)|labels/(?P<label>[^/:]+)))?"
_API = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_INFERENCE = re.compile(rf"/v1/models/(?P<model>[^/:]+){_VERSION}:(?P<method>classify|regress|predict)", re.IGNORECASE)
_STATUS = re.compile(rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION}(?P<metadata>/metadata)?", re.IGNORECASE)
MAX_VERSION = 2**63 - 1
MAX_VERSION_DIGITS = len(str(MAX_VERSION))
HTTP_STATUS = {
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
class Response:
    """An HTTP response."""

    status: int
    body: Buffer
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class RestApi:
    """Handles REST requests."""

    def __init__(self, handler: RequestHandler, metrics_path: str | None) -> None:
        """Creates the API.

        Args:
            handler: Handles the requests.
            metrics_path: Path of the metrics, or ``None`` if they are off.
        """
        self._handler = handler
        self._metrics_path = metrics_path
        self._bodies = LargeBodies()

    def handle(self, method: str, path: str, body: Sequence[bytes]) -> Response:
        """Handles a request.

        Args:
            method: The HTTP method.
            path: The path, percent-encoded and without the query.
            body: The body, decompressed, in parts.
        """
        try:
            if method == "GET" and path == self._metrics_path:
                return Response(200, self._handler.metrics.text().encode(), TEXT)
            if not _API.fullmatch(path):
                return Response(404, NOT_FOUND, HTML)
            return Response(200, self._route(method, path, body))
        except ServingError as error:
            return Response(HTTP_STATUS.get(error.code, 500), error_body(error.message))
        except Exception:  # a bug must not end the server
            logging.exception("%s %s failed.", method, path)
            return Response(500, error_body("internal error; see the server's log"))

    def close(self) -> None:
        """Ends the processes for large bodies."""
        self._bodies.close()

    def _route(self, method: str, path: str, body: Sequence[bytes]) -> Buffer:
        if method == "POST" and (match := _INFERENCE.fullmatch(path)):
            with ExitStack() as stack:
                document = stack.enter_context(self._bodies.parsed(body))
                return self._run(match["method"].lower(), _spec(match), document, stack.close)
        if method == "GET" and (match := _STATUS.fullmatch(path)):
            if not match["model"]:
                raise invalid_argument("Missing model name in request.")
            return self._metadata(_spec(match)) if match["metadata"] else self._status(_spec(match))
        raise invalid_argument(f"Malformed request: {method} {path}")

    def _run(self, method: str, spec: model_pb2.ModelSpec, document: Document, release: Callable[[], None]) -> Buffer:
        """Runs a request. Calls ``release`` when the document has been read."""
        if method == "predict":
            return self._predict(spec, document, release)
        request = (
            classification_pb2.ClassificationRequest if method == "classify" else regression_pb2.RegressionRequest
        )(model_spec=spec)
        try:
            request.model_spec.signature_name = document.signature_name
        except UnicodeEncodeError as error:  # names in a message have to be valid UTF-8, unlike values
            raise document.encoding_error(error.object) from error
        document.examples(request.input)
        release()
        if method == "classify":
            return write_classifications(self._handler.classify(request, REST).result)
        return write_regressions(self._handler.regress(request, REST).result)

    def _predict(self, spec: model_pb2.ModelSpec, document: Document, release: Callable[[], None]) -> Buffer:
        name = document.signature_name
        key = name or DEFAULT_SIGNATURE
        with self._handler.servable(spec, Call(PREDICT.name, REST, [key])) as servable:
            signature = servable.signatures.get(key)
            if signature is None:
                raise invalid_argument(f'Serving signature name: "{key}" not found in signature def')
            if not signature.inputs:
                raise invalid_argument(f"Failed to get input map for signature: {name or 'DEFAULT'}")
            inputs, response_format = document.tensors(
                {each: rules_for(info.dtype) for each, info in signature.inputs.items()}
            )
            release()
            return self._bodies.write(self._handler.predict_arrays(servable, key, inputs), response_format)

    def _status(self, spec: model_pb2.ModelSpec) -> bytes:
        response = self._handler.status(get_model_status_pb2.GetModelStatusRequest(model_spec=spec))
        return _to_json(json_format.MessageToDict(response, **_FORMAT))

    def _metadata(self, spec: model_pb2.ModelSpec) -> bytes:
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=[SIGNATURE_DEF])
        response = self._handler.metadata(request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[SIGNATURE_DEF].Unpack(signatures)
        model = {
            "name": response.model_spec.name,
            "signature_name": "",
            "version": str(response.model_spec.version.value),
        }
        metadata = {SIGNATURE_DEF: json_format.MessageToDict(signatures, **_FORMAT)}
        return _to_json({"model_spec": model, "metadata": metadata})


def model_of(path: str) -> str:
    """Returns the name of the model that a request runs, or an empty string for other requests."""
    match = _INFERENCE.fullmatch(path)
    return unquote(match["model"]) if match else ""


_FORMAT = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}


def _to_json(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"


def _spec(match: re.Match[str]) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=unquote(match["model"]))
    if match["version"]:
        digits = match["version"].lstrip("0") or "0"
        if len(digits) > MAX_VERSION_DIGITS or int(digits) > MAX_VERSION:
            raise invalid_argument(f"Failed to convert version: {match['version'][:MAX_EXCERPT]} to numeric.")
        spec.version.value = int(digits)
    if match["label"]:
        spec.version_label = unquote(match["label"])
    return spec
