"""Partitions of a frame: which pixels belong together (P 4.2, S 6.2); and the same areas at shuffled pixels."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xinc_pl.analysis.channels import grey
from xinc_pl.frames import Frame

Array = npt.NDArray[Any]
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
            colours, of however many channels), ``gabor`` (k-means of the grey frame's responses to Gabor filters),
            ``superpixels`` (contiguous regions that follow colour), ``grid`` (equal rectangles), ``comb``
            (every cell spread over the whole frame).
        num_clusters: k of ``rgb``, ``gabor`` and ``superpixels``.
        grid: Rows and columns of ``grid`` and ``comb``.
        convention: ``paper``; or ``released`` for what the authors' code does.
        seed: Of k-means and of the shuffle.
        shuffled: The same areas, at shuffled pixels. No null for smooth maps: any contiguous clusters differ from it.
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
        if self.num_clusters != default.num_clusters and self.name in ("rgb", "gabor", "superpixels"):
            parts.append(f"k{self.num_clusters}")
        if self.grid != default.grid and self.name in ("grid", "comb"):
            parts.append(f"{self.grid[0]}x{self.grid[1]}")
        if self.convention != default.convention:
            parts.append(self.convention)
        if self.seed != default.seed:
            parts.append(f"seed{self.seed}")
        return "_".join(parts)

    @property
    def is_regular(self) -> bool:
        """Whether cyclic shifts leave it as it is, so that they are no null: a shifted grid is a grid."""
        return self.name in ("grid", "comb")

    @property
    def control(self) -> "Partition":
        """The same areas, at shuffled pixels."""
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


def _instances(partition: Partition, frame: Frame) -> Tensor:
    if not frame.instances:
        raise PartitionUnavailableError("the frame has no instance masks; give them in Frame(instances=...)")
    masks = instance_masks(frame)
    everything = masks.any(0)
    # The released code takes the union of all instances for the other pixels.
    other = everything if partition.convention == "released" else ~everything
    return torch.cat([masks, other[None]]) if bool(other.any()) else masks


def instance_masks(frame: Frame) -> Tensor:
    """Masks of a frame's instances, without those that have no pixel: bool (K, H, W).

    Raises:
        ValueError: A mask has another size than the frame.
        PartitionUnavailableError: No instance has a pixel.
    """
    for instance in frame.instances:
        if tuple(instance.mask.shape) != tuple(frame.size):
            raise ValueError(
                f"the mask of instance {instance.id} ({instance.category}) is {tuple(instance.mask.shape)}, but the "
                f"frame is {tuple(frame.size)}; resize the masks as the frame (nearest neighbour)"
            )
    masks = [instance.mask.cpu().bool() for instance in frame.instances if bool(instance.mask.any())]
    if not masks:
        raise PartitionUnavailableError("no instance of the frame has a pixel")
    return torch.stack(masks)


def _rgb(partition: Partition, frame: Frame) -> Tensor:
    colours = _channels_last(_target(frame))
    return _k_means(colours.reshape(-1, colours.shape[-1]), partition).view(frame.size)


def _gabor(partition: Partition, frame: Frame) -> Tensor:
    brightness = grey(_target(frame))
    if partition.convention == "released":
        return _k_means(_gabor_responses((brightness * 255).astype(np.uint8), (1.0, 3.0), 1, "wrap"), partition).view(
            frame.size
        )
    responses = _gabor_responses(brightness, (3.0,), 4, "reflect")
    spread = responses.std(0)
    # A constant frame answers every filter with a constant, which rounding alone tells apart.
    flat = spread <= 1e-6
    responses = np.where(flat, 0.0, (responses - responses.mean(0)) / np.where(flat, 1.0, spread))
    return _k_means(responses, partition).view(frame.size)


_FREQUENCIES = (0.05, 0.25, 0.5)


def _gabor_responses(grey: Array, sigmas: tuple[float, ...], num_orientations: int, mode: str) -> Array:
    """Real parts of the responses to Gabor filters (S 6.2), one column per filter: (H * W, filters).

    At the border, ``mode`` repeats or mirrors the frame as often as it takes, so that frames may be smaller than the
    filters.
    """
    from scipy.ndimage import convolve
    from skimage.filters import gabor_kernel

    kernels = [
        np.real(gabor_kernel(frequency, theta=np.pi * orientation / num_orientations, sigma_x=sigma, sigma_y=sigma))
        for orientation in range(num_orientations)
        for sigma in sigmas
        for frequency in _FREQUENCIES
    ]
    return np.stack([convolve(grey, kernel, mode=mode).ravel() for kernel in kernels], 1).astype(np.float64)


def _superpixels(partition: Partition, frame: Frame) -> Tensor:
    from skimage.segmentation import slic

    target = _target(frame)
    if len(target) == 1:
        target = target.expand(3, -1, -1)
    # scikit-image takes colours to Lab, a hundred times as wide as other channels, for which its default is made.
    compactness = 10.0 if len(target) == 3 else 0.1
    labels = slic(
        _channels_last(target),
        n_segments=partition.num_clusters,
        compactness=compactness,
        start_label=0,
        channel_axis=-1,
    )
    return _without_gaps(torch.from_numpy(labels.astype(np.int64)))


def _k_means(points: Array, partition: Partition) -> Tensor:
    """Cluster points (P, C): int64 (P,). Where there are fewer distinct points than clusters, each is one."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    k_means = KMeans(min(partition.num_clusters, len(points)), n_init=1, random_state=partition.seed)
    # One thread: beside torch's own, more of them wait for each other, ten times as long.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters
        labels = k_means.fit(points.astype(np.float32)).labels_
    return _without_gaps(torch.from_numpy(labels.astype(np.int64)))


def _target(frame: Frame) -> Tensor:
    """What the frame should look like: (C, H, W)."""
    if frame.target is None:
        raise PartitionUnavailableError("the frame has no target; give it in Frame(target=...)")
    return frame.target


def _channels_last(image: Tensor) -> Array:
    """(C, H, W) to float64 (H, W, C)."""
    return image.detach().cpu().double().permute(1, 2, 0).numpy()


_MAKERS: dict[PartitionName, Callable[[Partition, Frame], Tensor]] = {
    "instances": _instances,
    "rgb": _rgb,
    "gabor": _gabor,
    "superpixels": _superpixels,
    "grid": _grid,
    "comb": _comb,
}
