import dataclasses
from typing import Any

import pytest

from cloud.registry import register_version
from cloud.serving import ServingSettings, container
from cloud.stand_in import BROKEN, StandIn
from cloud.vertex import CloudError, Connection, connect

KEY = "projects/p/locations/europe-west4/keyRings/ring/cryptoKeys/key"
SERVING = ServingSettings(endpoint="rides", model="taxi", image="host/serving:1", machine="n2-standard-4")


@pytest.fixture
def here(stand_in: StandIn) -> Connection:
    return connect("my-project", "europe-west4")


def uploads(stand_in: StandIn) -> list[dict[str, Any]]:
    return [each.body for each in stand_in.requests if each.path.endswith("models:upload")]


def numbers(here: Connection, model: str) -> list[str]:
    """The registry's numbers of a model's versions."""
    return [each.version_id for each in here.models.list_model_versions(name=model)]


def test_a_version_is_uploaded_with_its_server_alias_labels_and_key(here: Connection, stand_in: StandIn) -> None:
    serving = dataclasses.replace(SERVING, labels={"team": "rides"}, encryption_key=KEY)
    version = register_version(here, serving, "100", "gs://bucket/deployed/100")
    [upload] = uploads(stand_in)
    served = upload["model"].pop("containerSpec")
    assert upload == {
        "model": {
            "displayName": "taxi",
            "artifactUri": "gs://bucket/deployed/100",
            "versionAliases": ["pushed-100"],
            "labels": {"team": "rides"},
            "encryptionSpec": {"kmsKeyName": KEY},
        }
    }
    assert (served["imageUri"], served["args"]) == ("host/serving:1", container(serving)["args"])
    [model] = stand_in.resources("models")
    assert (version.model, version.number, version.name) == (model["name"], "1", f"{model['name']}@1")


def test_the_next_push_is_the_next_version_of_the_same_model(here: Connection, stand_in: StandIn) -> None:
    first = register_version(here, SERVING, "100", "gs://bucket/100")
    second = register_version(here, SERVING, "200", "gs://bucket/200")
    assert (second.model, second.number) == (first.model, "2")
    assert [each.get("parentModel") for each in uploads(stand_in)] == [None, first.model]


def test_a_version_that_is_registered_is_not_uploaded_again(here: Connection, stand_in: StandIn) -> None:
    for _ in range(2):
        register_version(here, SERVING, "100", "gs://bucket/100")
    assert len(uploads(stand_in)) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, BROKEN])
@pytest.mark.parametrize("pushed", ["100", "200"])
def test_an_upload_with_a_lost_response_creates_one_version(
    here: Connection, stand_in: StandIn, status: int, pushed: str
) -> None:
    """Of a new model too."""
    if pushed == "200":
        register_version(here, SERVING, "100", "gs://bucket/100")
    stand_in.refuse("models:upload", status, after=True)
    version = register_version(here, SERVING, pushed, f"gs://bucket/{pushed}")
    [model] = stand_in.resources("models")
    assert version.model == model["name"]
    assert numbers(here, version.model) == (["1"] if pushed == "100" else ["1", "2"])
    assert version.number == numbers(here, version.model)[-1]


def test_a_failed_upload_is_tried_again(here: Connection, stand_in: StandIn) -> None:
    stand_in.refuse("models:upload", BROKEN, times=2)
    assert register_version(here, SERVING, "100", "gs://bucket/100").number == "1"
    assert len(uploads(stand_in)) == 3


def test_two_models_with_one_name_are_rejected(here: Connection, stand_in: StandIn) -> None:
    model = {"display_name": "taxi", "container_spec": {"image_uri": "image"}}
    for _ in range(2):
        here.models.upload_model(parent=here.parent, model=model)
    with pytest.raises(CloudError, match="found 2 models named taxi; expected one: delete the others in the console"):
        register_version(here, SERVING, "100", "gs://bucket/100")
