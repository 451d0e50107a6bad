"""Command-line options that both runners share."""

import os
from typing import Any

import click

from common.project import ROOT

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def set_keras_tuner_home() -> None:
    """Makes keras-tuner write its settings file, which it does on import, here rather than to the home folder."""
    os.environ.setdefault("KERAS_HOME", str(ROOT / ".cache/keras"))


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
