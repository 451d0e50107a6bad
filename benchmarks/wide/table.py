"""A seeded table of any width: numbers, integers and words, some of them missing, and a label of two classes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

LABEL = "label"
INFORMATIVE = 20  # columns that the label depends on
MISSING = 0.05


def write_table(columns: int, rows: int, path: Path) -> None:
    """Writes the table as CSV. Three of ten columns have 5 to 50 words, two have integers, and five have numbers."""
    random = np.random.default_rng(0)
    table: dict[str, pa.Array] = {}
    score = np.zeros(rows)
    for place in range(columns):
        if place % 10 < 3:
            size = int(random.integers(5, 51))
            codes = np.minimum(random.geometric(min(0.9, 4 / size), rows) - 1, size - 1)
            effect = random.normal(size=size)[codes]
            words = pa.array([f"word {place} {code}" for code in range(size)])
            values = words.take(pa.array(codes, mask=_missing(place, rows, random)))
        else:
            is_integer = place % 10 < 5
            numbers = random.poisson(5, rows) if is_integer else random.lognormal(size=rows).round(4)
            effect = (numbers - numbers.mean()) / numbers.std()
            values = pa.array(numbers, mask=_missing(place, rows, random))
        table[f"column {place}"] = values
        if place < INFORMATIVE:
            score += effect
    positive = random.random(rows) < 1 / (1 + np.exp(np.median(score) - score))
    table[LABEL] = pa.array(np.where(positive, "yes", "no"))
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.csv.write_csv(pa.table(table), path)


def _missing(place: int, rows: int, random: np.random.Generator) -> "np.ndarray | None":
    """Which rows of a column lack a value: none in two of three columns."""
    return None if place % 3 else random.random(rows) < MISSING
