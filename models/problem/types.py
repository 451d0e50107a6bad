"""Types of settings."""

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

MAX_COUNT = 2**31 - 1  # TFX and the servers of ML Metadata store 32 bits
MAX_NAME = 128  # characters

Int64 = Annotated[int, Ge(-(2**63) + 1), Le(2**63 - 1)]  # the smallest int64 means a missing value
PositiveInt = Annotated[int, Ge(1), Le(MAX_COUNT)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
