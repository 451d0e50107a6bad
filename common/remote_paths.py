"""Paths of files that are not on this machine."""

SCHEME_END = "://"


def is_remote(path: str) -> bool:
    """Returns whether a path is in a bucket or on another remote file system.

    >>> is_remote("gs://bucket/taxi.csv"), is_remote("data/taxi.csv")
    (True, False)
    """
    return SCHEME_END in path
