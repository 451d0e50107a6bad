"""Chooses the options of features with several words or numbers per row."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.compute as pc

from models.problem.kinds import Kind
from pipeline.drafting.table.columns import Column

MAX_WORDS = 200  # of a text
LONG = 0.98  # of the texts, at least, are read completely
RARE = {0: 2, 5_000: 3, 50_000: 5}  # by number of rows: the texts that a word has to be in
MAX_VOCABULARY = 10_000
MAX_TAGS = 1_000  # of a vocabulary
MAX_LENGTH = 100
SPARE = 1.5  # times the length of the longest list is allowed in new data


def text(column: Column) -> tuple[Mapping[Kind, Mapping[str, Any]], str]:
    """Options of free text: a vocabulary without rare words, and as many words as almost all texts have."""
    texts = column.sample.drop_null()
    words = pc.add(pc.count_substring_regex(texts, r"\s+"), 1).to_numpy(zero_copy_only=False)
    # The sample has only the start of long texts.
    longer = max(column.max_bytes / max(pc.max(pc.binary_length(texts)).as_py() or 1, 1), 1)
    limit = min(math.ceil(float(np.quantile(words, LONG)) * longer / 10) * 10, MAX_WORDS)
    rare = max(least for rows, least in RARE.items() if column.rows >= rows)
    options = {"max_words": limit, "min_frequency": rare, "top_k": MAX_VOCABULARY, "weights": "tf_idf"}
    return {"text": options}, f"free text, {words.mean():.0f} words on average"


def several(column: Column) -> tuple[Mapping[Kind, Mapping[str, Any]], str]:
    """Options of lists: as many values as the longest has, and some to spare."""
    lists = column.lists
    assert lists
    options: dict[str, Any] = {"max_length": min(math.ceil(lists.longest * SPARE), MAX_LENGTH)}
    if lists.separator:
        options["separator"] = lists.separator
    if not lists.is_exact or options["max_length"] < lists.longest:
        options["cut"] = True
    at_most = f"up to {lists.longest:,}" + ("" if lists.is_exact else " in the sample")
    if lists.is_number:
        return {"numbers": options}, f"{at_most} numbers per row"
    if lists.distinct is None or lists.distinct > MAX_TAGS:
        options["top_k"] = MAX_TAGS
    known = "" if lists.distinct is None else f" of {lists.distinct:,}"
    return {"tags": options}, f"{at_most} values{known} per row"
