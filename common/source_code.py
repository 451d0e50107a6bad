"""Functions named by import path, and a digest of the code that they stand in."""

import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any


def import_function(path: str) -> Callable[..., Any]:
    """Imports ``package.module.function``.

    Raises:
        ValueError: There is no such module, or no such function in it.
    """
    module_name, _, name = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"cannot import '{path}': {error}; expected package.module.function") from error
    if not callable(function):
        raise ValueError(f"'{path}' is {type(function).__name__}; expected a function")
    return function


def source_digest(*modules: str) -> str:
    """SHA-256 over the sources of modules, or of all modules of a package, without importing them.

    Raises:
        ValueError: There is no such module, or it has no Python source.
    """
    digest = hashlib.sha256()
    for name in modules:
        try:
            spec = importlib.util.find_spec(name)
        except ImportError:
            spec = None
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            raise ValueError(f"found no module '{name}'; expected one that can be imported from the project's folder")
        origin = Path(spec.origin)
        for source in sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]:
            digest.update(str(source.relative_to(origin.parent)).encode() + source.read_bytes())
    return digest.hexdigest()
