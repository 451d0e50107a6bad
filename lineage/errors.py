"""The error that the lineage commands report."""


class LineageError(ValueError):
    """A store, run, version or artifact was not found or could not be read.

    The message is one line that says what was found, what was expected, and how to fix it.
    """
