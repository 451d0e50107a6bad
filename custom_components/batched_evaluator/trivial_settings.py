"""Settings and names of the comparison with the trivial model. Imports nothing heavy."""

import dataclasses

from artifacts.names import GAIN

FIT = "fit"  # setting of such a metric, until the executor has fitted the trivial model
CLASS_NAME = "BatchedGain"  # of :mod:`.trivial_metrics`


def gain_name(metric: str) -> str:
    """Name under which TFMA writes the gain of a metric over the trivial model's.

    >>> gain_name("accuracy")
    'accuracy/gain'
    """
    return f"{metric}/{GAIN}"


@dataclasses.dataclass(frozen=True)
class TrivialSettings:
    """What the trivial model is fitted to.

    Attributes:
        split: The split.
        task: ``binary``, ``multiclass`` or ``regression``.
        label: Name of the tensor with the label, as the signature ``transform_label`` returns it.
        classes: Number of classes.
        weight: Raw column with the weights of the rows, or ``None``.
        time: Raw column with the time of the rows, if the label is a number and the table is split by time.
        newest: The split with the newest rows before the evaluated ones, if the table is split by time.
        evaluated: The split of the evaluated rows, if the table is split by time.
    """

    split: str
    task: str
    label: str
    classes: int = 0
    weight: str | None = None
    time: str | None = None
    newest: str | None = None
    evaluated: str | None = None
