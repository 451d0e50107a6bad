"""The connection to Vertex AI, and its errors as one line."""

import contextlib
import dataclasses
import functools
import os
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from cloud.calls import TIMEOUT, with_retries
from cloud.error_messages import api_error_message, one_line

# Environment variable with the address of a server that replaces Vertex AI, without credentials.
ENDPOINT_VARIABLE = "VERTEX_API_ENDPOINT"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
# Google's libraries that fail on a response that is not the API's.
_PARSERS = ("google.api_core.", "google.protobuf.")


class CloudError(RuntimeError):
    """An error of Google Cloud. The message is one line and says how to fix it."""


@dataclasses.dataclass(frozen=True)
class Connection:
    """Clients of google-cloud-aiplatform for one project and region.

    Attributes:
        project: Google Cloud project.
        region: Region, such as ``europe-west4``.
        credentials: Google's credentials.
        endpoint: Address of the server.
    """

    project: str
    region: str
    credentials: Any
    endpoint: str

    @property
    def parent(self) -> str:
        """Name of the location that contains all resources."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def place(self) -> str:
        """How error messages refer to the connection."""
        return f"Vertex AI in {self.project}, {self.region}"

    @functools.cached_property
    def pipelines(self) -> Any:
        """A ``PipelineServiceClient``."""
        return self._client("Pipeline")

    @functools.cached_property
    def schedules(self) -> Any:
        """A ``ScheduleServiceClient``."""
        return self._client("Schedule")

    @functools.cached_property
    def jobs(self) -> Any:
        """A ``JobServiceClient``, for custom jobs."""
        return self._client("Job")

    @functools.cached_property
    def models(self) -> Any:
        """A ``ModelServiceClient``, for the model registry."""
        return self._client("Model")

    @functools.cached_property
    def endpoints(self) -> Any:
        """An ``EndpointServiceClient``."""
        return self._client("Endpoint")

    @functools.cached_property
    def vizier(self) -> Any:
        """A ``VizierServiceClient``, for studies and their trials."""
        return self._client("Vizier")

    def _client(self, service: str) -> Any:
        from google.cloud import aiplatform_v1

        # REST, so that tests with the stand-in run the same code as production.
        return getattr(aiplatform_v1, f"{service}ServiceClient")(
            transport="rest", credentials=self.credentials, client_options={"api_endpoint": self.endpoint}
        )


def connect(project: str, region: str) -> Connection:
    """Connects to Vertex AI, or to the server that :data:`ENDPOINT_VARIABLE` names.

    Args:
        project: Google Cloud project.
        region: Region, such as ``europe-west4``.

    Raises:
        CloudError: There are no valid credentials.
    """
    import google.auth
    from google.auth.credentials import AnonymousCredentials

    if address := os.environ.get(ENDPOINT_VARIABLE):
        return Connection(project, region, AnonymousCredentials(), address)
    try:
        with raising_cloud_errors():
            credentials, _ = google.auth.default(scopes=SCOPES)
    except (AttributeError, OSError) as error:  # google.auth raises these for a file that is not a key
        raise CloudError(_no_credentials(error)) from error
    return Connection(project, region, credentials, f"https://{region}-aiplatform.googleapis.com")


def find_by_name(
    connection: Connection,
    list_all: Any,
    kind: str,
    name: str,
    exclude: Callable[[Any], bool] = lambda _resource: False,
) -> Any | None:
    """Finds a resource by its display name.

    Args:
        connection: The connection.
        list_all: The client's method that lists resources of this kind.
        kind: The kind of resource, for the error.
        name: The display name.
        exclude: Resources to ignore.

    Returns:
        The resource, or ``None``.

    Raises:
        GoogleAPICallError: The resources cannot be listed.
        CloudError: Several resources have this name.
    """
    request = {"parent": connection.parent, "filter": f'display_name="{name}"'}
    listed = with_retries(lambda: list(list_all(request=request, timeout=TIMEOUT)))
    found = [each for each in listed if not exclude(each)]
    if len(found) > 1:
        raise CloudError(
            f"{connection.place}: found {len(found)} {kind}s named {name}; expected one: delete the others in the "
            "console"
        )
    return found[0] if found else None


def require_name(resource: Any) -> Any:
    """Returns a resource that Vertex AI created. Google's clients also accept another server's JSON, without a name.

    Raises:
        CloudError: The resource has no name.
    """
    if not resource.name:
        raise CloudError(
            "Google Cloud: found a response without a resource name; expected Vertex AI's response: check "
            f"{_where_to_look()}"
        )
    return resource


@contextlib.contextmanager
def raising_cloud_errors() -> Iterator[None]:
    """Turns the errors of Google's libraries into one line.

    Raises:
        CloudError: In place of an error of the API, the credentials or the network, or of a response that is not the
            API's.
    """
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (GoogleAPIError, GoogleAuthError, requests.RequestException, TimeoutError) as error:
        raise CloudError(error_message(error)) from error
    except Exception as error:
        if not _is_parser_error(error):
            raise
        raise CloudError(
            f"Google Cloud: found a response that is not Vertex AI's; expected its JSON: check {_where_to_look()} "
            f"({_text(error)})"
        ) from error


def error_message(error: BaseException) -> str:
    """Describes an error of Google's libraries in one line: what was found, what was expected, how to fix it."""
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError

    if isinstance(error, RetryError):
        return error_message(error.cause)
    if isinstance(error, GoogleAPICallError):
        return api_error_message(error)
    text = _text(error)
    if isinstance(error, TransportError | requests.RequestException):
        return f"Google Cloud cannot be reached; check {_where_to_look()} ({text})"
    if isinstance(error, GoogleAuthError):
        return _no_credentials(error)
    if isinstance(error, TimeoutError):
        return "Vertex AI: an operation is still running after the time limit: see the console for its status"
    return text


def _no_credentials(error: BaseException) -> str:
    return (
        "Google Cloud: found no valid credentials; expected those of an account: run 'gcloud auth application-default "
        f"login', or set GOOGLE_APPLICATION_CREDENTIALS to a key file ({_text(error)})"
    )


def _text(error: BaseException) -> str:
    return one_line(str(error)) or type(error).__name__


def _is_parser_error(error: BaseException) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__")).startswith(_PARSERS)


def _where_to_look() -> str:
    """What to check if another server, or none, responded."""
    address = os.environ.get(ENDPOINT_VARIABLE)
    return f"{ENDPOINT_VARIABLE}, {address}" if address else "vertex.region, the network and its proxy (HTTPS_PROXY)"
