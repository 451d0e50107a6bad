"""Command-line options that both runners share."""

from typing import Any

import click

from common.dotted_keys import split_assignment

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _overrides(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    overrides = {}
    for value in values:
        key, text = split_assignment(value) or ("", "")
        if not key:
            found = value.partition("=")[0]
            raise click.BadParameter(f"found '{found}'; expected KEY=VALUE, such as training.steps=200")
        overrides[key] = text
    return overrides


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
