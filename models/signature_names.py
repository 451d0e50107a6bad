"""Renames the inputs and outputs of a SavedModel's signatures.

TensorFlow takes their names from Python's arguments and from the names of its graph, which allow only some characters.
Servers read them from the signature definitions, where any text is allowed.
"""

import dataclasses
import os
from collections.abc import Mapping, MutableMapping

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint

from artifacts.names import SAVED_MODEL_FILE


@dataclasses.dataclass(frozen=True)
class Names:
    """New names of a signature's inputs and outputs, by old name. The others keep theirs."""

    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    outputs: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def change(self) -> bool:
        """Whether a new name differs from its old one."""
        return any(old != new for names in (self.inputs, self.outputs) for old, new in names.items())


def rename_tensors(directory: str, names: Mapping[str, Names]) -> None:
    """Renames inputs and outputs of signatures for servers. Functions of the loaded model keep their arguments.

    Args:
        directory: The SavedModel, which is overwritten if a name changes.
        names: New names by signature.
    """
    if not any(each.change for each in names.values()):
        return
    path = os.path.join(directory, SAVED_MODEL_FILE)
    with tf.io.gfile.GFile(path, "rb") as file:
        saved_model = saved_model_pb2.SavedModel.FromString(file.read())
    for graph in saved_model.meta_graphs:
        for key, each in names.items():
            _rename(graph.signature_def[key].inputs, each.inputs)
            _rename(graph.signature_def[key].outputs, each.outputs)
    with tf.io.gfile.GFile(f"{path}.partial", "wb") as file:  # so that nobody reads half a file
        file.write(saved_model.SerializeToString(deterministic=True))
    tf.io.gfile.rename(f"{path}.partial", path, overwrite=True)
    write_fingerprint(directory)


def _rename(tensors: "MutableMapping[str, meta_graph_pb2.TensorInfo]", names: Mapping[str, str]) -> None:
    """Renames the keys of a map in a message. A new key may be the old one of another entry."""
    renamed = {}
    for name, info in tensors.items():
        renamed[names.get(name, name)] = copied = meta_graph_pb2.TensorInfo()
        copied.CopyFrom(info)
    tensors.clear()
    for name, info in renamed.items():
        tensors[name].CopyFrom(info)
