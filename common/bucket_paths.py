"""Paths of objects in buckets."""

SCHEME = "gs://"
MOUNT = "/gcs/"  # where Vertex AI mounts every bucket in every job


def on_disk(uri: str) -> str:
    """The path at which code that knows files alone finds an object of Cloud Storage.

    Args:
        uri: ``gs://bucket/object``, or any path.

    Returns:
        ``/gcs/bucket/object``; any other path as it is.
    """
    return MOUNT + uri.removeprefix(SCHEME) if uri.startswith(SCHEME) else uri
