"""How the image answers to the values of one channel, as products of images."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Field:
    """The answer to the outputs Z of one channel of a convolution, as products of images.

    With Z enlarged to the image, each value repeated over a cell of ``scale`` x ``scale`` pixels, the image's answer is
    the sum over (i, j) of Z * factors[i, j], moved down by start[0] + i * scale and right by start[1] + j * scale.

    Attributes:
        factors: (T, T, colours, H, W).
        scale: Side of a cell.
        start: Where in the image the patch of the first Z starts.
        length: Side of a patch: only so many rows of the T * scale ones are not zero.
    """

    factors: Tensor
    scale: int
    start: tuple[int, int]
    length: int

    @cached_property
    def of_sum(self) -> "Field":
        """The answer of the sum over colours."""
        return Field(self.factors.sum(2, keepdim=True), self.scale, self.start, self.length)

    @cached_property
    def by_colour(self) -> tuple["Field", ...]:
        """The answer of each colour."""
        return tuple(
            Field(self.factors[:, :, [colour]], self.scale, self.start, self.length)
            for colour in range(self.factors.shape[2])
        )


def overlap(offset: int, length: int) -> tuple[slice, slice]:
    """All positions q and q - offset such that both are at least 0 and less than ``length``."""
    start, stop = max(offset, 0), length + min(offset, 0)
    return slice(start, max(stop, start)), slice(start - offset, max(stop, start) - offset)
