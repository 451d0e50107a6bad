"""Settings of the kinds of features that are numbers."""

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass

from models.problem.kinds import MAX_BUCKETS, FeatureSettings, check_different
from models.problem.types import STRICT


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ScaledNumber(FeatureSettings):
    """What the settings of all numbers that the network reads directly have in common.

    Attributes:
        scale: ``z_score`` (zero mean, unit variance over the training split), ``min_max`` (0 to 1) or ``none``.
        log: Take ``sign(x) * log(1 + |x|)`` before scaling, for heavy-tailed numbers.
    """

    scale: Literal["z_score", "min_max", "none"] = "z_score"
    log: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Dense(ScaledNumber):
    """A number that the network reads directly, scaled."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Bucketed(FeatureSettings):
    """A number replaced by the index of its quantile over the training split.

    Attributes:
        buckets: Number of quantile buckets.
    """

    buckets: Annotated[int, Ge(2), Le(MAX_BUCKETS)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Cyclical(FeatureSettings):
    """A periodic number, such as an hour of the day, replaced by the sine and cosine of its angle.

    Attributes:
        period: Length of one period, in the unit of the column.
    """

    period: Annotated[float, Gt(0)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Ratio(ScaledNumber):
    """One number divided by another, scaled. It is missing if one of them is, or if the quotient is not finite.

    Attributes:
        numerator: Column of the number that is divided.
        denominator: Column of the number that it is divided by.
    """

    numerator: str
    denominator: str

    def __post_init__(self) -> None:
        check_different(self.numerator, self.denominator)

    def raw_columns(self, _name: str, /) -> tuple[str, ...]:
        """The two columns."""
        return (self.numerator, self.denominator)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Difference(ScaledNumber):
    """One number minus another, scaled. It is missing if one of them is.

    Attributes:
        of: Column of the number to subtract from.
        minus: Column of the number that is subtracted.
    """

    of: str
    minus: str

    def __post_init__(self) -> None:
        check_different(self.of, self.minus)

    def raw_columns(self, _name: str, /) -> tuple[str, ...]:
        """The two columns."""
        return (self.of, self.minus)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Missing(FeatureSettings):
    """Whether the value of a column is missing: 1 or 0."""
