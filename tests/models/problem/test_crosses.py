import pytest

from models.problem.categories import Crossed, Hashed, Integer, Vocabulary
from models.problem.crosses import Cross, Part, cross_of
from models.problem.features import Features
from models.problem.numbers import Bucketed

INDEXED = Features(
    bucketed={"fare": Bucketed(buckets=9)},
    integer={"fare": Integer(min=0, max=99), "hour": Integer(min=0, max=23)},
    vocabulary={"city": Vocabulary(top_k=7, oov_buckets=2), "street": Vocabulary()},
    hashed={"company": Hashed(buckets=4), "user": Hashed(buckets=100_000)},
)


def cross(*columns: str, buckets: int | None = None) -> Cross:
    return INDEXED.cross(Crossed(columns=columns, buckets=buckets))


def test_an_exact_cross_has_an_index_for_each_combination() -> None:
    found = cross("fare", "hour", "city", "company")
    assert found.parts == (
        Part("fare", "bucketed", 10),
        Part("hour", "integer", 26),
        Part("city", "vocabulary", 10),
        Part("company", "hashed", 5),
    )
    assert found.size == 10 * 26 * 10 * 5


def test_a_hashed_cross_has_the_values_and_the_buckets_of_numbers() -> None:
    found = cross("fare", "hour", "street", "other", buckets=50)
    assert found.parts == (
        Part("fare", "bucketed", 0),
        Part("hour", None, 0),
        Part("street", None, 0),
        Part("other", None, 0),
    )
    assert found.size == 51


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (("user", "hour"), "found 100,001 x 26 = 2,600,026 combinations; expected at most 100,000: hash them with 'b"),
        (("street", "hour"), "found the vocabulary of 'street', whose size is not known before a run; set its 'top_k'"),
        (("hour", "day"), "found 'day', which has no categorical feature; add it to bucketed, integer, vocabulary or"),
    ],
)
def test_a_cross_of_unknown_or_large_size_needs_buckets(columns: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        cross(*columns)
    assert cross(*columns, buckets=10).size == 11


def test_features_in_the_graph_have_the_names_of_the_graph() -> None:
    declared = Features(
        bucketed={"1st fare": Bucketed(buckets=9)},
        crossed={"a b": Crossed(columns=("1st fare", "the city"), buckets=10)},
    )
    [feature] = declared.of_kind("crossed")
    names = declared.tensor_names
    assert feature.columns == (names["1st fare"], names["the city"])
    assert [part.column for part in feature.spec.parts] == [f"{names['1st fare']}_bucketed", names["the city"]]
    assert cross_of(declared.crossed["a b"], {"bucketed": declared.bucketed}).parts[0].column == "1st fare"
