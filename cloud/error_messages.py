"""What Vertex AI's refusals mean, in one line that says what to do."""

import dataclasses
import html
import re
from typing import Any

MOST_SAID = 400  # characters of an answer that are told; a proxy's page may have thousands
_REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")
_PLACE = re.compile(r"projects/([^/\s'\"]+)/locations/([^/\s'\":?]+)")
_PERMISSION = re.compile(r"[Pp]ermission '?([a-z]+\.[A-Za-z]+\.[A-Za-z]+)'?")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_PAGE = re.compile(r"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)
_LOOK = "look at vertex.region, the network and its proxy (HTTPS_PROXY)"
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
class _Meaning:
    """What a refusal means.

    Attributes:
        pattern: By which its text is known.
        what: What it means.
        mend: What to do; ``{project}`` is the one that was asked.
    """

    pattern: re.Pattern[str]
    what: str
    mend: str


# By what is said, whatever HTTP's number; the first that fits.
_BY_TEXT = (
    _Meaning(
        re.compile(r"act as (?:the )?service[ _-]?account|iam\.serviceAccounts\.actAs", re.IGNORECASE),
        "the account may not act as the runs' one",
        f"give it {_ROLES['iam']} on vertex.service_account",
    ),
    _Meaning(
        re.compile(r"requires a quota project"),
        "the account's credentials name no project that pays for the requests",
        "run 'gcloud auth application-default set-quota-project {project}'",
    ),
    _Meaning(
        re.compile(r"USER_PROJECT_DENIED|required permission to use project|User project specified in the request"),
        "the project that the account's credentials name to pay for the requests does not let it",
        "run 'gcloud auth application-default set-quota-project {project}', or give it "
        "roles/serviceusage.serviceUsageConsumer there",
    ),
    _Meaning(
        re.compile(r"BILLING_DISABLED|requires billing to be enabled|billing account .*(is disabled|closed)"),
        "the project has no billing account",
        "link one: 'gcloud billing projects link {project} --billing-account …'",
    ),
    _Meaning(
        re.compile(r"has not been used in project|is disabled|SERVICE_DISABLED"),
        "the API is not enabled",
        "run 'gcloud services enable aiplatform.googleapis.com --project {project}'",
    ),
    _Meaning(
        re.compile(r"prohibited by organization's policy|vpcServiceControlsUniqueIdentifier"),
        "the organization's policy (VPC Service Controls) forbids it",
        "ask who keeps it to let the account in",
    ),
    _Meaning(
        re.compile(r"CONSUMER_INVALID|Permission denied on resource project|not found or deleted"),
        "there is no such project, or the account may not see it",
        "look at vertex.project; it is the project's id, and not its name",
    ),
)
# By HTTP's number: what it means, and what to do.
_BY_NUMBER = {
    401: ("the credentials are not valid", "run 'gcloud auth application-default login'"),
    404: ("not found", "look at vertex.project and vertex.region, and whether it exists"),
    407: ("the network's proxy asks who it is", _LOOK),
    409: ("it exists already, or is being changed", "wait, or take another name"),
    429: ("the quota is used up", "wait, ask for more, or take fewer machines"),
    499: ("it was cancelled", "start it again"),
    500: ("it failed by itself", "try again later"),
    502: ("not available for now", f"try again later, or {_LOOK}"),
    503: ("not available for now", "try again later"),
    504: ("no answer in time", f"try again later, or {_LOOK}"),
}


def refusal(error: Any) -> str:
    """One line for a refusal: what was found, what it means, how to mend it.

    Args:
        error: A ``GoogleAPICallError``, of a request or of an operation.
    """
    code, said = int(error.code or 0), _REQUEST.sub("", str(error.message))
    # An operation that failed has no address.
    found = _PLACE.search(str(getattr(error.response, "url", "")) or said) or _PLACE.search(said)
    project, region = found.groups() if found else ("…", "…")
    where = f"Vertex AI in {project}, {region}" if found else "Vertex AI"
    if _PAGE.match(said):
        what, mend = "a page that is not Vertex AI's answered", _LOOK
    else:
        what, mend = _meaning(code, said)
    numbered = f"{code}: {_in_short(said)}" if code else _in_short(said)
    return f"{where}: {what} ({numbered})" + (f"; {mend.format(project=project)}" if mend else "")


def one_line(text: str) -> str:
    """A text without line breaks and what no terminal shows, and without the end of one that is long."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= MOST_SAID else f"{line[: MOST_SAID - 1]}…"


def _meaning(code: int, said: str) -> tuple[str, str]:
    for each in _BY_TEXT:
        if each.pattern.search(said):
            return each.what, each.mend
    if code == 403:
        named = _PERMISSION.search(said)
        if not named:
            return "the account may not do that", f"give it {_ROLES['aiplatform']} in the project"
        role = _ROLES.get(named[1].partition(".")[0], "a role that has it")
        return f"the account has no permission {named[1]}", f"give it {role} in the project"
    return _BY_NUMBER.get(code, ("refused", ""))


def _in_short(said: str) -> str:
    """What an answer says; of a page its title, or else its text."""
    if not _PAGE.match(said):
        return one_line(said)
    title = _TITLE.search(said)
    return one_line(html.unescape(title[1] if title else _MARKUP.sub(" ", said))) or "an empty page"
