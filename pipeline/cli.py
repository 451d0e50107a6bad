"""What the command lines of both runners share."""

import os
from typing import Any

import click

from common.project import ROOT

OK, FAILED, REFUSED, ANOMALIES, NOT_BLESSED = range(5)
INTERRUPTED = 130
# By how a run, or a check of a compiled one, ended.
EXIT_CODES = {"pushed": OK, "partial": OK, "failed": FAILED, "anomalies": ANOMALIES, "not_blessed": NOT_BLESSED}
CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def keep_home_clean() -> None:
    """Has keras-tuner write its settings, as it does on import, into this folder and not into the user's home."""
    os.environ.setdefault("KERAS_HOME", str(ROOT / ".cache/keras"))


def _overrides(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise click.BadParameter(f"found '{key}'; expected KEY=VALUE, such as training.steps=200")
    return {key: value for key, _, value in pairs}


config_option = click.option(
    "--config", default="configs/taxi.yaml", show_default=True, metavar="FILE", help="Settings of the problem."
)
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", callback=_overrides, help="Override a setting."
)
cache_option = click.option("--no-cache", is_flag=True, help="Run every node, even if nothing changed.")
verbose_option = click.option("--verbose", is_flag=True, help="Print the trace of an error.")
