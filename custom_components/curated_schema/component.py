"""CuratedSchema: outputs the curated schema as an artifact."""

from tfx.components.schema_gen.executor import DEFAULT_FILE_NAME
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Schema
from tfx.utils import io_utils

# No "from __future__ import annotations" here: TFX needs the annotations as objects.


@component
def CuratedSchema(schema: OutputArtifact[Schema], text: Parameter[str]) -> None:
    """Writes a schema that is given as text.

    TFX's ImportSchemaGen takes a path, so it reuses its cached output after the file was edited, and the file is
    missing on other machines. The text is part of the cache key, the compiled pipeline and the lineage.

    Args:
        schema: Output artifact.
        text: A ``tensorflow_metadata.v0.Schema`` as text proto.
    """
    io_utils.write_string_file(f"{schema.uri}/{DEFAULT_FILE_NAME}", text)
