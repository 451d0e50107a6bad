"""Checks the settings against the curated schema."""

from collections.abc import Iterator
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from common.dotted_keys import join_key
from common.small_files import read_small_text
from models.problem.kinds import FEATURE_KINDS, FeatureSettings, Kind, RawType
from pipeline.config.errors import ConfigError, unknown_name
from pipeline.config.settings import Config
from pipeline.preflight.domains import BYTES, FLOAT, INT, feature_of
from pipeline.preflight.labels import check_label
from pipeline.preflight.slices import check_slices
from pipeline.preflight.weights import check_weight_column

TYPES: dict[Kind, tuple["schema_pb2.FeatureType.ValueType", ...]] = {
    kind: tuple(schema_pb2.FeatureType.Value(name) for name in spec.raw_types) for kind, spec in FEATURE_KINDS.items()
}
RAW_TYPES: dict["schema_pb2.FeatureType.ValueType", RawType] = {INT: "INT", FLOAT: "FLOAT", BYTES: "BYTES"}


def load_schema(config: Config, settings: Path) -> schema_pb2.Schema:
    """Reads the curated schema.

    Args:
        config: Settings that name the schema file.
        settings: The YAML file, for errors.

    Raises:
        ConfigError: The file is missing or is not a schema.
    """
    path = config.data.schema
    try:
        return text_format.Parse(read_small_text(Path(path)), schema_pb2.Schema())
    except OSError as error:
        raise ConfigError(
            f"{settings}: data.schema: {path}: {error.strerror}; expected a TFDV schema as text proto"
        ) from error
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{settings}: data.schema: {path}: {error}; expected a TFDV schema as text proto") from error


def column_types(schema: schema_pb2.Schema) -> dict[str, str]:
    """The type of each column that the schema names one for: ``INT``, ``FLOAT`` or ``BYTES``."""
    return {
        feature.name: schema_pb2.FeatureType.Name(feature.type)
        for feature in schema.feature
        if feature.type in (INT, FLOAT, BYTES)
    }


def check_against_schema(config: Config, schema: schema_pb2.Schema, settings: Path) -> None:
    """Checks that the schema has every column named in the settings, with a type that suits its use.

    Args:
        config: The settings.
        schema: The curated schema.
        settings: The YAML file, for errors.

    Raises:
        ConfigError: One line for the first column that fails.
    """
    types = {feature.name: feature.type for feature in schema.feature}
    for key, column in _named_columns(config):
        if column not in types:
            kind = f"column of {Path(config.data.schema).name}"
            raise ConfigError(unknown_name(f"{settings}: {key}", kind, column, types))
    _check_names(config, settings)
    for feature in schema.feature:
        if feature.HasField("shape"):
            raise ConfigError(
                f"{settings}: data.schema: feature '{feature.name}' has a shape; expected none, since any column may "
                "have missing values: remove 'shape { … }' from the feature"
            )
    _check_lists(config, schema, settings)
    for kind, name in config.features:
        for column in config.features.raw_columns(kind, name):
            key = f"{settings}: {join_key(['features', kind, name])}"
            _check_type(key, kind, types[column])
            if kind == "crossed" and types[column] == FLOAT and column not in config.features.bucketed:
                raise ConfigError(
                    f"{key}: the schema has type FLOAT for '{column}'; a cross needs INT or BYTES, or the buckets of a "
                    f"number: add {join_key(['features', 'bucketed', column])}"
                )
            if problem := config.features.spec(kind, name).type_problem(RAW_TYPES[types[column]]):
                raise ConfigError(f"{key}: {problem}")
            _check_separator(key, config.features.spec(kind, name), kind, types[column])
    check_label(config, schema, settings)
    check_weight_column(config, schema, settings)
    check_slices(config, schema, settings)


def _check_names(config: Config, settings: Path) -> None:
    """Refuses what a name cannot be in a TFLite model."""
    for column in config.features.columns:
        if not column or "\0" in column:
            raise ConfigError(
                f"{settings}: features: found the column {column!r}; expected a name with a character, and without NUL "
                "characters: rename it in the header and in the schema"
            )


def _check_lists(config: Config, schema: schema_pb2.Schema, settings: Path) -> None:
    """Refuses several values per row in labels and most features. Rows are split and sliced by lists as TFX does."""
    of_lists = {join_key(["features", *each]) for each in config.features if config.features.spec(*each).list_length}
    for key, column in _named_columns(config):
        feature = feature_of(schema, column)
        if key in of_lists:
            if feature.value_count.max == 1:
                raise ConfigError(
                    f"{settings}: {key}: the schema has one value per row in '{column}'; expected lists, or a "
                    "'separator' between the values of a text"
                )
            continue
        several = feature.HasField("value_count") and feature.value_count.max != 1
        if (several or feature.HasField("value_counts")) and key.startswith(
            ("features.", "label.", "data.weight_column")
        ):
            raise ConfigError(
                f"{settings}: {key}: the schema allows lists in '{column}'; expected a column with one value per row, "
                "value_count { max: 1 }, or a feature of the kind tags or numbers without a separator: use one of "
                "these kinds, or replace the list with several columns when you make the table"
            )


def _named_columns(config: Config) -> Iterator[tuple[str, str]]:
    for kind, name in config.features:
        for column in config.features.raw_columns(kind, name):
            yield join_key(["features", kind, name]), column
    yield "label.column", config.label.column
    if config.label.above and config.label.above.of:
        yield "label.above.of", config.label.above.of
    for key in ("split_key", "split_time", "split_column", "weight_column"):
        if column := getattr(config.data, key):
            yield f"data.{key}", column
    for index, columns in enumerate(config.evaluation.slices):
        for column in columns:
            yield f"evaluation.slices.{index}", column


def _check_type(key: str, kind: Kind, found: "schema_pb2.FeatureType.ValueType") -> None:
    if found not in TYPES[kind]:
        names = " or ".join(schema_pb2.FeatureType.Name(each) for each in TYPES[kind])
        raise ConfigError(f"{key}: the schema has type {schema_pb2.FeatureType.Name(found)}; {kind} needs {names}")


def _check_separator(key: str, spec: FeatureSettings, kind: Kind, found: "schema_pb2.FeatureType.ValueType") -> None:
    separator = getattr(spec, "separator", None)
    if separator and found != BYTES:
        name = schema_pb2.FeatureType.Name(found)
        raise ConfigError(f"{key}.separator: the schema has type {name}; expected BYTES, or no separator for lists")
    if kind == "numbers" and found == BYTES and not separator:
        raise ConfigError(f"{key}: the schema has type BYTES; expected a 'separator' between the numbers of a text")
