"""Words of texts and values of lists, compared with scikit-learn and with Python."""

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from small_table import EVERY_KIND, small_table

from models.problem.lists import Tags, Text
from models.transforms.splitting import values_of, words_of

WORD = re.compile(r"[^\W_]+")
LETTERS = st.sampled_from("aBzÄßéДя東 2٣_-'!.\n")  # one character in lower case, in all versions of Unicode


def words(texts: Sequence[str | bytes], spec: Text) -> list[list[str]]:
    found = words_of(tf.constant(texts)[:, tf.newaxis], spec).numpy().tolist()
    return [[word.decode() for word in row if word] for row in found]


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(LETTERS, max_size=30), min_size=1, max_size=5))
def test_a_text_is_split_into_the_words_that_python_finds(texts: list[str]) -> None:
    found = [WORD.findall(text.lower()) for text in texts]
    pairs = [[f"{one} {other}" for one, other in itertools.pairwise(each[:4])] for each in found]
    expected = [each[:4] + more for each, more in zip(found, pairs, strict=True)]
    assert words(texts, Text(max_words=4, ngrams=2)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop_now, GRÖSSE 42!", ["don", "t", "stop", "now", "grösse", "42"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs are marks on letters
        ("我喜欢这部电影。很好", ["我喜欢这部电影", "很好"]),
        (b"caf\xe9 bar", ["caf", "bar"]),  # not UTF-8
        ("... !?", []),
        ("", []),
    ],
)
def test_words_of_any_script(text: str | bytes, expected: list[str]) -> None:
    assert words([text], Text()) == [expected]


def test_words_do_not_depend_on_the_language_of_the_machine() -> None:
    code = (
        "import tensorflow as tf; from models.problem.lists import Text; "
        "from models.transforms.splitting import words_of; "
        "print(b' '.join(words_of(tf.constant([['TITLE İSTANBUL ÍI\\u0301']]), Text(max_words=3)).numpy()[0]))"
    )
    turkish = os.environ | {"LC_ALL": "tr_TR.UTF-8"}
    printed = subprocess.check_output([sys.executable, "-c", code], env=turkish, text=True)
    assert printed.strip() == str("title istanbul íi\u0301".encode())


@pytest.mark.parametrize(
    ("values", "spec", "expected"),
    [
        (["Action| Comedy ||x|y"], Tags(max_length=4, separator="|"), [["Action", "Comedy", "", "x"]]),
        (["a, b", ""], Tags(max_length=3, separator=", "), [["a", "b", ""], ["", "", ""]]),
        ([["b", "", "a"]], Tags(max_length=3), [["b", "", "a"]]),
        ([[3, -(2**63), 7]], Tags(max_length=2), [["3", ""]]),
    ],
)
def test_values_of_lists(values: list[Any], spec: Tags, expected: list[list[str]]) -> None:
    raw = [value if isinstance(value, list) else [value] for value in values]
    found = values_of(tf.constant(raw, tf.int64 if isinstance(raw[0][0], int) else tf.string), spec)
    assert found.numpy().tolist() == [[each.encode() for each in row] for row in expected]


def test_tf_idf_equals_that_of_scikit_learn() -> None:
    table, spec = small_table(), EVERY_KIND.text["note"]
    texts = [row["note"] or "" for row in table.rows]
    first = [" ".join(row[: spec.max_words]) for row in words(texts, Text(max_words=spec.max_words))]
    theirs = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), min_df=2, norm=None).fit(first)
    transformed = table.transform(table.rows)
    vocabulary = table.graph.vocabulary_by_name("note_text")
    assert {word.decode() for word in vocabulary} == set(theirs.vocabulary_)
    ours = np.zeros([len(texts), len(vocabulary) + 1])
    rows = np.arange(len(texts))[:, np.newaxis]
    np.add.at(ours, (rows, transformed["note_text"]), transformed["note_text_weights"])
    places = [theirs.vocabulary_[word.decode()] for word in vocabulary]
    np.testing.assert_allclose(ours[:, 1:], theirs.transform(first).toarray()[:, places], rtol=1e-6)
    assert (ours[:, 0] == 0).all()


def test_tags_are_numbered_by_the_number_of_rows_with_them() -> None:
    table = small_table()
    assert table.graph.vocabulary_by_name("genres_tags") == ["Zürich".encode(), "東京".encode(), b"Bern"]
    rows = [{"genres": "Bern|Zürich"}, {"genres": "Bern|Bern|||Zürich"}, {"genres": "?"}, {}]
    assert table.transform(rows)["genres_tags"].tolist() == [[3, 1, 0], [3, 3, 0], [4, 0, 0], [0, 0, 0]]
    assert len(table.graph.vocabulary_by_name("likes_tags")) == 3
    several = table.transform([{"likes": ["Zürich", "", "Bern", "Chur"]}])["likes_tags"]
    assert several[0, 1] == 0
    assert (several[0, [0, 2]] > 0).all()
