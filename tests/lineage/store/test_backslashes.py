import pytest
from ml_metadata.proto import metadata_store_pb2 as mlmd

from lineage.store.backslashes import BACKSLASH, PLACEHOLDER, replace_character

OLD, NEW = rf"{BACKSLASH}a{BACKSLASH}{BACKSLASH}", f"{PLACEHOLDER}a{PLACEHOLDER}{PLACEHOLDER}"


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
def test_all_strings_of_a_message_are_replaced_and_restored(make: "type") -> None:
    message = make(OLD)
    replace_character(message, BACKSLASH, PLACEHOLDER)
    assert message == make(NEW)
    replace_character(message, PLACEHOLDER, BACKSLASH)
    assert message == make(OLD)
