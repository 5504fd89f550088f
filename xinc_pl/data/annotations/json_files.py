"""Annotations in JSON, from anyone: plain values whose kinds are checked, and names that stay in their folder."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from xinc_pl.names import trouble_with

_Kind = TypeVar("_Kind")


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        ValueError: It cannot be read, or holds something else.
    """
    content = read_any_json(file)
    if not isinstance(content, dict):
        raise ValueError(f"{file} is no JSON of annotations: it holds a {type(content).__name__}, not an object")
    return content


def read_any_json(file: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read a JSON file.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, or nested without end
        raise ValueError(f"{file} is no JSON: {error}") from error


def entry(holder: object, name: str, kind: type[_Kind], source: Path) -> _Kind:
    """A value of a JSON object, of the kind that it must have.

    Raises:
        ValueError: There is none, or it is of another kind.
    """
    value = holder.get(name) if isinstance(holder, Mapping) else None
    if isinstance(value, bool) and kind is int:
        value = int(value)
    if not isinstance(value, kind):
        what = "is missing" if value is None else f"is {str(value)[:40]!r}"
        raise ValueError(f"{source}: {name!r} {what} where a {_KINDS.get(kind, kind.__name__)} is wanted")
    return value


_KINDS: dict[type, str] = {str: "word", int: "whole number", list: "list", dict: "JSON object"}


def entries(holder: object, name: str, source: Path) -> Iterator[dict[str, Any]]:
    """The objects of a list in a JSON object.

    Raises:
        ValueError: There is no such list, or it holds something else.
    """
    for each in entry(holder, name, list, source):
        if not isinstance(each, dict):
            raise ValueError(f"{source}: {name!r} holds {str(each)[:40]!r} where a JSON object is wanted")
        yield each


def inside(folder: Path, name: str, source: Path) -> Path:
    """The file of that name in a folder, or in a folder below it.

    Args:
        folder: The file stays in it.
        name: From somebody's JSON; parts are joined by ``/``.
        source: The JSON, for the message.

    Raises:
        ValueError: The name leads, or on some system could lead, out of the folder.
    """
    parts = name.split("/")
    for part in parts:
        if (trouble := trouble_with(part)) is not None:
            raise ValueError(
                f"{source} names the file {name[:100]!r}, of which a part {trouble}; files are taken from {folder} only"
            )
    return folder.joinpath(*parts)
