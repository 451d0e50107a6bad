"""A problem with a table of three columns, for tests of settings and checks."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.config.loading import load_config
from pipeline.config.settings import Config

SETTINGS = """
name: tiny
task: binary
label: {name: generous, column: tips, above: {fraction: 0.2, of: fare}}
features: {dense: {fare: {}}, vocabulary: {payment: {}}}
data: {path: table, schema: SCHEMA}
evaluation:
  {metrics: [accuracy], slices: [[payment], [hour]], thresholds: [{metric: accuracy, min: 0.5}], min_rows: 1}
tuning: {enabled: false}
"""
SCHEMA = """
feature { name: "tips" type: FLOAT presence { min_fraction: 1 } float_domain { disallow_nan: true } }
feature { name: "fare" type: FLOAT presence { min_fraction: 1 } float_domain { disallow_nan: true } }
feature { name: "miles" type: FLOAT presence { min_fraction: 1 } }
feature { name: "seconds" type: INT presence { min_fraction: 0.95 } }
feature { name: "hour" type: INT int_domain { min: 0 max: 23 } }
feature { name: "answer" type: INT presence { min_fraction: 1 } int_domain { min: 0 max: 1 } }
feature { name: "grade" type: INT presence { min_fraction: 1 } int_domain { min: 0 max: 5 } }
feature { name: "payment" type: BYTES domain: "payment" }
feature { name: "colour" type: BYTES presence { min_fraction: 1 } string_domain { value: "red" value: "blue" } }
feature { name: "company" type: BYTES presence { min_fraction: 1 } }
string_domain { name: "payment" value: "cash" value: "card" }
"""
HEADER = b"tips,fare,payment\n"
ROW = b"1.0,5.0,cash\n"


def settings_file(folder: Path, schema: bytes | None = SCHEMA.encode()) -> Path:
    if schema is not None:
        (folder / "schema.pbtxt").write_bytes(schema)
    path = folder / "tiny.yaml"
    path.write_text(SETTINGS.replace("SCHEMA", str(folder / "schema.pbtxt")))
    return path


def config_for(folder: Path, files: Mapping[str, bytes] | None) -> Config:
    table = folder / "table"
    if files is not None:
        table.mkdir()
        for name, content in files.items():
            (table / name).write_bytes(content)
    return load_config(settings_file(folder), data=str(table))
