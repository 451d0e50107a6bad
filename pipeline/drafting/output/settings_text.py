"""Writes the settings of a draft."""

from collections.abc import Iterator
from typing import Any

from custom_components.arrow_example_gen.formats.dialect import COMMAS
from pipeline.drafting.choices.device import why_no_device
from pipeline.drafting.choices.evaluation import choose_metrics, choose_slices, choose_thresholds
from pipeline.drafting.choices.features import names
from pipeline.drafting.choices.plan import TRIALS
from pipeline.drafting.draft import Draft
from pipeline.drafting.output.yaml_text import block, commented, scalar

LABEL = "label"  # of the transformed label, which no transformed feature has

SPLITS = {
    "split_key": "rows with the same value stay in one split",
    "split_time": "training rows are earlier than validation rows, and these earlier than eval rows",
    "test_path": "the eval split",
}


def settings_text(draft: Draft, schema_path: str) -> str:
    """The settings as YAML.

    Args:
        draft: What was chosen.
        schema_path: Path of the schema, as ``data.schema`` names it.
    """
    parts = [_problem(draft), _features(draft), _data(draft, schema_path), _training(draft), _evaluation(draft)]
    if draft.plan.guard_seconds:
        parts.append(_skew_guard(draft))
    if why := why_no_device(draft.choices):
        parts.append(_device(why))
    return "\n".join("\n".join(part) + "\n" for part in parts)


def _problem(draft: Draft) -> Iterator[str]:
    target, read = draft.target, draft.read
    yield f"# Drafted from {read.rows:,} rows and {len(draft.choices):,} columns. docs/settings.md lists all keys."
    yield f"name: {scalar(draft.name)}"
    yield commented(f"task: {target.task}", f"the label has {target.reason}")
    yield ""
    yield "label:"
    yield f"  name: {scalar(LABEL)}"
    yield f"  column: {scalar(target.column.name)}"
    if target.classes:
        counts = ", ".join(f"{count:,}" for count in target.classes.values())
        yield commented(f"  classes: {scalar(list(target.classes))}", f"{counts} rows")
    if target.log:
        yield commented("  log: true", "skewed: the network learns the logarithm, and the model undoes it")


def _features(draft: Draft) -> Iterator[str]:
    reasons = {choice.column.name: choice.reason for choice in draft.choices}
    yield "features:"
    for kind, columns in draft.features.items():
        yield f"  {kind}:"
        for name, options in columns.items():
            yield commented(f"    {scalar(name)}: {scalar(options)}", reasons[name])
    for choice in draft.choices:
        if choice.use == "left out":
            yield commented(f"  # left out: {scalar(choice.column.name)}", choice.reason)


def _data(draft: Draft, schema_path: str) -> Iterator[str]:
    files = draft.files
    yield "data:"
    yield commented(f"  path: {scalar(files.path)}", f"a copy of {files.origin}" if files.origin else "")
    yield f"  pattern: {scalar(files.source.pattern)}"
    if not files.names_format:
        yield f"  format: {files.source.format}"
    dialect = files.source.dialect
    if dialect.delimiter != COMMAS.delimiter:
        yield f"  delimiter: {scalar(dialect.delimiter)}"
    if dialect.encoding != COMMAS.encoding:
        yield f"  encoding: {scalar(dialect.encoding)}"
    if draft.missing_values:
        yield f"  missing_values: {scalar(list(draft.missing_values))}"
    yield commented(f"  schema: {scalar(schema_path)}", "decides which data is refused: review it")
    sizes = ", ".join(f"{rows:,}" for rows in draft.split_rows.values())
    yield commented(f"  splits: {scalar(draft.plan.splits)}", f"about {sizes} rows")
    if draft.seed:
        yield commented(f"  split_seed: {draft.seed}", "the first seed with which the fewest splits lack a class")
    for key, value in draft.split.items():
        yield commented(f"  {key}: {scalar(value)}", SPLITS[key])
    for name in names(draft.choices, {"weight"}):
        yield commented(f"  weight_column: {scalar(name)}", "only in training, unless evaluation.weighted is true")


def _training(draft: Draft) -> Iterator[str]:
    plan = draft.plan
    yield commented("network:", f"sizes for {draft.target.column.present:,} rows")
    yield "  hyperparameters:"
    yield from block(plan.hyperparameters, 4)
    yield ""
    yield "training:"
    yield commented(f"  steps: {plan.steps}", "at most: training stops when the validation loss no longer improves")
    if rare := draft.target.rare:
        shown = f"'{rare[0]}'" + (f" and {len(rare) - 1} more" if len(rare) > 1 else "")
        yield commented("  # class_weights: balanced", f"finds more rows of {shown}, but overestimates probabilities")
    yield from block({"batch_size": plan.batch_size, "evaluate_every": plan.evaluate_every, "patience": plan.patience})
    yield ""
    yield "tuning:"
    yield commented(f"  enabled: {scalar(plan.tuned)}", plan.tuning_reason)
    yield from block({"trials": TRIALS, "steps": plan.tuning_steps})
    yield "  search:"
    units = int(plan.hyperparameters["hidden_units"])
    search: dict[str, dict[str, Any]] = {
        "learning_rate": {"min": 0.0005, "max": 0.01, "sampling": "log"},
        "dropout": {"values": [0.0, 0.1, 0.3]},
        "hidden_units": {"values": [units // 2, units, units * 2]},
    }
    yield from block(search, 4)


def _evaluation(draft: Draft) -> Iterator[str]:
    yield commented("evaluation:", "a model has to meet every threshold to be pushed")
    metrics, reason = choose_metrics(draft.target)
    yield commented(f"  metrics: {scalar(list(metrics))}", reason)
    if slices := choose_slices(draft.choices):
        yield f"  slices: {scalar([[name] for name in slices])}"
    yield "  thresholds:"
    for bound in choose_thresholds(draft.target, draft.eval_rows, "split_time" in draft.split):
        yield commented(f"    - {scalar({'metric': bound.metric, **bound.bounds})}", bound.reason)


def _skew_guard(draft: Draft) -> Iterator[str]:
    yield "skew_guard:"
    columns = len(names(draft.choices, {"feature"}))
    yield commented(f"  max_seconds: {draft.plan.guard_seconds}", f"a model of {columns:,} columns loads slowly")


def _device(why: str) -> Iterator[str]:
    yield "tflite:"
    yield commented("  enabled: false", why)
