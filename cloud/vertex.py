"""The connection to Vertex AI: where it goes, what is found there, and its errors as one line."""

import contextlib
import dataclasses
import functools
import os
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from cloud.calls import TIMEOUT, retrying
from cloud.error_messages import one_line, refusal

# Names a server that takes Vertex AI's place, without credentials.
ENDPOINT = "VERTEX_API_ENDPOINT"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
# Of Google's libraries, those that stumble over an answer that is none of the API's.
_READERS = ("google.api_core.", "google.protobuf.")


class CloudError(RuntimeError):
    """Google Cloud refused something; the message is one line that says what to do."""


@dataclasses.dataclass(frozen=True)
class Connection:
    """Vertex AI's services in one project and region; each is a client of google-cloud-aiplatform's.

    Attributes:
        project: Google Cloud's project.
        region: Such as ``europe-west4``.
        credentials: Google's, of whoever asks.
        endpoint: The server's address.
    """

    project: str
    region: str
    credentials: Any
    endpoint: str

    @property
    def parent(self) -> str:
        """The resource that all others are made in."""
        return f"projects/{self.project}/locations/{self.region}"

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
        """A ``JobServiceClient``: custom jobs."""
        return self._client("Job")

    @functools.cached_property
    def models(self) -> Any:
        """A ``ModelServiceClient``: the model registry."""
        return self._client("Model")

    @functools.cached_property
    def endpoints(self) -> Any:
        """An ``EndpointServiceClient``."""
        return self._client("Endpoint")

    @functools.cached_property
    def vizier(self) -> Any:
        """A ``VizierServiceClient``: studies and their trials."""
        return self._client("Vizier")

    def _client(self, service: str) -> Any:
        from google.cloud import aiplatform_v1

        # REST, with a stand-in and without, so that what is tested is what runs.
        return getattr(aiplatform_v1, f"{service}ServiceClient")(
            transport="rest", credentials=self.credentials, client_options={"api_endpoint": self.endpoint}
        )


def connect(project: str, region: str) -> Connection:
    """Connects to Vertex AI, or to what :data:`ENDPOINT` names.

    Args:
        project: Google Cloud's project.
        region: Such as ``europe-west4``.

    Raises:
        CloudError: There are no credentials.
    """
    import google.auth
    from google.auth.credentials import AnonymousCredentials

    if stand_in := os.environ.get(ENDPOINT):
        return Connection(project, region, AnonymousCredentials(), stand_in)
    try:
        with explaining():
            credentials, _ = google.auth.default(scopes=SCOPES)
    except (AttributeError, OSError) as error:  # by which google.auth meets a key file that is something else
        raise CloudError(_no_credentials(error)) from error
    return Connection(project, region, credentials, f"https://{region}-aiplatform.googleapis.com")


def found_by_name(
    here: Connection, list_all: Any, kind: str, name: str, without: Callable[[Any], bool] = lambda _each: False
) -> Any | None:
    """The resource of a display name, if there is one.

    Args:
        here: The connection.
        list_all: The client's method.
        kind: What a person calls it.
        name: The display name.
        without: Which to leave out.

    Raises:
        GoogleAPICallError: They cannot be listed.
        CloudError: There are several.
    """
    request = {"parent": here.parent, "filter": f'display_name="{name}"'}
    listed = retrying(lambda: list(list_all(request=request, timeout=TIMEOUT)))
    found = [each for each in listed if not without(each)]
    if len(found) > 1:
        raise CloudError(
            f"Vertex AI in {here.project}, {here.region}: found {len(found)} {kind}s named {name}; expected one: "
            "delete the others in the console"
        )
    return found[0] if found else None


def named(made: Any) -> Any:
    """What Vertex AI made, as it is; another server's JSON, which Google's clients take for it, has no name.

    Raises:
        CloudError: It has none.
    """
    if not made.name:
        raise CloudError(
            f"Google Cloud: found an answer without a name; expected Vertex AI's of what it made: look at {_where()}"
        )
    return made


@contextlib.contextmanager
def explaining() -> Iterator[None]:
    """Turns what Google's libraries raise into one line.

    Raises:
        CloudError: In place of an error of the API, of the credentials or of the network, and of what these libraries
            stumble over where an answer is none of the API's.
    """
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (GoogleAPIError, GoogleAuthError, requests.RequestException, TimeoutError) as error:
        raise CloudError(explained(error)) from error
    except Exception as error:
        if not _is_of_a_reader(error):
            raise
        raise CloudError(
            f"Google Cloud: found an answer that is none of Vertex AI's; expected its JSON: look at {_where()} "
            f"({_said(error)})"
        ) from error


def explained(error: BaseException) -> str:
    """One line for an error of Google's libraries: what was found, what was expected, how to mend it."""
    import requests
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError, TransportError

    if isinstance(error, RetryError):
        return explained(error.cause)
    if isinstance(error, GoogleAPICallError):
        return refusal(error)
    said = _said(error)
    if isinstance(error, TransportError | requests.RequestException):
        return f"Google Cloud cannot be reached; look at {_where()} ({said})"
    if isinstance(error, GoogleAuthError):
        return _no_credentials(error)
    if isinstance(error, TimeoutError):
        return "Vertex AI: an operation takes too long and is waited for no longer; the console shows how it goes on"
    return said


def _no_credentials(error: BaseException) -> str:
    return (
        "Google Cloud: found no credentials that are valid; expected those of an account: run 'gcloud auth "
        f"application-default login', or name a key file in GOOGLE_APPLICATION_CREDENTIALS ({_said(error)})"
    )


def _said(error: BaseException) -> str:
    return one_line(str(error)) or type(error).__name__


def _is_of_a_reader(error: BaseException) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__")).startswith(_READERS)


def _where() -> str:
    """What to look at where something else than Vertex AI answers, or nothing."""
    known = os.environ.get(ENDPOINT)
    return f"{ENDPOINT}, {known}" if known else "vertex.region, the network and its proxy (HTTPS_PROXY)"
