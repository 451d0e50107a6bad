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
        time: Raw column with the time of the rows, if they were split by time and the label is a number. The label of
            the latest ones is then predicted if that is better on the rows of ``later``.
        later: The split with the rows that come next.
    """

    split: str
    task: str
    label: str
    classes: int = 0
    weight: str | None = None
    time: str | None = None
    later: str | None = None
