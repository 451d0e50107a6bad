"""CPUs and memory of machine types, which the steps of a compiled pipeline request."""

import re

from pipeline.config.errors import ConfigError, unknown_name
from pipeline.config.vertex import Machine, Vertex

# GB of memory per CPU, by kind, with the families that differ.
MEMORY = {"standard": 4.0, "highmem": 8.0, "highcpu": 1.0}
MEMORY_OF_FAMILY = {
    "n1": {"standard": 3.75, "highmem": 6.5, "highcpu": 0.9},
    **{family: {"standard": 4.0, "highmem": 8.0, "highcpu": 2.0} for family in ("c2d", "c3", "c3d", "c4a", "n4")},
    "c4": {"standard": 3.75, "highmem": 7.75, "highcpu": 2.0},
}
# CPUs and GB of memory per GPU, for types whose number is the number of GPUs.
PER_GPU = {"a2-highgpu": (12, 85.0), "a2-ultragpu": (12, 170.0)}
PER_CPU = re.compile(r"([a-z][a-z0-9]*)-(standard|highmem|highcpu)-([0-9]+)")
WITH_GPUS = re.compile(r"([a-z][a-z0-9]*-[a-z]+)-([0-9]+)g")


def cpus_and_memory(machine: Machine) -> tuple[int, float]:
    """Returns the CPUs and the GB of memory of a machine type.

    >>> cpus_and_memory(Machine(type="n1-highmem-4"))
    (4, 26.0)
    >>> cpus_and_memory(Machine(type="a2-highgpu-2g"))
    (24, 170.0)

    Raises:
        ValueError: The name of the type does not give its size.
    """
    if found := PER_CPU.fullmatch(machine.type):
        family, kind, count = found.groups()
        return int(count), int(count) * MEMORY_OF_FAMILY.get(family, MEMORY)[kind]
    found = WITH_GPUS.fullmatch(machine.type)
    if found and found[1] in PER_GPU:
        cpus, memory = PER_GPU[found[1]]
        return int(found[2]) * cpus, int(found[2]) * memory
    raise ValueError(
        f"found the machine type '{machine.type}'; expected one such as n2-standard-8, n1-highmem-4 or a2-highgpu-1g, "
        "whose name gives its size, since a step requests CPUs and memory from Vertex AI"
    )


def check_accelerators(vertex: Vertex) -> None:
    """Checks that Vertex AI has the accelerators of all machines.

    Raises:
        ConfigError: An accelerator is unknown.
    """
    from google.cloud.aiplatform_v1 import AcceleratorType  # noqa: PLC0415 - takes seconds

    machines = {f"machines.{name}": machine for name, machine in vertex.machines.items()}
    machines["parameter_servers"] = vertex.parameter_servers
    if vertex.endpoint:
        machines["endpoint.machine"] = vertex.endpoint.machine
    known = [each.name for each in AcceleratorType if each]
    for key, machine in machines.items():
        if machine.accelerator and machine.accelerator not in known:
            name = machine.accelerator
            raise ConfigError(unknown_name(f"vertex.{key}.accelerator", "accelerator", name, known))


def resources(machine: Machine) -> dict[str, object]:
    """Returns the machine as the resource request of a compiled step. Raises like :func:`cpus_and_memory`."""
    cpus, memory = cpus_and_memory(machine)
    request: dict[str, object] = {"cpuLimit": float(cpus), "memoryLimit": memory}
    if machine.accelerator:
        request["accelerator"] = {"type": machine.accelerator, "count": str(machine.accelerators)}
    return request
