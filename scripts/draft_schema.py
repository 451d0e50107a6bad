"""Draft a schema from CSV files, to be read and tightened by a person."""

import sys
from pathlib import Path

import click


@click.command()
@click.option("--data", required=True, metavar="DIR", help="Folder of CSV files with the same header line.")
@click.option("--pattern", default="*.csv", show_default=True, help="Which files.")
@click.option("--out", required=True, metavar="FILE", help="Where the schema is written; must not exist.")
def main(data: str, pattern: str, out: str) -> None:
    """Draft a schema from CSV files, to be read and tightened by a person."""
    target = Path(out)
    files = sorted(Path(data).glob(pattern))
    if not files:
        sys.exit(f"{data}: found no file that matches {pattern}; expected CSV files")
    if target.exists():
        sys.exit(f"{out}: is there already; give another --out, or remove it first")

    import tensorflow_data_validation as tfdv  # takes seconds
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.beam import beam_args
    from pipeline.config import Beam

    statistics = tfdv.generate_statistics_from_csv(
        str(Path(data) / pattern), pipeline_options=PipelineOptions(beam_args(Beam()))
    )
    schema = tfdv.infer_schema(statistics, infer_feature_shape=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    tfdv.write_schema_text(schema, str(target))
    print(f"{out}: {len(schema.feature)} columns from {len(files)} files; read it and say what you know")


if __name__ == "__main__":
    main()
