"""The kinds of features, and what their settings have in common.

To add a kind of feature:

1. Here: add its name to :data:`Kind`, and its types to :data:`FEATURE_KINDS`. Write a record of its settings in the
   module of similar kinds.
2. In :mod:`models.problem.features`: add a field to ``Features``.
3. In :mod:`models.transforms`: write a function that transforms all features of the kind, and add it to ``TRANSFORMS``
   in :mod:`models.transforms.kinds`. If the feature is categorical, add the number of its indices to ``SIZES``.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

MAX_BUCKETS = 10_000_000

Kind = Literal[
    "dense",
    "bucketed",
    "integer",
    "vocabulary",
    "hashed",
    "cyclical",
    "ratio",
    "difference",
    "missing",
    "crossed",
    "date",
    "text",
    "tags",
    "numbers",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
RawType = Literal["INT", "FLOAT", "BYTES"]


class Output(NamedTuple):
    """A tensor of transformed features.

    Attributes:
        dtype: Its dtype. Tensors of int64 are indices of categories.
        width: Number of values per row. Rows with fewer categories are filled up with the index 0.
    """

    dtype: Literal["float32", "int64"]
    width: int = 1


class FeatureKind(NamedTuple):
    """Input and output types of a kind of feature.

    Attributes:
        raw_types: Types that the raw column may have in the schema.
        output: The transformed feature, unless its settings say otherwise.
    """

    raw_types: tuple[RawType, ...]
    output: Output

    @property
    def is_categorical(self) -> bool:
        """Whether its values are indices of categories."""
        return self.output.dtype == "int64"


FEATURE_KINDS: Mapping[Kind, FeatureKind] = {
    "dense": FeatureKind(("INT", "FLOAT"), Output("float32")),
    "bucketed": FeatureKind(("INT", "FLOAT"), Output("int64")),
    "integer": FeatureKind(("INT",), Output("int64")),
    "vocabulary": FeatureKind(("INT", "BYTES"), Output("int64")),
    "hashed": FeatureKind(("INT", "BYTES"), Output("int64")),
    "cyclical": FeatureKind(("INT", "FLOAT"), Output("float32", width=2)),
    "ratio": FeatureKind(("INT", "FLOAT"), Output("float32")),
    "difference": FeatureKind(("INT", "FLOAT"), Output("float32")),
    "missing": FeatureKind(("INT", "FLOAT", "BYTES"), Output("float32")),
    "crossed": FeatureKind(("INT", "FLOAT", "BYTES"), Output("int64")),
    "date": FeatureKind(("INT", "BYTES"), Output("float32")),
    "text": FeatureKind(("BYTES",), Output("int64")),
    "tags": FeatureKind(("INT", "BYTES"), Output("int64")),
    "numbers": FeatureKind(("INT", "FLOAT", "BYTES"), Output("float32", width=4)),
}


class FeatureSettings:
    """What the settings of all kinds have in common."""

    @property
    def list_length(self) -> int | None:
        """Number of values per row that are read, if the raw column has lists, else ``None``."""
        return None

    @property
    def not_on_devices(self) -> str:
        """What TFLite's builtin operators cannot do for the feature. Empty if they can do everything."""
        return ""

    def raw_columns(self, name: str, /) -> tuple[str, ...]:
        """The raw columns that the feature ``name`` is computed from: the column of that name."""
        return (name,)

    def outputs(self, kind: FeatureKind) -> Mapping[str, Output]:
        """The tensors of a transformed feature, by what follows its name: one without a suffix."""
        return {"": kind.output}

    def type_problem(self, _raw_type: RawType, /) -> str | None:
        """What is wrong with the settings for a raw column of one of the kind's types, or ``None``."""
        return None


def check_different(*columns: str) -> None:
    """Raises ``ValueError`` if a column is named twice."""
    for index, column in enumerate(columns):
        if column in columns[:index]:
            raise ValueError(f"found the column '{column}' twice; expected different columns")
