"""Removes the output folder from the names of vocabulary tables in a Transform graph."""

import os
import re
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint

from artifacts.names import SAVED_MODEL_FILE

SHARED_NAME = "shared_name"
# TensorFlow names a table after the file that it is read from, as Python shows the bytes of its path.
_FOLDER = re.compile(rb"b(['\"]).*/")


def remove_folders(directory: str) -> None:
    """Keeps only the file's name in the names of the tables of a SavedModel.

    Otherwise the same rows and settings would give other bytes in another folder, since the names contain the folder
    that Transform wrote to. Names stay unique, because each vocabulary has its own file name. TensorFlow adds a number
    to them whenever it loads the graph.

    Args:
        directory: The SavedModel, which is overwritten.
    """
    path = os.path.join(directory, SAVED_MODEL_FILE)
    with tf.io.gfile.GFile(path, "rb") as file:
        saved_model = saved_model_pb2.SavedModel.FromString(file.read())
    for node in _nodes(saved_model):
        if SHARED_NAME in node.attr:
            name = node.attr[SHARED_NAME]
            name.s = _FOLDER.sub(rb"b\1", name.s)
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(saved_model.SerializeToString(deterministic=True))
    write_fingerprint(directory)


def _nodes(saved_model: saved_model_pb2.SavedModel) -> Iterator[node_def_pb2.NodeDef]:
    for graph in saved_model.meta_graphs:
        yield from graph.graph_def.node
        for function in graph.graph_def.library.function:
            yield from function.node_def
