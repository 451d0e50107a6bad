"""The values of a raw column that stand for the classes of a label."""

import math
import re
from collections.abc import Mapping, Sequence

# What YAML reads as a boolean. A column of text has one of these spellings, and a column of numbers has 0 and 1.
SPELLINGS = {"false": ("false", "False", "FALSE"), "true": ("true", "True", "TRUE")}
INTEGER = re.compile(r"[-+]?[0-9]+")


def class_text(value: object) -> object:
    """Returns the name of a class that YAML reads as a boolean or a number. Other values are returned as they are.

    >>> class_text(True), class_text(-1), class_text(0.5), class_text("No")
    ('true', '-1', '0.5', 'No')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else value


def text_values(names: Sequence[str]) -> Mapping[str, int]:
    """The class of each text: of its name, or of any spelling if the classes are ``false`` and ``true``.

    >>> text_values(["No", "Yes"])
    {'No': 0, 'Yes': 1}
    >>> text_values(["true", "false"])["FALSE"]
    1
    """
    if set(names) == set(SPELLINGS):
        return {spelling: index for index, name in enumerate(names) for spelling in SPELLINGS[name]}
    return {name: index for index, name in enumerate(names)}


def numeric_values(names: Sequence[str]) -> Mapping[int | float, int]:
    """The class of each number. ``false`` and ``true`` stand for 0 and 1. Whole numbers are integers.

    >>> numeric_values(["-1", "+1"]), numeric_values(["true", "false"]), numeric_values(["0.0", "0.5"])
    ({-1: 0, 1: 1}, {1: 0, 0: 1}, {0: 0, 0.5: 1})

    Raises:
        ValueError: A name is not a number, or two names are the same number.
    """
    is_boolean = set(names) == set(SPELLINGS)
    found: dict[int | float, int] = {}
    for index, name in enumerate(names):
        number = list(SPELLINGS).index(name) if is_boolean else _number(name)
        if number in found:
            raise ValueError(f"found the classes '{names[found[number]]}' and '{name}', which are the same number")
        found[number] = index
    return found


def _number(name: str) -> int | float:
    if INTEGER.fullmatch(name):
        return int(name)
    try:
        number = float(name)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"found the class '{name}', which is not a number")
    return int(number) if number.is_integer() else number
