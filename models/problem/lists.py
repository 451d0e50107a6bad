"""Settings of the kinds of features with several values per row: ``text``, ``tags`` and ``numbers``."""

from collections.abc import Mapping
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import Field
from pydantic.dataclasses import dataclass

from models.problem.kinds import MAX_BUCKETS, FeatureKind, FeatureSettings, Output
from models.problem.types import STRICT, PositiveInt

MAX_WORDS = 10_000
WEIGHTS = "_weights"  # follows the name of a feature in that of its weights. No kind has this name.


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Text(FeatureSettings):
    """Free text replaced by its words, and the pairs of words that follow each other.

    Attributes:
        max_words: Number of words that are read from the start of each text.
        ngrams: 1 for words, 2 for words and pairs of neighboring words.
        top_k: Keep only this many of the words that are in the most texts. ``None`` keeps all.
        min_frequency: Drop words that are in fewer texts than this.
        buckets: Number of hash buckets, instead of a vocabulary.
        weights: ``uniform``, or ``tf_idf``, with which rare words count more than frequent ones.
    """

    max_words: Annotated[int, Ge(1), Le(MAX_WORDS)] = 100
    ngrams: Literal[1, 2] = 1
    top_k: PositiveInt | None = None
    min_frequency: PositiveInt = 1
    buckets: Annotated[int, Ge(2), Le(MAX_BUCKETS)] | None = None
    weights: Literal["uniform", "tf_idf"] = "uniform"

    def __post_init__(self) -> None:
        _check_one_index(self.buckets, self.top_k, self.min_frequency)
        if self.buckets and self.weights == "tf_idf":
            raise ValueError("found both 'buckets' and weights 'tf_idf', which are counted by word; remove one of them")

    @property
    def width(self) -> int:
        """Number of words and pairs of words per row."""
        return self.max_words if self.ngrams == 1 else 2 * self.max_words - 1

    @property
    def not_on_devices(self) -> str:
        """TFLite cannot split text."""
        return "split text into words"

    def outputs(self, kind: FeatureKind) -> Mapping[str, Output]:
        """The indices of the words, and their weights unless these are uniform."""
        found = {"": kind.output._replace(width=self.width)}
        return found if self.weights == "uniform" else found | {WEIGHTS: Output("float32", self.width)}


class ListSettings(FeatureSettings):
    """What kinds with several values per row have in common. See :class:`Tags`."""

    separator: str | None
    max_length: int
    cut: bool

    @property
    def list_length(self) -> int | None:
        """As many values as the settings allow, unless the values are in one text."""
        return None if self.separator else self.max_length


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Tags(ListSettings):
    """Several categories per row, such as ``Action|Comedy``, each replaced by its rank by frequency or its hash.

    Attributes:
        max_length: Maximum number of values per row.
        separator: What separates the values of a text. ``None`` for a column of lists.
        cut: Whether to read only the first values of longer lists. Otherwise, the run stops before training.
        top_k: Keep only this many of the values that are in the most rows. ``None`` keeps all.
        min_frequency: Drop values that are in fewer rows than this.
        oov_buckets: Number of hash buckets for values that are not in the vocabulary.
        buckets: Number of hash buckets, instead of a vocabulary.
    """

    max_length: Annotated[int, Ge(1), Le(MAX_WORDS)]
    separator: Annotated[str, Field(min_length=1)] | None = None
    cut: bool = False
    top_k: PositiveInt | None = None
    min_frequency: PositiveInt = 1
    oov_buckets: Annotated[int, Ge(1), Le(MAX_BUCKETS)] = 1
    buckets: Annotated[int, Ge(2), Le(MAX_BUCKETS)] | None = None

    def __post_init__(self) -> None:
        _check_one_index(self.buckets, self.top_k, self.min_frequency)
        if self.buckets and self.oov_buckets > 1:
            raise ValueError("found both 'buckets' and 'oov_buckets'; expected hash buckets or a vocabulary")

    @property
    def not_on_devices(self) -> str:
        """TFLite cannot compare lists of strings."""
        return "look up several words per row"

    def outputs(self, kind: FeatureKind) -> Mapping[str, Output]:
        """The indices of the values."""
        return {"": kind.output._replace(width=self.max_length)}


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Numbers(ListSettings):
    """Several numbers per row, replaced by how many there are, their mean, the smallest and the largest.

    Attributes:
        max_length: As in :class:`Tags`.
        separator: As in :class:`Tags`.
        cut: As in :class:`Tags`.
    """

    max_length: Annotated[int, Ge(1), Le(MAX_WORDS)]
    separator: Annotated[str, Field(min_length=1)] | None = None
    cut: bool = False

    @property
    def not_on_devices(self) -> str:
        """TFLite can reduce numbers, but not read them from text."""
        return "split text into numbers" if self.separator else ""


def _check_one_index(buckets: int | None, top_k: int | None, min_frequency: int) -> None:
    if buckets and (top_k or min_frequency > 1):
        found = "top_k" if top_k else "min_frequency"
        raise ValueError(f"found both 'buckets' and '{found}'; expected hash buckets or a vocabulary")
