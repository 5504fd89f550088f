"""How often the distinct values of maps occur in the image."""

from functools import cached_property

import torch
from torch import Tensor

from xinc_pl.canvas.maps.group import MapGroup


class GroupWeights:
    """How often each distinct value of a group's maps occurs in the image.

    Args:
        group: The group.
        size: Height and width of the image.

    Attributes:
        shape: Rows R and columns C of distinct values.
        rows: float64 (R,), how often each row occurs.
        columns: float64 (C,), likewise.
    """

    def __init__(self, group: MapGroup, size: tuple[int, int]) -> None:
        device = group.neurons.device
        self.group = group
        self.rows = _multiplicity(group.rows, size[0], device)
        self.columns = _multiplicity(group.columns, size[1], device)
        self.shape = len(self.rows), len(self.columns)

    @property
    def are_one(self) -> bool:
        """Whether every value occurs once."""
        return self.group.rows is None and self.group.columns is None

    @cached_property
    def key(self) -> tuple[bytes, bytes]:
        """The same for groups whose values stand for the same pixels."""
        rows, columns = (
            b"" if classes is None else classes.cpu().numpy().tobytes()
            for classes in (self.group.rows, self.group.columns)
        )
        return rows, columns

    @cached_property
    def cells(self) -> Tensor:
        """float64 (R, C): pixels per cell."""
        if self.are_one:  # without memory of its own, for there may be many groups of large images
            return self.rows.new_ones(()).expand(self.shape)
        return self.rows[:, None] * self.columns

    def cell_of_pixel(self) -> Tensor:
        """int64 (H * W,): the cell of each pixel."""
        device = self.rows.device
        rows = torch.arange(self.shape[0], device=device) if self.group.rows is None else self.group.rows
        columns = torch.arange(self.shape[1], device=device) if self.group.columns is None else self.group.columns
        return (rows[:, None] * self.shape[1] + columns).flatten()


def every_pixel(size: tuple[int, int], device: torch.device) -> GroupWeights:
    """The weights where every pixel has a value of its own, without any maps."""
    nobody = torch.empty(0, dtype=torch.int64, device=device)
    return GroupWeights(MapGroup(nobody, lambda part: torch.empty(len(part), *size, device=device), 1), size)


def _multiplicity(classes: Tensor | None, length: int, device: torch.device) -> Tensor:
    if classes is None:
        return torch.ones(length, dtype=torch.float64, device=device)
    return torch.bincount(classes).double()
