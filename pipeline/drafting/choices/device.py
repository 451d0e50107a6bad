"""Decides whether a model for devices can be exported."""

from collections.abc import Iterable

from pipeline.drafting.choices.features import HASHED_BYTES, Choice


def why_no_device(choices: Iterable[Choice]) -> str | None:
    """Why ``tflite`` has to be off, in a few words, or ``None`` if a device can compute all features."""
    for choice in choices:
        name = choice.column.name
        if "text" in choice.kinds:
            return f"'{name}' is text, which a device cannot split into words"
        if "tags" in choice.kinds or "separator" in choice.kinds.get("numbers", {}):
            return f"'{name}' has several values per row, which a device cannot split or look up"
        is_read = bool({"hashed", "date"} & choice.kinds.keys()) and choice.column.type == "BYTES"
        if is_read and choice.column.max_bytes > HASHED_BYTES:
            found = f"'{name}' has texts of up to {choice.column.max_bytes:,} bytes"
            return f"{found}, and a device can read {HASHED_BYTES}"
    return None
