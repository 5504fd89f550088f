"""Calls as JSON, and back: functions by their public names, tensors by their numbers, arguments as plain data.

Plain data are None, truth values, numbers, words and lists. Anything else is an object with one entry, whose name says
what it is: {"tensor": 3}, {"tuple": [...]}, {"dtype": "float32"}.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from xinc_pl.canvas.recording.allowed import FUNCTIONS, NAMES
from xinc_pl.canvas.recording.call import Batched, Function, InPlace, View, name_of

Number = Callable[[Tensor], int]
Lookup = Callable[[int], Tensor]

_DTYPES: Mapping[str, torch.dtype] = {
    name: getattr(torch, name)
    for name in (
        *("bool", "uint8", "int8", "int16", "int32", "int64", "bfloat16", "float16", "float32", "float64"),
        *("complex64", "complex128"),
    )
}
_MEMORY_FORMATS: Mapping[str, torch.memory_format] = {
    name: getattr(torch, name) for name in ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")
}
_DEVICE = re.compile(r"(cpu|cuda|mps|xpu|meta|hpu|xla|mtia|ipu|vulkan|privateuseone)(:\d+)?")
"""Words that name a device; which one it was does not matter to a file."""


class NotWritableError(ValueError):
    """Something has no form in a file; the message says what."""


def encoded_function(function: Function) -> Any:  # noqa: ANN401 - JSON
    """A function's public name; an object for one that works in place, or within ``torch.vmap``.

    Raises:
        NotWritableError: A file may not name it.
    """
    if isinstance(function, InPlace):
        return {
            "in_place": encoded_function(function.function),
            "place": function.place,
            "target": function.target,
            "views": [None if view is None else [list(view[0]), list(view[1]), view[2]] for view in function.views],
        }
    if isinstance(function, Batched):
        return {
            "batched": encoded_function(function.function),
            "in": list(function.in_dims),
            "out": list(function.out_dims),
        }
    try:
        return NAMES[function]
    except (KeyError, TypeError):
        raise NotWritableError(f"{name_of(function)!r} is no function of torch that a file may name") from None


def decoded_function(value: Any) -> Function:  # noqa: ANN401 - JSON
    """The function of a name.

    Raises:
        ValueError: There is none of that name in the list, or what stands beside it is no description of one.
    """
    if isinstance(value, str):
        if value not in FUNCTIONS:
            raise ValueError(f"it names {value[:80]!r}, which is no function of torch that a file may name")
        return FUNCTIONS[value]
    if isinstance(value, dict) and value.keys() == {"in_place", "place", "target", "views"}:
        place, target, views = value["place"], value["target"], value["views"]
        if not (_is_whole(place) or place in ("input", "out")) or not isinstance(views, list):
            raise ValueError("it has a function in place whose description is damaged")
        if not _is_whole(target) or target >= len(views):
            raise ValueError("it has a function in place that works on none of its tensors")
        return InPlace(decoded_function(value["in_place"]), place, target, tuple(map(_view, views)))
    if isinstance(value, dict) and value.keys() == {"batched", "in", "out"}:
        dims, out_dims = value["in"], value["out"]
        if not isinstance(dims, list) or not all(dim is None or _is_integer(dim) for dim in dims):
            raise ValueError("it has a batched function whose axes are damaged")
        if not isinstance(out_dims, list) or not all(map(_is_integer, out_dims)):
            raise ValueError("it has a batched function whose axes are damaged")
        return Batched(decoded_function(value["batched"]), tuple(dims), tuple(out_dims))
    raise ValueError(f"it has a function of an unknown form: {str(value)[:80]}")


def _view(value: Any) -> View | None:  # noqa: ANN401 - JSON
    return None if value is None else decoded_view(value)


def decoded_view(value: Any) -> View:  # noqa: ANN401 - JSON
    """Where a tensor lies in memory: size, stride and offset.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], list) and isinstance(value[1], list):
        size, stride, offset = value
        if len(size) == len(stride) and all(map(_is_whole, (*size, *stride, offset))):
            return tuple(size), tuple(stride), offset
    raise ValueError(f"it has a place in memory of an unknown form: {str(value)[:80]}")


def encoded(value: Any, number: Number) -> Any:  # noqa: ANN401 - an argument; JSON
    """An argument as plain data.

    Raises:
        NotWritableError: It is a function, an array, or another thing that plain data cannot stand for.
    """
    if isinstance(value, Tensor):
        return {"tensor": number(value)}
    if value is None or type(value) in (bool, int):
        return value
    if type(value) is str:
        return {"device": 0} if _DEVICE.fullmatch(value) else value
    if type(value) is list:
        return [encoded(item, number) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encoded(item, number) for item in value]}
    if type(value) is dict:
        return {"dict": [[encoded(key, number), encoded(item, number)] for key, item in value.items()]}
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a number
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    return _named(value, number)


def _named(value: Any, number: Number) -> Any:  # noqa: ANN401
    """An argument as an object whose one entry says what it is."""
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, complex):
        return {"complex": [encoded(value.real, number), encoded(value.imag, number)]}
    if value is Ellipsis:
        return {"ellipsis": 0}
    if isinstance(value, slice):
        return {"slice": [encoded(part, number) for part in (value.start, value.stop, value.step)]}
    if isinstance(value, torch.device):
        return {"device": 0}
    if value is torch.strided:
        return {"layout": 0}
    for kind, table in (("dtype", _DTYPES), ("memory_format", _MEMORY_FORMATS)):
        for name, known in table.items():
            if value is known:
                return {kind: name}
    raise NotWritableError(f"an argument of type {type(value).__name__} has no form in a file")


def decoded(value: Any, tensor: Lookup, device: torch.device) -> Any:  # noqa: ANN401 - JSON; an argument
    """An argument of plain data.

    Args:
        value: JSON.
        tensor: Gives the tensor of a number.
        device: Stands for whatever device there was.

    Raises:
        ValueError: It has another form.
    """
    if isinstance(value, str) and _DEVICE.fullmatch(value):
        raise ValueError(f"it names the device {value!r}")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [decoded(item, tensor, device) for item in value]
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError(f"it has an argument of an unknown form: {str(value)[:80]}")
    ((kind, content),) = value.items()
    if kind in ("device", "ellipsis", "layout"):
        return {"device": device, "ellipsis": Ellipsis, "layout": torch.strided}[kind]
    if kind == "tensor" and _is_whole(content):
        return tensor(content)
    if kind == "float" and content in ("inf", "-inf", "nan"):
        return float(content)
    if kind in ("dtype", "memory_format") and isinstance(content, str):
        table: Mapping[str, Any] = _DTYPES if kind == "dtype" else _MEMORY_FORMATS
        if content in table:
            return table[content]
    if kind in ("tuple", "slice", "complex", "dict") and isinstance(content, list):
        return _container(kind, [decoded(item, tensor, device) for item in content])
    raise ValueError(f"it has an argument of an unknown form: {str(value)[:80]}")


def _container(kind: str, items: list[Any]) -> Any:  # noqa: ANN401
    if kind == "tuple":
        return tuple(items)
    if kind == "slice" and len(items) == 3:
        return slice(*items)
    if kind == "complex" and len(items) == 2 and all(isinstance(item, int | float) for item in items):
        return complex(*items)
    if kind == "dict" and all(isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) for item in items):
        return dict(items)
    raise ValueError(f"it has a damaged {kind}")


def dtype_named(name: Any) -> torch.dtype:  # noqa: ANN401 - JSON
    """The type of numbers of a name.

    Raises:
        ValueError: There is none.
    """
    if not isinstance(name, str) or name not in _DTYPES:
        raise ValueError(f"it has numbers of an unknown type: {str(name)[:80]}")
    return _DTYPES[name]


def _is_integer(value: Any) -> bool:  # noqa: ANN401
    return type(value) is int and abs(value) < 2**62


def _is_whole(value: Any) -> bool:  # noqa: ANN401
    return _is_integer(value) and value >= 0
