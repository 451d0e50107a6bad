"""Command-line options that both runners share."""

from typing import Any

import click

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _overrides(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise click.BadParameter(f"found '{key}'; expected KEY=VALUE, such as training.steps=200")
    return {key: value for key, _, value in pairs}


config_option = click.option(
    "--config", default="configs/taxi.yaml", show_default=True, metavar="FILE", help="Settings file."
)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_overrides,
    help="Override a setting, such as training.steps=200.",
)
cache_option = click.option("--no-cache", is_flag=True, help="Run every node, even unchanged ones.")
verbose_option = click.option("--verbose", is_flag=True, help="Print the traceback of an error.")
