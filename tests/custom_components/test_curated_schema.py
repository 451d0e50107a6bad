from pathlib import Path

from tfx.types.standard_artifacts import Schema
from tfx.utils import io_utils

from custom_components.curated_schema.component import CuratedSchema

TEXT = """# people's own words, ünïcode
feature { name: "Straße" type: BYTES presence { min_fraction: 1.0 } }
"""


def test_the_text_becomes_a_schema_that_tfx_finds_and_reads(tmp_path: Path) -> None:
    schema = Schema()
    schema.uri = str(tmp_path)
    node = CuratedSchema(text=TEXT)
    node.executor_spec.executor_class().Do({}, {"schema": [schema]}, dict(node.exec_properties))
    path = io_utils.get_only_uri_in_dir(schema.uri)
    assert Path(path).read_text(encoding="utf-8") == TEXT
    (feature,) = io_utils.SchemaReader().read(path).feature
    assert feature.name == "Straße"


def test_the_text_is_part_of_the_cache_key() -> None:
    assert CuratedSchema(text=TEXT).exec_properties["text"] == TEXT
