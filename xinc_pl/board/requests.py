"""Parameters of requests, checked: whoever asks may be anybody."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

MOST_NEURONS = 64
"""That one request may ask for."""
CONVENTIONS = ("paper", "released", "effect")
ORDERS = ("magnitude", "positive", "negative", "focus", "total", "change", "group")
_MAX_NAME = 400
"""Characters of the name of a layer or a run."""
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)

Values = Mapping[str, Sequence[str]]
"""What stands behind the question mark: all values of each name."""


class RequestError(ValueError):
    """A request that is not answered.

    Args:
        message: One line that says why.
        status: HTTP's number for it.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Place:
    """Where in the image.

    Attributes:
        kind: A pixel: row and column. A rectangle: its first row and column, and those after its last. An instance:
            its position in the frame's list.
        numbers: These.
    """

    kind: Literal["pixel", "rectangle", "instance"]
    numbers: tuple[int, ...]


def word(values: Values, name: str) -> str:
    """A parameter that is given once, as it stands.

    Raises:
        RequestError: It is missing, given twice, too long, or holds what cannot be printed.
    """
    given = values.get(name, ())
    if len(given) != 1:
        raise RequestError(f"{name} is given {len(given)} times; give it once")
    if not given[0] or len(given[0]) > _MAX_NAME or not given[0].isprintable():
        raise RequestError(f"{name} has to be a printable text of 1 to {_MAX_NAME} characters")
    return given[0]


def whole(values: Values, name: str, least: int, most: int, default: int | None = None) -> int:
    """A parameter that is a whole number within limits.

    Raises:
        RequestError: It is something else.
    """
    if default is not None and name not in values:
        return default
    return _whole(word(values, name), name, least, most)


def choice(values: Values, name: str, options: Sequence[str], default: str | None = None) -> str:
    """A parameter that is one of some words.

    Raises:
        RequestError: It is another.
    """
    if default is not None and name not in values:
        return default
    given = word(values, name)
    if given not in options:
        raise RequestError(f"{name} is {_shown(given)}; it has to be one of {', '.join(options)}")
    return given


def neurons(values: Values, name: str = "neurons") -> tuple[int, ...]:
    """A parameter that lists neurons: ``3,17,5``.

    Raises:
        RequestError: It does not, or names too many, or one twice.
    """
    given = word(values, name).split(",")
    if len(given) > MOST_NEURONS or len(set(given)) != len(given):
        raise RequestError(f"{name} lists {len(given)} neurons; give at most {MOST_NEURONS}, each once")
    found = tuple(_whole(each, name, 0, 10**9 - 1) for each in given)
    if len(set(found)) != len(found):
        raise RequestError(f"{name} lists a neuron twice")
    return found


def removed(values: Values) -> Mapping[str, tuple[int, ...]]:
    """Neurons by layer, from parameters ``neuron=head:5``, each one neuron.

    Raises:
        RequestError: One is something else, or there are too many or none.
    """
    given = values.get("neuron", ())
    if not 1 <= len(given) <= MOST_NEURONS or len(set(given)) != len(given):
        raise RequestError(f"neuron is given {len(given)} times; give 1 to {MOST_NEURONS}, each once, as head:5")
    found: dict[str, tuple[int, ...]] = {}
    for each in given:
        layer, colon, index = each.rpartition(":")
        if not colon or not layer or len(layer) > _MAX_NAME:
            raise RequestError(f"neuron is {_shown(each)}; give a layer and an index, as head:5")
        found[layer] = (*found.get(layer, ()), _whole(index, "neuron", 0, 10**9 - 1))
    if any(len(set(some)) != len(some) for some in found.values()):
        raise RequestError("a neuron is given twice")
    return found


def place(values: Values) -> Place:
    """Where: one of ``pixel=row,column``, ``rectangle=top,left,bottom,right`` and ``instance=position``.

    Raises:
        RequestError: None or several are given, or one does not have so many whole numbers.
    """
    wanted: Mapping[Literal["pixel", "rectangle", "instance"], int] = {"pixel": 2, "rectangle": 4, "instance": 1}
    given = [kind for kind in wanted if kind in values]
    if len(given) != 1:
        raise RequestError("give one of pixel=row,column, rectangle=top,left,bottom,right and instance=position")
    (kind,) = given
    numbers = word(values, kind).split(",")
    if len(numbers) != wanted[kind]:
        raise RequestError(f"{kind} has {len(numbers)} numbers; it has to have {wanted[kind]}")
    return Place(kind, tuple(_whole(each, kind, 0, 10**6) for each in numbers))


def _whole(text: str, name: str, least: int, most: int) -> int:
    if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
        raise RequestError(f"{name} is {_shown(text)}; it has to be a whole number from {least} to {most}")
    return int(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
