"""Evaluates the conditions of a compiled pipeline: as much of CEL as TFX writes."""

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


def holds(condition: str, inputs: Mapping[str, Any]) -> bool:
    """Whether a condition holds.

    Args:
        condition: Such as ``inputs.artifacts['blessing'].artifacts[0].metadata['blessed'] == 1.0``.
        inputs: The task's inputs, as in the JSON of an ``ExecutorInput``.

    Raises:
        ValueError: It is none that TFX writes, or speaks of what is not there.
    """
    try:
        value = _value(parsed(condition), {"inputs": inputs})
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"found the condition {condition!r}, which cannot be evaluated: {error!r}") from error
    if not isinstance(value, bool):
        raise ValueError(f"found the condition {condition!r}, which is {value!r}; expected true or false")
    return value


def parsed(condition: str) -> ast.expr:
    """A condition as Python's syntax tree, whose every part is known, though what it speaks of may not be there.

    Raises:
        ValueError: It is none that TFX writes.
    """
    text = _NOT.sub(" not ", condition.replace("&&", " and ").replace("||", " or "))
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, MemoryError, RecursionError) as error:  # the latter two of what is nested too deep
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
