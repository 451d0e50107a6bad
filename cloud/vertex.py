"""The connection to Vertex AI: where it goes, what is tried again, and what its errors mean."""

import contextlib
import dataclasses
import functools
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

# Names a server that takes Vertex AI's place, without credentials.
ENDPOINT = "VERTEX_API_ENDPOINT"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
TIMEOUT = 60.0  # seconds of one request; without it a connection that is lost is waited for without end
TRIES, TOO_MANY = 5, 429
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds; each wait is drawn from 0 to a bound that doubles from first to longest
MOST_SECONDS = 3600.0  # that an operation takes; a deployment takes up to half an hour

_Result = TypeVar("_Result")
_REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")
_PLACE = re.compile(r"projects/([^/\s'\"]+)/locations/([^/\s'\":?]+)")
_PERMISSION = re.compile(r"[Pp]ermission '?([a-z]+\.[A-Za-z]+\.[A-Za-z]+)'?")
_OFF = re.compile(r"has not been used in project|is disabled|SERVICE_DISABLED")
_QUOTA_PROJECT = "requires a quota project"
_ACT_AS = re.compile(r"act as (?:the )?service[ _-]?account|iam\.serviceAccounts\.actAs", re.IGNORECASE)
# The narrowest of Google's roles that has a service's permissions.
_ROLES = {
    "aiplatform": "roles/aiplatform.user",
    "artifactregistry": "roles/artifactregistry.reader",
    "cloudkms": "roles/cloudkms.cryptoKeyEncrypterDecrypter",
    "compute": "roles/compute.networkUser",
    "iam": "roles/iam.serviceAccountUser",
    "storage": "roles/storage.objectAdmin",
}
# By HTTP's number: what it means, and what to do.
_MEANINGS = {
    401: ("the credentials are not valid", "run 'gcloud auth application-default login'"),
    404: ("not found", "look at vertex.project and vertex.region, and whether it exists"),
    409: ("it exists already, or is being changed", "wait, or take another name"),
    429: ("the quota is used up", "wait, ask for more, or take fewer machines"),
    503: ("not available for now", "try again later"),
}


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
    with explaining():
        credentials, _ = google.auth.default(scopes=SCOPES)
    return Connection(project, region, credentials, f"https://{region}-aiplatform.googleapis.com")


def retrying(call: Callable[[], _Result], repeatable: bool = True) -> _Result:
    """Makes a call, again after a while if there were too many (429) or the service was not there (503).

    Args:
        call: What is tried, up to :data:`TRIES` times.
        repeatable: Whether it may be made again where it may have been done already, its answer lost (503).

    Raises:
        GoogleAPICallError: What the last try ended in, or the first that trying again does not mend.
    """
    from google.api_core.retry import exponential_sleep_generator

    waits = exponential_sleep_generator(FIRST_WAIT, LONGEST_WAIT)
    for left in reversed(range(TRIES)):
        try:
            return call()
        except _transient() as error:
            if not left or not (repeatable or error.code == TOO_MANY):
                raise
            time.sleep(next(waits))
    raise AssertionError("unreachable")


def finished(operation: Any, most_seconds: float = MOST_SECONDS) -> Any:
    """Waits for a long-running operation.

    Args:
        operation: What the client returned.
        most_seconds: How long to wait.

    Returns:
        The operation's response.

    Raises:
        GoogleAPICallError: What it ended in.
        TimeoutError: It goes on, but is waited for no longer.
    """
    from google.api_core.future.polling import DEFAULT_POLLING
    from google.api_core.retry import Retry, if_exception_type

    again = Retry(
        predicate=if_exception_type(*_transient(), *_lost()),
        initial=FIRST_WAIT,
        maximum=LONGEST_WAIT,
        timeout=most_seconds,
    )
    polling = DEFAULT_POLLING.with_delay(initial=FIRST_WAIT, maximum=LONGEST_WAIT).with_timeout(most_seconds)
    return operation.result(retry=again, polling=polling)


@contextlib.contextmanager
def explaining() -> Iterator[None]:
    """Turns what Google's libraries raise into one line.

    Raises:
        CloudError: In place of an error of the API, of the credentials or of the network.
    """
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (GoogleAPIError, GoogleAuthError, requests.RequestException, TimeoutError) as error:
        raise CloudError(explained(error)) from error


def explained(error: BaseException) -> str:
    """One line for an error of Google's libraries: what was found, what was expected, how to mend it."""
    import requests
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError

    if isinstance(error, GoogleAPICallError):
        return _of_api(error)
    if isinstance(error, DefaultCredentialsError | RefreshError):
        return (
            "Google Cloud: found no credentials that are valid; expected those of an account: run 'gcloud auth "
            f"application-default login', or name a key file in GOOGLE_APPLICATION_CREDENTIALS ({_line(error)})"
        )
    if isinstance(error, GoogleAuthError | requests.RequestException):
        known = os.environ.get(ENDPOINT)
        where = f"{ENDPOINT}, {known}" if known else "vertex.region, the network and its proxy (HTTPS_PROXY)"
        return f"Google Cloud cannot be reached; look at {where} ({_line(error)})"
    if isinstance(error, TimeoutError):
        return "Vertex AI: an operation takes too long and is waited for no longer; the console shows how it goes on"
    return _line(error)


def _transient() -> tuple[type[Any], ...]:
    from google.api_core.exceptions import ServiceUnavailable, TooManyRequests

    return (TooManyRequests, ServiceUnavailable)


def _lost() -> tuple[type[Exception], ...]:
    """What a look at something that goes on by itself may meet now and then."""
    import requests
    from google.api_core.exceptions import BadGateway, InternalServerError

    return (requests.ConnectionError, requests.Timeout, BadGateway, InternalServerError)


def _of_api(error: Any) -> str:
    code = int(error.code or 0)
    said = _REQUEST.sub("", " ".join(str(error.message).split()))
    # An operation that failed has no address.
    found = _PLACE.search(str(getattr(error.response, "url", "")) or said) or _PLACE.search(said)
    project, region = found.groups() if found else ("…", "…")
    where = f"Vertex AI in {project}, {region}" if found else "Vertex AI"
    if _ACT_AS.search(said):
        what, mend = (
            "the account may not act as the runs' one",
            "give it " + _ROLES["iam"] + " on vertex.service_account",
        )
    elif _QUOTA_PROJECT in said:
        what = "the account's credentials name no project that pays for the requests"
        mend = f"run 'gcloud auth application-default set-quota-project {project}'"
    elif code == 403 and _OFF.search(said):
        what, mend = (
            "the API is not enabled",
            f"run 'gcloud services enable aiplatform.googleapis.com --project {project}'",
        )
    elif code == 403:
        named = _PERMISSION.search(said)
        missing = named[1] if named else "aiplatform"
        role = _ROLES.get(missing.partition(".")[0], "a role that has it")
        what, mend = f"the account has no permission {missing}", f"give it {role} in the project"
    else:
        what, mend = _MEANINGS.get(code, ("refused", ""))
    return f"{where}: {what} ({code}: {said})" + (f"; {mend}" if mend else "")


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0]
