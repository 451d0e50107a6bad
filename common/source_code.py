"""Functions named by import path, and digests of source code."""

import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any


def import_function(path: str) -> Callable[..., Any]:
    """Imports ``package.module.function``.

    >>> import_function("os.path.basename")("/models/taxi")
    'taxi'

    Raises:
        ValueError: The module or the function does not exist, or it is not a function.
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
    """SHA-256 of the source files of modules, without importing them.

    The digest of a package covers all modules in it and in its subpackages.

    >>> source_digest("common") == source_digest("common")
    True
    >>> source_digest("common") == source_digest("common.project")
    False

    Raises:
        ValueError: A module does not exist, or has no Python source.
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
