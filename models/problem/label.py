"""The label of a learning problem."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass

from models.problem.class_values import class_text
from models.problem.types import STRICT, Name

ClassName = Annotated[str, BeforeValidator(class_text)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Above:
    """A threshold that turns a number into a binary label: ``column > value`` or ``column > fraction * of``.

    Attributes:
        value: A constant to compare with.
        fraction: Fraction of the column ``of`` to compare with.
        of: The column that ``fraction`` applies to.
    """

    value: float | None = None
    fraction: float | None = None
    of: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.fraction is None) or (self.fraction is None) != (self.of is None):
            raise ValueError("expected either 'value', or 'fraction' together with 'of'")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Label:
    """The label that the model learns to predict.

    Attributes:
        name: Name of the transformed label.
        column: Raw column with the true values.
        above: Threshold that turns a number into a binary label.
        classes: Class names by class index. Without ``above`` these are the values of the raw column, as text. For the
            numbers that they stand for, see :func:`models.problem.class_values.numeric_values`.
        log: Learn ``sign(x) * log(1 + |x|)`` of the label of a regression, for a heavy-tailed label.
        scale: How the label of a regression is scaled for the network: ``z_score`` (zero mean, unit variance over the
            train split), or ``none``. ``None`` is ``z_score`` for a regression. Predictions have the unit of the table.
    """

    name: Name
    column: str
    above: Above | None = None
    classes: Annotated[tuple[ClassName, ...], Field(min_length=2)] | None = None
    log: bool = False
    scale: Literal["z_score", "none"] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that the label is computed from."""
        return (self.column, self.above.of) if self.above and self.above.of else (self.column,)
