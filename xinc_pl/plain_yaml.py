"""YAML from anyone, as plain values."""

import re
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1_000_000
"""Of a file; a run's configuration has some thousand."""

MAX_VALUES = 100_000
"""In a file, once its aliases are written out; a run's configuration has some hundred."""

_MAX_DEPTH = 50


class PlainYAMLError(ValueError):
    """A file is no YAML, or more than plain values. The message is one line without the file's name."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML has no types
    """Reads numbers as jsonargparse writes them and people do: ``1e-3`` is one, though YAML 1.1 wants a dot."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_plain_yaml(file: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read a file that holds nothing but mappings, lists, words, numbers, dates and null.

    No tag makes an object of it. Its aliases may repeat something, but neither themselves, nor so much that the values
    would be more than ``MAX_VALUES``.

    Raises:
        PlainYAMLError: Says why it does not do.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise PlainYAMLError(error.strerror or str(error)) from error
    if len(content) > MAX_BYTES:
        raise PlainYAMLError(f"it is larger than {MAX_BYTES:,} bytes")
    try:
        loader = _Loader(content.decode("utf-8"))
        node = loader.get_single_node()
        _count(node, (), 0)
        return None if node is None else loader.construct_document(node)
    except RecursionError as error:
        raise PlainYAMLError("it is nested too deep") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # PyYAML converts what looks like a date or a number
        raise PlainYAMLError(" ".join(str(error).split())) from error


def _count(node: yaml.Node | None, around: tuple[yaml.Node, ...], values: int) -> int:
    """The number of values with those in ``node``, every alias counted as what it stands for."""
    if any(node is each for each in around):
        raise PlainYAMLError("an alias in it stands for something that holds the alias itself")
    if len(around) > _MAX_DEPTH:
        raise PlainYAMLError("it is nested too deep")
    values += 1
    if values > MAX_VALUES:
        raise PlainYAMLError(f"its aliases make more than {MAX_VALUES:,} values of it")
    if isinstance(node, yaml.MappingNode):
        children = [each for pair in node.value for each in pair]
    else:
        children = node.value if isinstance(node, yaml.SequenceNode) else []
    for child in children:
        values = _count(child, (*around, node), values)
    return values
