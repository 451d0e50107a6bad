import pytest
from google.api_core import exceptions

from cloud.calls import with_retries
from cloud.error_messages import MAX_CHARACTERS, api_error_message, one_line
from cloud.stand_in import StandIn
from cloud.vertex import CloudError, connect, raising_cloud_errors

DENIED = "Permission 'aiplatform.endpoints.list' denied on resource '//x' (or it may not exist)."
OFF = "Vertex AI API has not been used in project 1 before or it is disabled."
NO_QUOTA = "The aiplatform.googleapis.com API requires a quota project, which is not set by default."
ACT_AS = "You do not have permission to act as service_account: runs@p.iam.gserviceaccount.com"
NOT_THERE = "Permission denied on resource project my-projct."
PAYS_NOT = "Caller does not have required permission to use project payer. Grant the caller the roles/…"
NO_BILLING = "This API method requires billing to be enabled. Please enable billing on project #1."
FORBIDDEN = "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: x"
CANCELLED = "the operation was cancelled (499: The operation was cancelled.); start it again"


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (400, "bad filter", ["rejected (400: bad filter)"]),
        (403, DENIED, ["no permission aiplatform.endpoints.list", "grant it roles/aiplatform.user"]),
        (403, "permission 'storage.objects.get' denied", ["storage.objects.get", "grant it roles/storage.objectAdmin"]),
        (403, OFF, ["gcloud services enable aiplatform.googleapis.com --project my-project"]),
        (403, NO_QUOTA, ["gcloud auth application-default set-quota-project my-project"]),
        (400, ACT_AS, ["roles/iam.serviceAccountUser on vertex.service_account"]),
        (403, "no", ["the account has no permission for the request", "grant it roles/aiplatform.user"]),
        (403, NOT_THERE, ["no such project", "check vertex.project"]),
        (403, PAYS_NOT, ["set-quota-project my-project", "roles/serviceusage.serviceUsageConsumer"]),
        (403, NO_BILLING, ["no billing account", "gcloud billing projects link my-project"]),
        (403, FORBIDDEN, ["VPC Service Controls", "ask your organization's administrator"]),
        (404, "nothing", ["not found", "vertex.project and vertex.region"]),
        (409, "twice", ["already exists"]),
        (429, "Quota 'CustomModelTrainingCPUs' exceeded", ["quota is exceeded", "CustomModelTrainingCPUs"]),
        (503, "down", ["temporarily unavailable", "try again later"]),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(stand_in: StandIn, status: int, said: str, told: list[str]) -> None:
    stand_in.refuse("endpoints", status, times=99, message=said)
    here = connect("my-project", "europe-west4")
    with pytest.raises(CloudError) as caught, raising_cloud_errors():
        with_retries(lambda: list(here.endpoints.list_endpoints(parent=here.parent)))
    text = str(caught.value)
    assert text.startswith("Vertex AI in my-project, europe-west4: ")
    assert all(each in text for each in (said, *told))
    assert "\n" not in text
    assert "http" not in text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (exceptions.Cancelled("The operation\nwas cancelled."), CANCELLED),
        (exceptions.InternalServerError("bug"), "internal error (500: bug); try again later"),
        (exceptions.BadRequest("{project} and {x}"), "rejected (400: {project} and {x})"),
        (exceptions.GoogleAPICallError("neither response nor error"), "rejected (neither response nor error)"),
        (exceptions.DeadlineExceeded("slow"), "no response in time (504: slow); try again later, or check"),
    ],
)
def test_the_error_of_an_operation_names_no_location(error: exceptions.GoogleAPICallError, told: str) -> None:
    assert api_error_message(error).startswith(f"Vertex AI: {told}")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<!DOCTYPE html>\n<html><head><title>Blocked\n &amp; logged</title></head></html>", "Blocked & logged"),
        ("<html><style>p {}</style><body><h1>Access</h1>\n<p>denied</p></body></html>", "Access denied"),
        ("<html></html>", "an empty page"),
    ],
)
def test_the_title_of_a_proxys_page_is_shown(page: str, said: str) -> None:
    told = api_error_message(exceptions.Forbidden(page))
    assert told.startswith(
        f"Vertex AI: received a web page instead of Vertex AI's response (403: {said}); check vertex.region"
    )


def test_text_is_joined_into_one_line_and_shortened() -> None:
    assert one_line(" a\r\nb\x00\x1b c\t") == "a b c"
    assert one_line("x" * MAX_CHARACTERS) == "x" * MAX_CHARACTERS
    assert one_line("x" * (MAX_CHARACTERS + 1)) == "x" * (MAX_CHARACTERS - 1) + "…"
