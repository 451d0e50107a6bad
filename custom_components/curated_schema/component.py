"""CuratedSchema: the schema that people keep, as an artifact."""

from tfx.components.schema_gen.executor import DEFAULT_FILE_NAME
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Schema
from tfx.utils import io_utils

# No "from __future__ import annotations" here: TFX reads the annotations as they stand.


@component
def CuratedSchema(schema: OutputArtifact[Schema], text: Parameter[str]) -> None:
    """Writes a schema that is given as text.

    TFX's ImportSchemaGen takes a path, so an edited file is answered from the cache, and a file on this machine is
    not there on another. Text is part of the cache key, of the compiled pipeline, and of the lineage.

    Args:
        schema: Where it is written.
        text: A ``tensorflow_metadata.v0.Schema`` as text proto.
    """
    io_utils.write_string_file(f"{schema.uri}/{DEFAULT_FILE_NAME}", text)
