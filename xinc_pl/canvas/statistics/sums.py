"""Sums over neurons for each pixel."""

import torch
from torch import Tensor

from xinc_pl.canvas.maps.cells import GroupWeights
from xinc_pl.canvas.maps.window import Window


class PixelSums:
    """Sums over neurons for each pixel, kept per distinct value as long as the group of neurons is the same.

    Args:
        size: Height and width of the image.
        dtype: float64 or int32.
        device: Where the maps are.
    """

    def __init__(self, size: tuple[int, int], dtype: torch.dtype, device: torch.device) -> None:
        self._image = torch.zeros(size, dtype=dtype, device=device)
        self._group: GroupWeights | None = None
        self._cells = self._image

    def cells(self, group: GroupWeights) -> Tensor:
        """Where to add to: (R, C)."""
        if group.are_one:
            return self._image
        if self._group is not group:
            self.image()
            self._group, self._cells = group, self._image.new_zeros(group.shape)
        return self._cells

    def image(self) -> Tensor:
        """The sums so far: (H, W)."""
        if self._group is not None:
            self._image += self._group.group.spread(self._cells)
            self._group, self._cells = None, self._image
        return self._image

    def fresh(self) -> "PixelSums":
        """The same kind, empty."""
        return PixelSums((self._image.shape[0], self._image.shape[1]), self._image.dtype, self._image.device)

    def within(self, window: Window) -> "PixelSums":
        """The same kind for a window of the image, empty."""
        return PixelSums(window.size, self._image.dtype, self._image.device)

    def put(self, window: Window, part: "PixelSums") -> None:
        """Add the sums in a window of the image."""
        window.crop(self.image()).add_(part.image())

    def __iadd__(self, other: "PixelSums") -> "PixelSums":
        self.image().add_(other.image())
        return self
