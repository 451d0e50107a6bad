"""Checks the slices of the thresholds against the curated schema."""

from pathlib import Path

from tensorflow_metadata.proto.v0 import schema_pb2

from artifacts.slices import SliceValue, read_by_tfma, to_float32, value_text
from common.dotted_keys import join_key
from pipeline.config.errors import ConfigError, unknown_name
from pipeline.config.settings import Config
from pipeline.preflight.domains import BYTES, FLOAT, INT, domain_of, feature_of

EXPECTED = {
    BYTES: "text: write it in quotes",
    INT: "an integer of 64 bits, without quotes",
    FLOAT: "a number that float32 can hold, without quotes",
}


def check_slices(config: Config, schema: schema_pb2.Schema, settings: Path) -> None:
    """Refuses a threshold on a slice that the schema forbids, or that TFMA reads as another slice.

    Args:
        config: The settings.
        schema: The curated schema, which has all columns of the slices.
        settings: The YAML file, for errors.

    Raises:
        ConfigError: One line for the first value that fails.
    """
    for index, threshold in enumerate(config.evaluation.thresholds):
        for column, value in threshold.slice.items():
            key = join_key(["evaluation", "thresholds", str(index), "slice", column])
            _check_value(f"{settings}: {key}", value, schema, column)


def _check_value(key: str, value: SliceValue, schema: schema_pb2.Schema, column: str) -> None:
    found_type = feature_of(schema, column).type
    if not _has_type(value, found_type):
        name = schema_pb2.FeatureType.Name(found_type)
        expected = EXPECTED.get(found_type, "a column of type BYTES, INT or FLOAT")
        raise ConfigError(
            f"{key}: found {value!r} ({type(value).__name__}); the schema has type {name}; expected {expected}"
        )
    domain = domain_of(schema, column)
    if domain.values and value_text(value) not in domain.values:
        raise ConfigError(unknown_name(key, "value", value_text(value), domain.values))
    if isinstance(value, str):
        _check_text(key, value, domain.values)
    elif not domain.min <= value <= domain.max:
        raise ConfigError(f"{key}: found {value}; the schema allows {domain.range}")


def _has_type(value: SliceValue, column_type: "schema_pb2.FeatureType.ValueType") -> bool:
    if column_type == BYTES:
        return isinstance(value, str)
    if isinstance(value, str):
        return False
    if column_type == INT:
        return isinstance(value, int) and -(2**63) <= value < 2**63
    return column_type == FLOAT and _is_float32(value)


def _is_float32(value: float) -> bool:
    """Whether float32 has an integer exactly, or a fraction approximately."""
    try:
        nearest = to_float32(value)
    except OverflowError:
        return False
    return nearest == value if isinstance(value, int) else abs(nearest) != float("inf")


def _check_text(key: str, text: str, domain: tuple[str, ...]) -> None:
    """Refuses text that TFMA cannot tell from other text, since it reads both as the same number."""
    number = read_by_tfma(text)
    if isinstance(number, str):
        return
    if not domain:
        raise ConfigError(
            f"{key}: found '{text}', which TFMA reads as the number {number}, like every other text with that number; "
            "expected a domain in the schema that lists the values of the column, or a slice by another column"
        )
    for other in domain:
        if other != text and read_by_tfma(other) == number:
            raise ConfigError(
                f"{key}: found '{text}', which TFMA reads as the number {number}, like '{other}' in the column's "
                "domain; expected a value that no other value equals as a number, or a slice by another column"
            )
