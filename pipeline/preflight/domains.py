"""The values that the curated schema allows in a column."""

import dataclasses
import math

from tensorflow_metadata.proto.v0 import schema_pb2

INT, FLOAT, BYTES = schema_pb2.INT, schema_pb2.FLOAT, schema_pb2.BYTES


@dataclasses.dataclass(frozen=True)
class Domain:
    """The values that the anomaly gate lets pass, apart from missing ones.

    Attributes:
        values: All of them as text, or empty if they are not listed.
        min: The smallest number, if they are not listed.
        max: The largest number, if they are not listed.
    """

    values: tuple[str, ...] = ()
    min: float = -math.inf
    max: float = math.inf

    @property
    def range(self) -> str:
        """The range of numbers in words."""
        if math.isinf(self.min):
            return f"at most {self.max}"
        return f"at least {self.min}" if math.isinf(self.max) else f"{self.min} to {self.max}"


def feature_of(schema: schema_pb2.Schema, column: str) -> schema_pb2.Feature:
    """Returns the schema's entry of a column that it has."""
    return next(feature for feature in schema.feature if feature.name == column)


def domain_of(schema: schema_pb2.Schema, column: str) -> Domain:
    """Returns the values that the schema allows in a column that it has.

    A domain from which some values may deviate (``distribution_constraints``) limits nothing.
    """
    feature = feature_of(schema, column)
    if feature.HasField("distribution_constraints") and feature.distribution_constraints.min_domain_mass < 1:
        return Domain()
    if feature.HasField("string_domain"):
        return Domain(tuple(feature.string_domain.value))
    if feature.HasField("domain"):
        return Domain(
            tuple(value for each in schema.string_domain if each.name == feature.domain for value in each.value)
        )
    if feature.HasField("bool_domain"):
        named = (feature.bool_domain.false_value, feature.bool_domain.true_value)
        # TFDV compares numbers with 0 and 1, whatever their names are.
        return Domain(tuple(filter(None, named)) if feature.type == BYTES else ("0", "1"))
    for kind in ("int_domain", "float_domain"):
        if feature.HasField(kind):
            limits = getattr(feature, kind)
            found = {name: getattr(limits, name) for name in ("min", "max") if limits.HasField(name)}
            return Domain(**found)
    return Domain()
