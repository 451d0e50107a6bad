"""Hypothesis strategies for raw rows of the small table: missing, unseen and extreme values, and any bytes."""

import math

import tensorflow as tf
from hypothesis import strategies as st
from small_table import LISTS, SPEC, Row

FLOATS = st.floats(width=32) | st.sampled_from([math.nan, math.inf, 0.0, -0.0, 1e38, -1e38, 1e-45])
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 100) | st.integers(-(2**45), 2**45)
DATES = st.datetimes().map(lambda each: each.isoformat().encode()) | st.sampled_from(
    [b"29 Feb 2024", b"1 february 2024"]
)
WORDS = ["Zürich", "Nice", "size", "東京", "2024", " ", "|", "_", "!", "ẞ", "İ"]
STRINGS = st.sampled_from([b"", b"red", "Zürich".encode(), b"a"]) | st.text(max_size=9).map(str.encode) | st.binary()
STRINGS |= st.lists(st.sampled_from(WORDS), max_size=9).map(lambda words: "".join(words).encode())
VALUES: dict[tf.DType, st.SearchStrategy[float | int | str | bytes | None]] = {
    tf.float32: FLOATS,
    tf.int64: INTEGERS,
    tf.string: STRINGS | DATES,
}
random_rows: st.SearchStrategy[Row] = st.fixed_dictionaries(
    {},
    optional={
        name: st.lists(VALUES[spec.dtype], max_size=6) if name in LISTS else VALUES[spec.dtype]
        for name, spec in SPEC.items()
    },
)
