"""What a command of lineage refuses."""


class LineageError(ValueError):
    """A store, run, version or artifact cannot be had; the message says what was found and what is there."""
