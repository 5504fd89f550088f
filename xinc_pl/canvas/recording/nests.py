"""Tensors within tuples, lists and dictionaries."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor


def tensors_in(nest: Any) -> Iterator[Tensor]:  # noqa: ANN401 - arguments and results of any function
    """All tensors in a nest, in their order."""
    if isinstance(nest, Tensor):
        yield nest
    elif isinstance(nest, Mapping):
        for item in nest.values():
            yield from tensors_in(item)
    elif isinstance(nest, (tuple, list)):
        for item in nest:
            yield from tensors_in(item)


def mapped(nest: Any, change: Callable[[Tensor], Any]) -> Any:  # noqa: ANN401 - arguments and results of any function
    """The same nest with all tensors changed."""
    if isinstance(nest, Tensor):
        return change(nest)
    if isinstance(nest, Mapping):
        items = {key: mapped(item, change) for key, item in nest.items()}
        return items if type(nest) is dict else _like(nest, items)
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):  # a named tuple
        return type(nest)(*(mapped(item, change) for item in nest))
    if isinstance(nest, (tuple, list)):
        changed = [mapped(item, change) for item in nest]
        return changed if type(nest) is list else _like(nest, changed)
    return nest


def _like(nest: Any, items: Any) -> Any:  # noqa: ANN401
    """``items`` in a container of the same kind, such as torch.Size; in a plain one where that cannot be made."""
    try:
        return type(nest)(items)
    except (TypeError, ValueError):
        return tuple(items) if isinstance(nest, tuple) else items
