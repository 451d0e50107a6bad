"""Errors of a draft."""

from pipeline.config.errors import UserError


class DraftError(UserError):
    """A table or an option from which no settings can be drafted. The message is always one line."""
