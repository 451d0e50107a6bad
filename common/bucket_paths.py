"""Paths of objects in Cloud Storage."""

SCHEME = "gs://"
MOUNT = "/gcs/"  # where Vertex AI mounts all buckets


def mounted_path(uri: str) -> str:
    """The path of an object in the file system, for code that can only use files.

    Args:
        uri: ``gs://bucket/object``, or any path.

    Returns:
        ``/gcs/bucket/object``. Any other path is returned as is.

    >>> mounted_path("gs://bucket/model/saved_model.pb")
    '/gcs/bucket/model/saved_model.pb'
    >>> mounted_path("/tmp/model")
    '/tmp/model'
    """
    return MOUNT + uri.removeprefix(SCHEME) if uri.startswith(SCHEME) else uri
