"""What may be made of a folder that somebody has sent: classes that are known, from plain values, and nothing else."""

import inspect
import pydoc
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard, TypeVar

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

# Classes are looked up among what is loaded: nothing is imported because a file names it.
import xinc_pl.data
import xinc_pl.models
import xinc_pl.training

_PUBLIC = ("xinc_pl.", "torch.nn.", "torch.optim.")
"""What a known class is called."""

_HOMES = ("xinc_pl.", "torch.nn.modules.", "torch.optim.")
"""Where a known class is really defined: a name in one of our modules may be somebody else's."""

_PARTS = (nn.Module, Optimizer, LRScheduler)
"""What may be an argument of a model."""

_Made = TypeVar("_Made", LightningModule, LightningDataModule)


class TrustError(ValueError):
    """Something would have to be trusted first, or does not do. The message is one line."""


def known_class(class_path: object, bases: type | tuple[type, ...] = _PARTS) -> type:
    """The class of that name, if it is one of xinc_pl's, torch.nn's or torch.optim's. Imports and calls nothing.

    Args:
        class_path: Where it can be imported from, such as ``torch.nn.L1Loss``.
        bases: What it has to be derived from.

    Raises:
        TrustError: It is not known, not a class, or none that has a place here.
    """
    found = _look_up(class_path) if isinstance(class_path, str) and class_path.startswith(_PUBLIC) else None
    if found is not None and not isinstance(found, type):
        raise TrustError(f"{class_path!r} is not a class but a {type(found).__name__}, which is never called")
    if found is None or not f"{found.__module__}.".startswith(_HOMES):
        raise TrustError(
            f"{class_path!r} is not a class of xinc_pl, torch.nn or torch.optim. Making it would run somebody's code: "
            "if you trust the folder, say --trust (in Python: trust=True)"
        )
    if not issubclass(found, bases):
        raise TrustError(f"{class_path!r} has no place here: it is not a {_names(bases)}")
    return found


def make(given: object, base: type[_Made]) -> _Made:
    """Make what a configuration describes, of known classes and plain values.

    Args:
        given: ``class_path`` and ``init_args``, which may describe networks and losses in the same way.
        base: What it is to be.

    Raises:
        TrustError: Something in it is neither known nor plain; nothing has been made.
        Exception: What the constructors complain about.
    """
    _check(given, base)
    made = _make(given)
    assert isinstance(made, base), "it has been checked"
    return made


def check_classes(given: object) -> None:
    """Insist that all that a trusted configuration names as classes are classes. Imports them.

    Raises:
        TrustError: Names what is not.
    """
    if isinstance(given, Mapping):
        path = given.get("class_path")
        found = pydoc.locate(path) if isinstance(path, str) else None
        if found is not None and not isinstance(found, type):
            raise TrustError(f"{path!r} is not a class but a {type(found).__name__}, which is never called")
    for each in _children(given):
        check_classes(each)


def takes(given: object, argument: str) -> bool:
    """Whether the known class that a configuration describes has an argument of that name."""
    return _is_description(given) and argument in inspect.signature(known_class(given["class_path"], object)).parameters


def _look_up(class_path: str) -> object:
    """What a name stands for among the loaded modules of the packages that are known; None if there is nothing."""
    root, *parts = class_path.split(".")
    found: object = {"xinc_pl": xinc_pl, "torch": torch}[root]
    for part in parts:
        if not inspect.ismodule(found) or not part.isidentifier() or part.startswith("_"):
            return None
        if not f"{found.__name__}.".startswith(("torch.", "xinc_pl.")):
            return None
        found = getattr(found, part, None)
    return found


def _check(given: object, bases: type | tuple[type, ...]) -> None:
    """Go through a description before anything of it is made."""
    if not _is_description(given):
        raise TrustError(f"a class_path is missing, and {given!r} is there")
    if unknown := sorted(given.keys() - {"class_path", "init_args"}):
        raise TrustError(f"{unknown[0]!r} beside {given['class_path']!r} is not understood")
    made = known_class(given["class_path"], bases)
    arguments = _arguments(given)
    for name, value in arguments.items():
        _check_value(value, f"{name} of {made.__name__}")
    try:
        inspect.signature(made).bind(**arguments)
    except TypeError as error:
        raise TrustError(f"{made.__name__} {error}") from error


def _check_value(value: object, place: str) -> None:
    if _is_description(value):
        _check(value, _PARTS)
        return
    if not isinstance(value, (type(None), bool, int, float, str, list, dict)):
        raise TrustError(f"{place} is a {type(value).__name__}, which is no plain value")
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        raise TrustError(f"{place} has names that are no words")
    for each in _children(value):
        _check_value(each, place)


def _make(value: object) -> Any:  # noqa: ANN401 - whatever is described
    if _is_description(value):
        return known_class(value["class_path"], object)(
            **{name: _make(each) for name, each in _arguments(value).items()}
        )
    if isinstance(value, dict):
        return {name: _make(each) for name, each in value.items()}
    return [_make(each) for each in value] if isinstance(value, list) else value


def _is_description(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and "class_path" in value


def _arguments(description: Mapping[str, Any]) -> dict[str, Any]:
    arguments = description.get("init_args") or {}
    if not isinstance(arguments, dict) or not all(isinstance(name, str) for name in arguments):
        raise TrustError(f"init_args of {description['class_path']!r} are no names and values")
    return arguments


def _children(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _names(bases: type | tuple[type, ...]) -> str:
    return " or ".join(each.__name__ for each in (bases if isinstance(bases, tuple) else (bases,)))
