"""String types of the settings: names, addresses and paths in the form that Google Cloud and Beam accept."""

from typing import Annotated, Any

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field

from pipeline.config.cron import check_cron


def matching(pattern: str) -> Any:
    """Returns a constraint: the string has to match the pattern."""
    return Field(pattern=pattern)


def _check_port(address: str) -> str:
    port = address.rpartition(":")[2]
    if port and not 1 <= int(port) <= 65_535:
        raise ValueError(f"found port {port}; expected a port from 1 to 65535")
    return address


ProjectId = Annotated[str, matching(r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")]
Region = Annotated[str, matching(r"^[a-z]+-[a-z]+[0-9]+$")]
Bucket = Annotated[str, matching(r"^gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$")]
Folder = Annotated[str, matching(r"^gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[^/\s]+)*$")]
Image = Annotated[
    str,
    matching(r"^[a-z0-9][a-z0-9.:_-]*(/[a-z0-9][a-z0-9._-]*)+(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$"),
]
Email = Annotated[str, matching(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Network = Annotated[str, matching(r"^projects/[^/\s]+/global/networks/[^/\s]+$")]
Subnetwork = Annotated[str, matching(r"^(https://\S+/)?(projects/[^/\s]+/)?regions/[^/\s]+/subnetworks/[^/\s]+$")]
Key = Annotated[str, matching(r"^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$")]
LabelKey = Annotated[str, matching(r"^[a-z][a-z0-9_-]{0,62}$")]
LabelValue = Annotated[str, matching(r"^[a-z0-9_-]{0,63}$")]
EndpointName = Annotated[str, matching(r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}$")]
MachineType = Annotated[str, matching(r"^([a-z][a-z0-9]*-[a-z]+-[0-9]+[a-z0-9]*|cloud-tpu)$")]
Accelerator = Annotated[str, matching(r"^(NVIDIA|TPU)_[A-Z0-9_]+$")]
_ADDRESS = r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}:[0-9]{1,5}"
Address = Annotated[str, matching(rf"^{_ADDRESS}$"), AfterValidator(_check_port)]
OptionalAddress = Annotated[str, matching(rf"^({_ADDRESS})?$"), AfterValidator(_check_port)]
Cron = Annotated[str, matching(r"^(TZ=\S+ )?\S+ \S+ \S+ \S+ \S+$"), AfterValidator(check_cron)]
Count = Annotated[int, Ge(1), Le(1_000)]
