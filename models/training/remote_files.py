"""Files that may be remote, such as ``gs://…``."""

import tensorflow as tf


def write_atomically(path: str, content: bytes) -> None:
    """Writes a local or remote file so that a reader sees either all of it or the previous file."""
    partial = f"{path}.partial"
    with tf.io.gfile.GFile(partial, "wb") as file:
        file.write(content)
    tf.io.gfile.rename(partial, path, overwrite=True)
