"""Turns an error of Vertex AI's API into one line that says what it means and how to fix it."""

import dataclasses
import html
import re
from typing import Any

MAX_CHARACTERS = 400  # of a response that are shown; a proxy's page may have thousands
_REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")
_LOCATION = re.compile(r"projects/([^/\s'\"]+)/locations/([^/\s'\":?]+)")
_PERMISSION = re.compile(r"[Pp]ermission '?([a-z]+\.[A-Za-z]+\.[A-Za-z]+)'?")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_HTML_PAGE = re.compile(r"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)
_CHECK_NETWORK = "check vertex.region, the network and its proxy (HTTPS_PROXY)"
# The narrowest of Google's roles that has a service's permissions.
_ROLES = {
    "aiplatform": "roles/aiplatform.user",
    "artifactregistry": "roles/artifactregistry.reader",
    "cloudkms": "roles/cloudkms.cryptoKeyEncrypterDecrypter",
    "compute": "roles/compute.networkUser",
    "iam": "roles/iam.serviceAccountUser",
    "storage": "roles/storage.objectAdmin",
}


@dataclasses.dataclass(frozen=True)
class _KnownError:
    """A known error.

    Attributes:
        pattern: Pattern in the API's message.
        meaning: What the error means.
        fix: How to fix it. ``{project}`` is replaced with the project of the request.
    """

    pattern: re.Pattern[str]
    meaning: str
    fix: str


# By message, regardless of the HTTP status. The first match counts.
_BY_MESSAGE = (
    _KnownError(
        re.compile(r"act as (?:the )?service[ _-]?account|iam\.serviceAccounts\.actAs", re.IGNORECASE),
        "the account may not act as the service account of the runs",
        f"grant it {_ROLES['iam']} on vertex.service_account",
    ),
    _KnownError(
        re.compile(r"requires a quota project"),
        "the credentials do not name a quota project",
        "run 'gcloud auth application-default set-quota-project {project}'",
    ),
    _KnownError(
        re.compile(r"USER_PROJECT_DENIED|required permission to use project|User project specified in the request"),
        "the account may not use the quota project of its credentials",
        "run 'gcloud auth application-default set-quota-project {project}', or grant it "
        "roles/serviceusage.serviceUsageConsumer there",
    ),
    _KnownError(
        re.compile(r"BILLING_DISABLED|requires billing to be enabled|billing account .*(is disabled|closed)"),
        "the project has no billing account",
        "link one: 'gcloud billing projects link {project} --billing-account …'",
    ),
    _KnownError(
        re.compile(r"has not been used in project|is disabled|SERVICE_DISABLED"),
        "the API is not enabled",
        "run 'gcloud services enable aiplatform.googleapis.com --project {project}'",
    ),
    _KnownError(
        re.compile(r"prohibited by organization's policy|vpcServiceControlsUniqueIdentifier"),
        "the organization's policy (VPC Service Controls) forbids the request",
        "ask your organization's administrator to allow the account",
    ),
    _KnownError(
        re.compile(r"CONSUMER_INVALID|Permission denied on resource project|not found or deleted"),
        "there is no such project, or the account may not see it",
        "check vertex.project, which is the project's id, not its name",
    ),
)
# By HTTP status: what the error means, and how to fix it.
_BY_STATUS = {
    401: ("the credentials are not valid", "run 'gcloud auth application-default login'"),
    404: ("not found", "check vertex.project and vertex.region, and whether the resource exists"),
    407: ("the network's proxy requires authentication", _CHECK_NETWORK),
    409: ("the resource already exists, or is being changed", "wait, or use another name"),
    429: ("the quota is exceeded", "wait, request more quota, or use fewer machines"),
    499: ("the operation was cancelled", "start it again"),
    500: ("internal error", "try again later"),
    502: ("temporarily unavailable", f"try again later, or {_CHECK_NETWORK}"),
    503: ("temporarily unavailable", "try again later"),
    504: ("no response in time", f"try again later, or {_CHECK_NETWORK}"),
}


def api_error_message(error: Any) -> str:
    """Describes an API error in one line: where it happened, what it means, and how to fix it.

    Args:
        error: A ``GoogleAPICallError`` of a request or of an operation.
    """
    status, message = int(error.code or 0), _REQUEST.sub("", str(error.message))
    # The error of an operation has no URL.
    found = _LOCATION.search(str(getattr(error.response, "url", "")) or message) or _LOCATION.search(message)
    project, region = found.groups() if found else ("…", "…")
    service = f"Vertex AI in {project}, {region}" if found else "Vertex AI"
    if _HTML_PAGE.match(message):
        meaning, fix = "received a web page instead of Vertex AI's response", _CHECK_NETWORK
    else:
        meaning, fix = _explain(status, message)
    details = f"{status}: {_shorten(message)}" if status else _shorten(message)
    return f"{service}: {meaning} ({details})" + (f"; {fix.format(project=project)}" if fix else "")


def one_line(text: str) -> str:
    r"""Removes line breaks and unprintable characters, and shortens a long text.

    >>> one_line("Permission denied\n  on resource")
    'Permission denied on resource'
    """
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= MAX_CHARACTERS else f"{line[: MAX_CHARACTERS - 1]}…"


def _explain(status: int, message: str) -> tuple[str, str]:
    """What an error means, and how to fix it."""
    for each in _BY_MESSAGE:
        if each.pattern.search(message):
            return each.meaning, each.fix
    if status == 403:
        permission = _PERMISSION.search(message)
        if not permission:
            return "the account has no permission for the request", f"grant it {_ROLES['aiplatform']} in the project"
        role = _ROLES.get(permission[1].partition(".")[0], "a role that has it")
        return f"the account has no permission {permission[1]}", f"grant it {role} in the project"
    return _BY_STATUS.get(status, ("rejected", ""))


def _shorten(message: str) -> str:
    """A message in one line. For a web page, its title, or else its text."""
    if not _HTML_PAGE.match(message):
        return one_line(message)
    title = _TITLE.search(message)
    return one_line(html.unescape(title[1] if title else _MARKUP.sub(" ", message))) or "an empty page"
