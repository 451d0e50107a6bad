"""Evaluates the conditions of a compiled pipeline: the subset of CEL that TFX writes."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

_NOT = re.compile(r"!(?!=)")
_OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.Gt: operator.gt,
}
_VALUES = (ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Load)
_KNOWN = (*_VALUES, ast.UnaryOp, ast.Not, ast.BoolOp, ast.boolop, ast.Compare, *_OPERATORS)


def evaluate_condition(condition: str, inputs: Mapping[str, Any]) -> bool:
    """Returns whether a condition is true.

    >>> artifact = {"metadata": {"blessed": 1}}
    >>> inputs = {"artifacts": {"blessing": {"artifacts": [artifact]}}}
    >>> evaluate_condition("inputs.artifacts['blessing'].artifacts[0].metadata['blessed'] == 1.0", inputs)
    True

    Args:
        condition: Such as ``inputs.artifacts['blessing'].artifacts[0].metadata['blessed'] == 1.0``.
        inputs: The task's inputs, as in the JSON of an ``ExecutorInput``.

    Raises:
        ValueError: The condition is not one that TFX writes, or it refers to a missing input.
    """
    try:
        value = _value(parse_condition(condition), {"inputs": inputs})
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"found the condition {condition!r}, which cannot be evaluated: {error!r}") from error
    if not isinstance(value, bool):
        raise ValueError(f"found the condition {condition!r}, which evaluates to {value!r}; expected true or false")
    return value


def parse_condition(condition: str) -> ast.expr:
    """Parses a condition into a Python syntax tree of known nodes. The inputs it refers to are not checked.

    Raises:
        ValueError: The condition is not one that TFX writes.
    """
    text = _NOT.sub(" not ", condition.replace("&&", " and ").replace("||", " or "))
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, MemoryError, RecursionError) as error:  # the last two for deep nesting
        raise ValueError(f"found the condition {condition!r}, which cannot be read: {error}") from error
    for node in ast.walk(tree):
        if not isinstance(node, _KNOWN):
            raise ValueError(
                f"found the condition {condition!r}, with {type(node).__name__}; expected what TFX writes: inputs, "
                "constants, ==, !=, <, >, !, && and ||"
            )
    return tree


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    found: Any
    match node:
        case ast.Constant(value=found):
            pass
        case ast.Name(id=name):
            found = names[name]
        case ast.Attribute(value=owner, attr=key):
            found = _value(owner, names)[key]
        case ast.Subscript(value=owner, slice=index):
            found = _value(owner, names)[_value(index, names)]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            found = not _value(operand, names)
        case ast.BoolOp(op=joined, values=values):
            each = [_value(value, names) for value in values]
            found = all(each) if isinstance(joined, ast.And) else any(each)
        case ast.Compare(left=left, ops=[comparison], comparators=[right]) if type(comparison) in _OPERATORS:
            found = _OPERATORS[type(comparison)](_value(left, names), _value(right, names))
        case _:
            raise TypeError(ast.unparse(node))
    return found
