import pytest
from google.api_core import exceptions

from cloud.calls import retrying
from cloud.error_messages import MOST_SAID, one_line, refusal
from cloud.stand_in import StandIn
from cloud.vertex import CloudError, connect, explaining

DENIED = "Permission 'aiplatform.endpoints.list' denied on resource '//x' (or it may not exist)."
OFF = "Vertex AI API has not been used in project 1 before or it is disabled."
NO_QUOTA = "The aiplatform.googleapis.com API requires a quota project, which is not set by default."
ACT_AS = "You do not have permission to act as service_account: runs@p.iam.gserviceaccount.com"
NOT_THERE = "Permission denied on resource project my-projct."
PAYS_NOT = "Caller does not have required permission to use project payer. Grant the caller the roles/…"
NO_BILLING = "This API method requires billing to be enabled. Please enable billing on project #1."
FORBIDDEN = "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: x"
CANCELLED = "it was cancelled (499: The operation was cancelled.); start it again"


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (400, "bad filter", ["refused (400: bad filter)"]),
        (403, DENIED, ["no permission aiplatform.endpoints.list", "give it roles/aiplatform.user"]),
        (403, "permission 'storage.objects.get' denied", ["storage.objects.get", "give it roles/storage.objectAdmin"]),
        (403, OFF, ["gcloud services enable aiplatform.googleapis.com --project my-project"]),
        (403, NO_QUOTA, ["gcloud auth application-default set-quota-project my-project"]),
        (400, ACT_AS, ["roles/iam.serviceAccountUser on vertex.service_account"]),
        (403, "no", ["the account may not do that", "give it roles/aiplatform.user"]),
        (403, NOT_THERE, ["no such project", "look at vertex.project"]),
        (403, PAYS_NOT, ["set-quota-project my-project", "roles/serviceusage.serviceUsageConsumer"]),
        (403, NO_BILLING, ["no billing account", "gcloud billing projects link my-project"]),
        (403, FORBIDDEN, ["VPC Service Controls", "ask who keeps it"]),
        (404, "nothing", ["not found", "vertex.project and vertex.region"]),
        (409, "twice", ["exists already"]),
        (429, "Quota 'CustomModelTrainingCPUs' exceeded", ["quota is used up", "CustomModelTrainingCPUs"]),
        (503, "down", ["not available for now", "try again later"]),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(stand_in: StandIn, status: int, said: str, told: list[str]) -> None:
    stand_in.refuse("endpoints", status, times=99, message=said)
    here = connect("my-project", "europe-west4")
    with pytest.raises(CloudError) as caught, explaining():
        retrying(lambda: list(here.endpoints.list_endpoints(parent=here.parent)))
    text = str(caught.value)
    assert text.startswith("Vertex AI in my-project, europe-west4: ")
    assert all(each in text for each in (said, *told))
    assert "\n" not in text
    assert "http" not in text


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (exceptions.Cancelled("The operation\nwas cancelled."), CANCELLED),
        (exceptions.InternalServerError("bug"), "it failed by itself (500: bug); try again later"),
        (exceptions.BadRequest("{project} and {x}"), "refused (400: {project} and {x})"),
        (exceptions.GoogleAPICallError("neither response nor error"), "refused (neither response nor error)"),
        (exceptions.DeadlineExceeded("slow"), "no answer in time (504: slow); try again later, or look at"),
    ],
)
def test_what_an_operation_ended_in_has_no_place(error: exceptions.GoogleAPICallError, told: str) -> None:
    assert refusal(error).startswith(f"Vertex AI: {told}")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("<!DOCTYPE html>\n<html><head><title>Blocked\n &amp; logged</title></head></html>", "Blocked & logged"),
        ("<html><style>p {}</style><body><h1>Access</h1>\n<p>denied</p></body></html>", "Access denied"),
        ("<html></html>", "an empty page"),
    ],
)
def test_of_a_proxys_page_the_title_is_told(page: str, said: str) -> None:
    told = refusal(exceptions.Forbidden(page))
    assert told.startswith(f"Vertex AI: a page that is not Vertex AI's answered (403: {said}); look at vertex.region")


def test_a_line_is_one_and_has_an_end() -> None:
    assert one_line(" a\r\nb\x00\x1b c\t") == "a b c"
    assert one_line("x" * MOST_SAID) == "x" * MOST_SAID
    assert one_line("x" * (MOST_SAID + 1)) == "x" * (MOST_SAID - 1) + "…"
