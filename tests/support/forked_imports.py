"""Imported by the process that :mod:`forked` forks from. Imports what a run imports, in the same way."""

import importlib

from common.deferred_imports import defer_imports
from common.keras_environment import set_keras_environment

set_keras_environment()
with defer_imports():
    importlib.import_module("pipeline.local.run")
for name in ("models.run_fn", "models.training.trainer", "reports.page"):  # what nodes and the report import late
    importlib.import_module(name)
