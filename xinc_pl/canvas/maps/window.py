"""A rectangle of the image, and the neurons that contribute most within it."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """Some rows and columns of the image.

    Attributes:
        rows: The first row, and the one after the last.
        columns: The first column, and the one after the last.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]

    @classmethod
    def around(cls, mask: Tensor) -> "Window":
        """The smallest that holds all pixels of a mask (H, W), which is not empty."""
        (rows,), (columns,) = mask.any(1).nonzero(as_tuple=True), mask.any(0).nonzero(as_tuple=True)
        return cls((int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    @property
    def num_pixels(self) -> int:
        """How many pixels it has."""
        return self.size[0] * self.size[1]

    def pixels(self, width: int) -> Tensor:
        """Its pixels, row by row, as numbers of the pixels of an image so wide: int64 (num_pixels,)."""
        return (torch.arange(*self.rows)[:, None] * width + torch.arange(*self.columns)).flatten()

    def places(self, cells: Tensor, width: int) -> Tensor:
        """Where in an image so wide its pixels are, by their numbers within it; in the same integers."""
        inner = self.size[1]
        return cells + self.rows[0] * width + self.columns[0] + cells // inner * (width - inner)

    def inner(self, window: "Window") -> "Window":
        """A window of this one, as one of the image."""
        top, left = self.rows[0], self.columns[0]
        (start, stop), (first, last) = window.rows, window.columns
        return Window((top + start, top + stop), (left + first, left + last))

    def crop(self, values: Tensor) -> Tensor:
        """Its part of images (..., H, W)."""
        return values[..., slice(*self.rows), slice(*self.columns)]


def window_of(where: "tuple[slice, slice] | Window", size: tuple[int, int]) -> Window:
    """The window that slices of rows and columns, as of an array, stand for.

    Raises:
        ValueError: It is empty, has a step, or is no pair of slices.
    """
    if isinstance(where, Window):
        return where
    try:
        ranges = [range(side)[part] for part, side in zip(where, size, strict=True) if isinstance(part, slice)]
    except (TypeError, ValueError):
        ranges = []
    if len(ranges) != 2 or any(each.step != 1 for each in ranges):
        raise ValueError(
            f"window is {where!r}; give two slices without a step, rows and columns: (slice(0, 8), slice(4, 12))"
        )
    if not all(ranges):
        raise ValueError(f"window {where!r} holds no pixel of the image, which has {size[0]}x{size[1]}")
    rows, columns = ((each.start, each.stop) for each in ranges)
    return Window(rows, columns)


def mask_of(where: Tensor | tuple[int, int], size: tuple[int, int]) -> Tensor:
    """A pixel (row, column), or a mask bool (H, W), as a mask that is not empty.

    Raises:
        ValueError: It is none of this image.
    """
    if isinstance(where, Tensor) and where.dtype == torch.bool:
        if where.shape != size or not where.any():
            raise ValueError(
                f"the mask has shape {tuple(where.shape)} and {int(where.sum())} pixels; it has to have the image's "
                f"shape, {tuple(size)}, and one pixel at least"
            )
        return where
    try:
        row, column = (int(side) for side in where)
    except (TypeError, ValueError) as error:
        raise ValueError(f"where is {where!r}; give a pixel, (row, column), or a mask, bool (H, W)") from error
    if not (0 <= row < size[0] and 0 <= column < size[1]):
        raise ValueError(f"there is no pixel ({row}, {column}) in an image of {size[0]}x{size[1]}")
    mask = torch.zeros(size, dtype=torch.bool)
    mask[row, column] = True
    return mask


@dataclass(frozen=True, eq=False)
class Ranking:
    """The neurons of a layer that contribute most at some pixels, largest first.

    Attributes:
        neurons: int64 (k,), their indices.
        values: float64 (k,), the mean of their magnitude over the pixels.
        signed: float64 (k,), the mean of their signed map over the pixels.
        shares: float64 (k,), of all that the layer's neurons add up to there.
        total: The sum over all neurons of the mean magnitude.
        num_pixels: How many pixels were looked at.
    """

    neurons: Tensor
    values: Tensor
    signed: Tensor
    shares: Tensor
    total: float
    num_pixels: int
