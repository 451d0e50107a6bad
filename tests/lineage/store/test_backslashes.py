import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from lineage.store.backslashes import BACKSLASH, STAND_IN, exchange

OLD, NEW = rf"{BACKSLASH}a{BACKSLASH}{BACKSLASH}", f"{STAND_IN}a{STAND_IN}{STAND_IN}"


def filled(text: str) -> mlmd.Artifact:
    made = mlmd.Artifact(id=3, uri=text, type_id=4)
    made.properties[text].string_value = text
    made.custom_properties["struct"].struct_value.update({text: [text, {"b": text}], "number": 1})
    return made


def events(text: str) -> mlmd.Event:
    made = mlmd.Event(artifact_id=1)
    made.path.steps.add().key = text
    made.path.steps.add().index = 2
    return made


@pytest.mark.parametrize("make", [filled, events, lambda text: mlmd.ArtifactType(name=text, properties={text: 1})])
def test_all_text_of_a_message_is_exchanged_and_comes_back(make: "type") -> None:
    message = make(OLD)
    exchange(message, BACKSLASH, STAND_IN)
    assert message == make(NEW)
    exchange(message, STAND_IN, BACKSLASH)
    assert message == make(OLD)
