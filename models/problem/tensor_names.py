"""Names of columns in TensorFlow's graphs.

A column may have any name. TensorFlow uses names for operations, for Python's keyword arguments and for files, each
with its own rules, and it ignores case in some of them. Names that fit all of these are kept. The others are replaced
in TensorFlow's graphs, and only there: examples, schemas, requests, reports and errors have the names of the table.
"""

import hashlib
import itertools
import keyword
import re
from collections.abc import Iterable, Iterator

MAX_LENGTH = 128  # of a name that is kept. A vocabulary's file is named after its column.
READABLE_LENGTH = 40  # of the part of a replaced name that shows the column
DIGITS = 8  # of the digest that tells replaced names apart
_FITTING = re.compile(rf"[A-Za-z][A-Za-z0-9_]{{0,{MAX_LENGTH - 1}}}")


def tensor_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Returns a name for TensorFlow for each name. They differ in more than case.

    The result depends only on the set of names, so it is the same in every process. A name that fits is kept, unless
    an earlier one in alphabetical order differs only in case.

    Args:
        names: The names, in any order.
        taken: Names that the result must not have.

    >>> tensor_names(["fare", "Trip miles", "class"])
    {'fare': 'fare', 'Trip miles': 'Trip_miles_4d07fa2c', 'class': 'class_e30c5a67'}
    """
    given = list(dict.fromkeys(names))
    used = {each.lower() for each in taken}
    found = {}
    for name in sorted(given, key=lambda each: (not _fits(each), each)):
        found[name] = next(each for each in _candidates(name) if each.lower() not in used)
        used.add(found[name].lower())
    return {name: found[name] for name in given}


def _fits(name: str) -> bool:
    return bool(_FITTING.fullmatch(name)) and not keyword.iskeyword(name) and name != "self"


def _candidates(name: str) -> Iterator[str]:
    """Yields the name if it fits, then readable names with different digests, without end."""
    if _fits(name):
        yield name
    readable = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
    if not readable[:1].isalpha():
        readable = f"column_{readable}"
    readable = readable[:READABLE_LENGTH].rstrip("_")
    for attempt in itertools.count():
        digest = hashlib.sha256(f"{attempt}:{name}".encode(errors="surrogatepass")).hexdigest()
        yield f"{readable}_{digest[:DIGITS]}"
