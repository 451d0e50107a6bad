"""Draft a schema from CSV files, to be read and tightened by a person."""

import os
import sys
from pathlib import Path

import click

from pipeline.run_folder import captured


@click.command()
@click.option("--data", required=True, metavar="DIR", help="Folder of CSV files with the same header line.")
@click.option("--pattern", default="*.csv", show_default=True, help="Which files.")
@click.option("--out", required=True, metavar="FILE", help="Where the schema is written; must not exist.")
def main(data: str, pattern: str, out: str) -> None:
    """Draft a schema from CSV files, to be read and tightened by a person."""
    files = sorted(Path(data).glob(pattern))
    if not files:
        sys.exit(f"{data}: found no file that matches {pattern}; expected CSV files")
    if Path(out).exists():
        sys.exit(f"{out}: is there already; give another file, or remove it first")
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with captured(Path(os.devnull)):
        columns = draft(str(Path(data) / pattern), out)
    print(f"{out}: {columns} columns from {len(files)} files; read it and say what you know")


def draft(pattern: str, out: str) -> int:
    """Infers a schema from the files that match ``pattern``, writes it to ``out`` and returns its number of columns."""
    import tensorflow_data_validation as tfdv  # takes seconds
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.beam import local_args
    from pipeline.config import Beam

    options = PipelineOptions(local_args(Beam()))
    statistics = tfdv.generate_statistics_from_csv(pattern, pipeline_options=options)
    schema = tfdv.infer_schema(statistics, infer_feature_shape=False)
    tfdv.write_schema_text(schema, out)
    return len(schema.feature)


if __name__ == "__main__":
    main()
