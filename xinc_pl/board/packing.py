"""Answers as bytes: numbers and words as JSON, arrays as they are."""

import json
import math
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

_ALIGNMENT = 8
"""Arrays begin at multiples of it, as those of a browser have to."""


def packed(answer: Any) -> bytes:  # noqa: ANN401 - any dataclass
    """A frozen dataclass as bytes: the length of a JSON text (uint32, little-endian), the text, and the arrays.

    The text holds every field; one that is an array (float32, uint8 or int32) is ``{"dtype", "shape", "offset"}``, the
    offset in bytes counted from the end of the text, which is filled up with spaces to a multiple of 8.
    """
    arrays: list[bytes] = []
    offset = 0
    facts: dict[str, Any] = {}
    for field in fields(answer):
        value = getattr(answer, field.name)
        if isinstance(value, np.ndarray):
            little = value.dtype.newbyteorder("<")
            data = np.ascontiguousarray(value, little).tobytes()
            data += bytes(-len(data) % _ALIGNMENT)
            facts[field.name] = {"dtype": value.dtype.name, "shape": list(value.shape), "offset": offset}
            arrays.append(data)
            offset += len(data)
        else:
            facts[field.name] = plain(value)
    text = json.dumps(facts, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % _ALIGNMENT)
    return b"".join([len(text).to_bytes(4, "little"), text, *arrays])


def plain(value: Any) -> Any:  # noqa: ANN401 - what dataclasses hold
    """Dataclasses, tuples and numbers as JSON has them; what is not finite is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
