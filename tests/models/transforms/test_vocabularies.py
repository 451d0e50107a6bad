"""The vocabularies of several columns, computed together."""

from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from models.problem.categories import Vocabulary
from models.transforms.vocabularies import VocabularyFile, WriteVocabularies

# Of each column: its words, which of them to keep, and the expected lines.
COLUMNS = {
    "frequency": ([b"a", b"b", b"b", b"c", b"c", b"c"], Vocabulary(), [b"c", b"b", b"a"]),
    "ties": ([b"b", b"a", b"\xff", b"a", b"b", b"", "é".encode()], Vocabulary(), [b"b", b"a", b"\xff", b"\xc3\xa9"]),
    "few": ([b"a", b"b", b"b", b"c", b"c", b"d", b"d"], Vocabulary(top_k=2), [b"d", b"c"]),
    "frequent": ([b"a", b"b", b"b", b"c", b"c", b"c"], Vocabulary(min_frequency=2), [b"c", b"b"]),
    "both": ([b"a", b"b", b"b", b"c", b"c", b"c"], Vocabulary(min_frequency=2, top_k=5), [b"c", b"b"]),
    "lines": ([b"a\nb", b"\r", b"a b", b"\n"], Vocabulary(), [b"a b"]),
    "rare": ([b"a", b"b"], Vocabulary(min_frequency=3), [b"49d0cd50-04bb-48c0-bc6f-5b575dce351a"]),
    "empty": ([b""], Vocabulary(), [b"49d0cd50-04bb-48c0-bc6f-5b575dce351a"]),
    "integer": ([b"7", b"-3", b"12", b"12"], Vocabulary(), [b"12", b"7", b"-3"]),
    "empty_integer": ([], Vocabulary(top_k=9), [b"-1"]),
}
ROWS = max(len(words) for words, *_ in COLUMNS.values())


@pytest.mark.parametrize("workers", [1, 2])
def test_files_have_the_words_by_frequency(tmp_path: Path, workers: int) -> None:
    columns = [words + [b""] * (ROWS - len(words)) for words, *_ in COLUMNS.values()]
    matrix = np.array(columns, object).T
    files = [VocabularyFile(name, "int" in name, spec) for name, (_, spec, _) in COLUMNS.items()]
    transform = WriteVocabularies(files, "all of them")
    transform.base_temp_dir = str(tmp_path / "new")
    options = PipelineOptions([], direct_num_workers=workers, direct_running_mode="multi_threading")
    with beam.Pipeline(runner=FnApiRunner(), options=options) as pipeline:
        *outputs, together, places = (
            pipeline | beam.Create([(matrix[row : row + 1],) for row in range(ROWS)]) | transform
        )
        paths = [output | f"{name}" >> beam.Map(str) for name, output in zip(COLUMNS, outputs, strict=True)]
        assert_that(paths | beam.Flatten(), equal_to([str(tmp_path / "new" / name) for name in COLUMNS]))
        assert_that(together | beam.Map(str), equal_to([str(tmp_path / "new/all of them")]), "Together")
        sizes = [len(lines) for *_, lines in COLUMNS.values()]
        expected = [[[sum(sizes[:place]) for place in range(len(sizes))], sizes]]
        assert_that(places | "List" >> beam.Map(lambda each: each.tolist()), equal_to(expected), "Places")
    written = {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    everything = [b"%d:%s" % (place, line) for place, (*_, lines) in enumerate(COLUMNS.values()) for line in lines]
    assert written.pop("all of them").splitlines() == everything
    assert written == {name: b"".join(line + b"\n" for line in lines) for name, (_, _, lines) in COLUMNS.items()}
