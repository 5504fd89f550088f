"""From one label per pixel to the objects and regions of a frame."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from xinc_pl.frames import Instance


@dataclass(frozen=True)
class Category:
    """What an object or a region is.

    Args:
        name: Such as ``car``.
        is_thing: True for countable objects, False for stuff, and for a crowd of objects that are not told apart.
    """

    name: str
    is_thing: bool = True


Meaning = Callable[[int], Category | None]
"""What a label stands for; None for void, and for what nobody knows."""


def instances_of(labels: Tensor, meaning: Meaning) -> tuple[Instance, ...]:
    """The instances that have a pixel, by their ids.

    Args:
        labels: int64 (H, W). Equal labels are one instance, and the label is its id.
        meaning: What each label stands for.
    """
    found = ((label, meaning(label)) for label in labels.unique().tolist())
    return tuple(
        Instance(label, category.name, category.is_thing, labels == label)
        for label, category in found
        if category is not None
    )
