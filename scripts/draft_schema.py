"""Draft a schema from the files of a table, to be read and tightened by a person."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from custom_components.arrow_example_gen.csv_types import merge_types
from custom_components.arrow_example_gen.source import Source, check_pattern, format_of
from custom_components.arrow_example_gen.spans import files_of
from custom_components.arrow_example_gen.table import Table, infer_types, to_columns
from pipeline.results.run_folder import captured


@click.command()
@click.option("--data", required=True, metavar="DIR", help="Folder of files that share their columns.")
@click.option("--pattern", default="*.csv", show_default=True, help="Which files: data.pattern of the settings.")
@click.option("--out", required=True, metavar="FILE", help="Where the schema is written; must not exist.")
def main(data: str, pattern: str, out: str) -> None:
    """Draft a schema from the files of a table, to be read and tightened by a person."""
    if Path(out).exists():
        sys.exit(f"{out}: is there already; give another file, or remove it first")
    try:
        check_pattern(pattern, None, None)
        kind = format_of(pattern)
        assert kind
        files = files_of(Source(data, pattern, kind))
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        with captured(Path(os.devnull)):
            columns = draft(Table.of(kind, files[0]), files, out)
    except ValueError as error:
        sys.exit(str(error))
    print(f"{out}: {columns} columns from {len(files)} files; read it and say what you know")


def draft(table: Table, files: Sequence[str], out: str) -> int:
    """Infers a schema from a table's files, writes it to ``out`` and returns its number of columns."""
    import tensorflow as tf  # takes seconds
    import tensorflow_data_validation as tfdv
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.beam.arguments import local_args
    from pipeline.config.settings import Beam

    options = PipelineOptions(local_args(Beam()))
    with tempfile.TemporaryDirectory() as folder:
        examples = os.path.join(folder, "examples")
        with tf.io.TFRecordWriter(examples) as writer:
            for record in records(table, files):
                writer.write(record)
        statistics = tfdv.generate_statistics_from_tfrecord(examples, pipeline_options=options)
    schema = tfdv.infer_schema(statistics, infer_feature_shape=False)
    places = {name: place for place, name in enumerate(table.columns or ())}
    for parts in (schema.feature, schema.string_domain):
        parts.sort(key=lambda each: (places.get(each.name, 0), each.name))
    tfdv.write_schema_text(schema, out)
    return len(schema.feature)


def records(table: Table, files: Sequence[str]) -> Iterator[bytes]:
    """Yields the rows of a table as the tf.Examples that ExampleGen makes of them."""
    from custom_components.arrow_example_gen.encoding import encode, to_bytes  # takes seconds

    types = merge_types(infer_types(table, path) for path in files)
    for path in files:
        for batch in table.read(path):
            yield from batch if isinstance(batch, list) else to_bytes(encode(to_columns(batch, types)))


if __name__ == "__main__":
    main()
