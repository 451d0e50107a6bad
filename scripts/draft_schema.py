"""Draft a schema from a table's files, for a person to review and tighten."""

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from common.terminal import printable, run_command
from custom_components.arrow_example_gen.source import Source, check_pattern, format_of
from custom_components.arrow_example_gen.spans import files_of
from custom_components.arrow_example_gen.table import RowChecks, Table, merge_types
from pipeline.results.run_folder import captured


@click.command()
@click.option("--data", required=True, metavar="DIR", help="Folder of files that have the same columns.")
@click.option("--pattern", default="*.csv", show_default=True, help="Files to read, as in data.pattern.")
@click.option(
    "--missing-value",
    "missing",
    multiple=True,
    metavar="TEXT",
    help="A cell of CSV files that means a missing value, as in data.missing_values. Can be repeated.",
)
@click.option("--out", required=True, metavar="FILE", help="Where to write the schema. The file must not exist.")
def main(data: str, pattern: str, missing: tuple[str, ...], out: str) -> None:
    """Draft a schema from a table's files, for you to review and tighten."""
    if Path(out).exists():
        sys.exit(f"{out}: the file exists; expected a new one: give another name, or remove it first")
    try:
        check_pattern(pattern, None, None)
        kind = format_of(pattern)
        assert kind
        files = files_of(Source(data, pattern, kind))
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        with captured(Path(os.devnull)):
            columns = draft(Table.of(kind, files[0], missing_values=missing), files, out)
    except (ValueError, OSError) as error:
        sys.exit(printable(" ".join(str(error).split())))
    found = f"{columns} columns from {counted(len(files))}"
    print(f"{shlex.quote(out)}: {found}. Review it: tighten domains, ranges and presence")


def draft(table: Table, files: Sequence[str], out: str) -> int:
    """Infers a schema from a table's files, writes it to ``out`` and returns the number of columns."""
    import tensorflow as tf  # takes seconds to import
    import tensorflow_data_validation as tfdv
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.beam.arguments import local_args
    from pipeline.config.beam import Beam

    options = PipelineOptions(local_args(Beam()))
    with tempfile.TemporaryDirectory() as folder:
        examples = os.path.join(folder, "examples")
        with tf.io.TFRecordWriter(examples) as writer:
            for record in records(table, files):
                writer.write(record)
        statistics = tfdv.generate_statistics_from_tfrecord(examples, pipeline_options=options)
    schema = tfdv.infer_schema(statistics, infer_feature_shape=False)
    order = {name: index for index, name in enumerate(table.columns or ())}
    for entries in (schema.feature, schema.string_domain):
        entries.sort(key=lambda entry: (order.get(entry.name, 0), entry.name))
    tfdv.write_schema_text(schema, out)
    return len(schema.feature)


def records(table: Table, files: Sequence[str]) -> Iterator[bytes]:
    """Yields a table's rows as the serialized tf.Examples that ExampleGen would write."""
    from custom_components.arrow_example_gen.encoding import encode, to_bytes  # takes seconds to import

    types, checks = merge_types(map(table.infer_types, files)), RowChecks(table)
    for path in files:
        before = 0
        for batch in table.read(path):
            checks.check(batch, path, before)
            yield from (
                batch if isinstance(batch, list) else to_bytes(encode(table.to_columns(batch, types, path, before)))
            )
            before += len(batch)


def counted(files: int) -> str:
    return f"{files} file{'' if files == 1 else 's'}"


if __name__ == "__main__":
    run_command(main)
