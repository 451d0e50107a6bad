"""Checks that the network function named in the settings exists."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from models.training_settings import DEFAULT_NETWORK
from pipeline.config.errors import ConfigError, unknown_name
from pipeline.config.settings import Config


def check_network(config: Config, settings: Path) -> None:
    """Checks that the network function exists, without importing its module.

    Args:
        config: The settings.
        settings: The YAML file, for errors.

    Raises:
        ConfigError: The module does not exist, or does not define the function.
    """
    module, _, name = config.network.function.rpartition(".")
    key = f"{settings}: network.function"
    reason = ""
    try:
        spec = importlib.util.find_spec(module) if module else None
    except (ImportError, ValueError):
        spec = None
    except Exception as error:  # finding a module imports the package that it is in, which may raise anything
        spec, reason = None, f" ({error})"
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ConfigError(
            f"{key}: found no module '{module}'{reason}; expected package.module.function, such as {DEFAULT_NETWORK}"
        )
    try:
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{key}: {spec.origin}: {error}; expected valid Python") from error
    names = list(_defined_names(tree))
    if name not in names:
        raise ConfigError(unknown_name(key, f"function of {module}", name, names))


def _defined_names(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name):
                yield name
            case ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name for alias in names)
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
