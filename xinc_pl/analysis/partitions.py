"""Partitions of a frame: which pixels belong together, and a random control for each (P 4.2, S 6.2)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from xinc_pl.frames import Frame

PartitionName = Literal["instances", "rgb", "gabor", "grid", "comb", "superpixels"]
PARTITION_NAMES: tuple[PartitionName, ...] = ("instances", "rgb", "gabor", "superpixels", "grid", "comb")
"""In the order in which pictures show them."""


class PartitionUnavailableError(ValueError):
    """A frame has nothing that this partition could be made from."""


@dataclass(frozen=True)
class Partition:
    """Which pixels of a frame to put together.

    Args:
        name: ``instances`` (one cluster per instance mask, and one for all other pixels), ``rgb`` (k-means of
            colours), ``gabor`` (k-means of the responses to Gabor filters), ``superpixels`` (contiguous regions that
            follow colour), ``grid`` (equal rectangles), ``comb`` (every cell spread over the whole frame).
        num_clusters: k of ``rgb``, ``gabor`` and ``superpixels``.
        grid: Rows and columns of ``grid`` and ``comb``.
        convention: ``paper``; or ``released`` for what the authors' code does.
        seed: Of k-means and of the shuffle.
        shuffled: The random control: the same areas, at shuffled pixels.
    """

    name: PartitionName
    num_clusters: int = 32
    grid: tuple[int, int] = (4, 8)
    convention: Literal["paper", "released"] = "paper"
    seed: int = 0
    shuffled: bool = False

    def __post_init__(self) -> None:
        if self.name not in PARTITION_NAMES:
            raise ValueError(f"there is no partition {self.name!r}; choose from {', '.join(PARTITION_NAMES)}")
        if self.num_clusters < 1 or min(self.grid) < 1:
            raise ValueError(
                f"partition {self.name}: {self.num_clusters} clusters, a grid of {self.grid[0]} by {self.grid[1]}; "
                "each must be at least 1"
            )

    @property
    def key(self) -> str:
        """What statistics call it: ``rgb``, ``random_rgb``; with what differs from the defaults, ``rgb_k16``."""
        default = Partition(self.name)
        parts = [f"random_{self.name}" if self.shuffled else self.name]
        if self.num_clusters != default.num_clusters:
            parts.append(f"k{self.num_clusters}")
        if self.grid != default.grid:
            parts.append(f"{self.grid[0]}x{self.grid[1]}")
        if self.convention != default.convention:
            parts.append(self.convention)
        if self.seed != default.seed:
            parts.append(f"seed{self.seed}")
        return "_".join(parts)

    @property
    def control(self) -> "Partition":
        """The random control."""
        return replace(self, shuffled=True)


def labels_of(partition: Partition, frame: Frame) -> Tensor:
    """Find a partition's clusters in a frame.

    Returns:
        int64 labels (H, W), 0 to K - 1 without gaps; or masks bool (K, H, W), which may overlap.

    Raises:
        PartitionUnavailableError: The frame has no target, or no instances, where they are needed.
    """
    labels = _MAKERS[partition.name](partition, frame)
    if partition.shuffled:
        generator = torch.Generator().manual_seed(partition.seed)
        order = torch.randperm(frame.size[0] * frame.size[1], generator=generator)
        labels = labels.flatten(-2)[..., order].view_as(labels)
    return labels


def _grid(partition: Partition, frame: Frame) -> Tensor:
    (height, width), (rows, columns) = frame.size, partition.grid
    row = (torch.arange(height) // max(height // rows, 1)).clamp(max=rows - 1)
    column = (torch.arange(width) // max(width // columns, 1)).clamp(max=columns - 1)
    return _without_gaps(row[:, None] * columns + column)


def _comb(partition: Partition, frame: Frame) -> Tensor:
    (height, width), (rows, columns) = frame.size, partition.grid
    return _without_gaps((torch.arange(height) % rows)[:, None] * columns + torch.arange(width) % columns)


def _without_gaps(labels: Tensor) -> Tensor:
    """Number the labels that occur from 0 on, in their order."""
    numbered: Tensor = labels.unique(return_inverse=True)[1]
    return numbered


_MAKERS: dict[PartitionName, Callable[[Partition, Frame], Tensor]] = {"grid": _grid, "comb": _comb}
