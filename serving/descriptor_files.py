"""The files that define protocol buffers."""

from collections.abc import Iterable

from google.protobuf.descriptor import FileDescriptor


def with_dependencies(files: Iterable[FileDescriptor]) -> list[FileDescriptor]:
    """Returns files and those that they depend on, each after its dependencies, as a descriptor pool takes them."""
    found: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in found:
            for each in file.dependencies:
                add(each)
            found[file.name] = file

    for file in files:
        add(file)
    return list(found.values())
