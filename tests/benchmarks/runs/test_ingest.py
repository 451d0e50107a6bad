from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from conftest import ROOT, ROWS

from benchmarks.runs.ingest import CONTESTANTS


def rows(files: Iterable[Path]) -> list[list[Any]]:
    """Each row's values by feature, in an order that does not depend on who wrote them; what is missing left out."""
    found = []
    for record in tf.data.TFRecordDataset([str(path) for path in files], "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        kinds = {name: feature.WhichOneof("kind") for name, feature in features.items()}
        values = {name: (kind, list(getattr(features[name], kind).value)) for name, kind in kinds.items() if kind}
        found.append(sorted((name, *value) for name, value in values.items() if value[1]))
    return sorted(found, key=repr)


@pytest.mark.slow
def test_all_contestants_write_the_same_rows(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or their times would not be those of the same work."""
    monkeypatch.chdir(ROOT)
    written = {}
    for name, ingest in CONTESTANTS.items():
        assert ingest(table, tmp_path / name) > 0
        written[name] = rows((tmp_path / name).rglob("*.gz"))
    assert len(written["loop"]) == ROWS
    assert written["loop"] == written["onegraph"] == written["template"]
