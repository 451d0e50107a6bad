"""Errors that the user can fix, in one line each."""

import difflib
from collections.abc import Iterable

MAX_TEXT = 200  # characters of a name or a path that are shown
MAX_NAMES, NEAREST = 60, 10  # a longer list is cut to the nearest names


class UserError(ValueError):
    """An error that the user can fix. The message is always one line."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))


class ConfigError(UserError):
    """Settings that cannot be used."""


class DataError(UserError):
    """The data is not the table that the settings describe."""


def shortened(text: object) -> str:
    """Returns the text, cut if it is long.

    >>> shortened("x" * 5000)[-5:]
    'xx...'
    """
    shown = str(text)
    return shown if len(shown) <= MAX_TEXT else f"{shown[: MAX_TEXT - 3]}..."


def unknown_name(key: str, kind: str, found: str, known: Iterable[str]) -> str:
    """Returns one line for an unknown name, with the allowed names and the nearest one.

    >>> unknown_name("training.stpes", "key", "stpes", ["steps", "seed"])
    "training.stpes: unknown key 'stpes'; allowed: seed, steps; did you mean 'steps'?"
    """
    known, found = sorted(known), shortened(found)
    nearest = difflib.get_close_matches(found, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    shown = known if len(known) <= MAX_NAMES else difflib.get_close_matches(found, known, n=NEAREST, cutoff=0.0)
    more = f" (and {len(known) - len(shown)} more)" if len(shown) < len(known) else ""
    return f"{key}: unknown {kind} '{found}'; allowed: {', '.join(shown) or 'none'}{more}{hint}"


def check_names(key: str, kind: str, found: Iterable[str], known: Iterable[str]) -> None:
    """Checks that all names are known.

    Raises:
        ValueError: One line for the first unknown name.
    """
    known = list(known)
    for name in found:
        if name not in known:
            raise ValueError(unknown_name(f"{key}.{name}", kind, name, known))
