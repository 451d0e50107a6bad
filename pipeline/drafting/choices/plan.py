"""Chooses splits, network, training and tuning from the size of a table.

The rule is written for the default network on two cores: a model is trained within a few minutes, whatever the table.

- A batch has about the square root of the training rows, as a power of two from 16 to 512, so that small tables get
  enough steps per pass and large ones use the processor.
- Training takes 40 passes over the rows, but at least 600 and at most 6,000 steps. It is evaluated 30 times, and stops
  after five evaluations without a better one, so most tables need a fraction of it.
- The network grows with the number of rows: from 16 units for a hundred rows to 128 for ten thousand and more. Small
  tables get dropout and a penalty on large weights.
- The skew guard gives a new process two seconds per column to load a model that reads more than 300. On a busy
  machine, 500 columns have taken longer than its default.
- Tuning needs a validation split that can tell networks apart, and time for several trainings.
"""

import dataclasses
import math

from models.problem.problem import Task

MIN_BATCH, MAX_BATCH = 16, 512
PASSES = 40
MIN_STEPS, MAX_STEPS = 600, 6_000
EVALUATIONS, PATIENCE = 30, 5
MIN_UNITS, MAX_UNITS = 16, 128
SMALL = 1_000  # rows below which the validation and eval splits get a larger share
FEW = 2_000  # training rows below which the network is regularized
TUNED_ROWS = range(2_000, 100_001)
TUNED_FEATURES = 200
MANY_FEATURES = 300
GUARD_SECONDS = 2  # per column
TRIALS = 4


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes of everything that depends on the number of rows.

    Attributes:
        splits: Relative size of each split.
        hyperparameters: Hyperparameters of the default network.
        batch_size: Rows per step.
        steps: Maximum number of steps.
        evaluate_every: Steps between two evaluations.
        patience: Evaluations without a better one before training stops.
        tuned: Whether to search for hyperparameters.
        tuning_steps: Maximum number of steps per trial.
        tuning_reason: Why.
        guard_seconds: Time limit of the skew guard, or ``None`` for its default.
    """

    splits: dict[str, int]
    hyperparameters: dict[str, float | int]
    batch_size: int
    steps: int
    evaluate_every: int
    patience: int
    tuned: bool
    tuning_steps: int
    tuning_reason: str
    guard_seconds: int | None


def make_plan(rows: int, features: int, task: Task, has_test: bool = False) -> Plan:
    """Makes a plan.

    Args:
        rows: Rows with a label, without those of a test table.
        features: Number of columns that features are computed from.
        task: The task.
        has_test: Whether the eval split is a test table.
    """
    splits = {"train": 6, "validation": 2, "eval": 2} if rows < SMALL else {"train": 7, "validation": 1, "eval": 2}
    splits = {name: size for name, size in splits.items() if name != "eval" or not has_test}
    train = max(rows * splits["train"] // sum(splits.values()), 1)
    batch = min(max(_power_of_two(math.sqrt(train)), MIN_BATCH), MAX_BATCH)
    steps = min(max(PASSES * train // batch, MIN_STEPS), MAX_STEPS)
    steps = 100 * round(steps / 100)
    tuned = rows in TUNED_ROWS and features <= TUNED_FEATURES
    return Plan(
        splits=splits,
        hyperparameters=_network(train, task),
        batch_size=batch,
        steps=steps,
        evaluate_every=max(steps // EVALUATIONS, 20),
        patience=PATIENCE,
        tuned=tuned,
        tuning_steps=max(steps // 4, MIN_STEPS // 2),
        tuning_reason=_tuning_reason(rows, features),
        guard_seconds=GUARD_SECONDS * features if features > MANY_FEATURES else None,
    )


def _network(train: int, task: Task) -> dict[str, float | int]:
    units = min(max(_power_of_two(1.5 * math.sqrt(train)), MIN_UNITS), MAX_UNITS)
    few = train < FEW
    found: dict[str, float | int] = {
        "hidden_layers": 2,
        "hidden_units": units,
        "dropout": 0.0 if task == "regression" else 0.2 if few else 0.1,
        "embedding_size": 4 if few else 8,
        "learning_rate": 0.003 if few else 0.001,
    }
    return found | ({"l2": 0.0001} if few else {})


def _tuning_reason(rows: int, features: int) -> str:
    if rows < TUNED_ROWS.start:
        return f"the validation split of {rows:,} rows is too small to tell networks apart"
    if rows >= TUNED_ROWS.stop:
        return f"each trial on {rows:,} rows takes minutes"
    if features > TUNED_FEATURES:
        return f"each trial with {features:,} features takes minutes"
    return f"{TRIALS} short trials on {rows:,} rows take about a minute"


def _power_of_two(number: float) -> int:
    return 2 ** round(math.log2(max(number, 1)))
