"""What neurons contribute to things and stuff (Fig. 8, 19)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from xinc_pl.analysis.nulls import Null
from xinc_pl.frames import Frame

Floats = npt.NDArray[np.float64]

NUM_PERMUTATIONS = 199
MIN_AREA = 0.002
"""Share of the image: an object of fewer pixels has a mean that says little."""


@dataclass(frozen=True)
class ObjectName:
    """One object over all frames.

    Attributes:
        id: As in the frames.
        category: What it is.
        is_thing: True for things, False for stuff.
    """

    id: int
    category: str
    is_thing: bool


@dataclass(frozen=True, eq=False)
class ObjectContributions:
    """Mean contributions of some neurons of a layer to objects.

    Attributes:
        layer: The layer's name.
        neurons: int64 (n,).
        objects: The objects, things first, each category together.
        shares: Float64 (n, objects, frames): mean contribution over the object's pixels, over the mean of the neuron's
            values here: 1 is a neuron that does not look at objects. NaN where the object is absent; zeros for a
            neuron that contributes to none.
    """

    layer: str
    neurons: npt.NDArray[np.int64]
    objects: tuple[ObjectName, ...]
    shares: Floats


@dataclass(frozen=True, eq=False)
class Concentration:
    """Whether objects of one category are treated more alike than objects of different ones.

    Attributes:
        null: Mean distance between objects of different categories over the mean distance within one: above 1, yes;
            beside the same ratio when categories are dealt out anew at random.
        floor: The smallest p that so few objects allow: the share of deals that change nothing but names.
    """

    null: Null
    floor: float


def objects_of(frames: Sequence[Frame], min_area: float = 0.0) -> tuple[ObjectName, ...]:
    """All objects that are large enough in some frame, things first, each category together.

    Args:
        frames: The frames.
        min_area: Share of the image that an object's visible pixels have to cover; it needs one pixel at least.
    """
    found = {
        ObjectName(instance.id, instance.category, instance.is_thing)
        for frame in frames
        for instance in frame.instances
        if _is_seen(instance.mask, min_area)
    }
    return tuple(sorted(found, key=lambda each: (not each.is_thing, each.category, each.id)))


def _is_seen(mask: Tensor, min_area: float) -> bool:
    return int(mask.sum()) >= max(min_area * mask.numel(), 1)


def mean_contributions(
    magnitudes: Tensor, frame: Frame, objects: Sequence[ObjectName], min_area: float = 0.0
) -> Floats:
    """Mean of each map over each object's pixels.

    Args:
        magnitudes: (n, H, W), of some neurons on this frame.
        frame: Knows the objects' masks.
        objects: Which.
        min_area: Share of the image from which on an object is there.

    Returns:
        Float64 (n, objects); NaN where an object is absent or too small.

    Raises:
        ValueError: A mask has another size than the maps.
    """
    masks: Mapping[int, Tensor] = {instance.id: instance.mask for instance in frame.instances}
    means = np.full((len(magnitudes), len(objects)), np.nan)
    for place, each in enumerate(objects):
        mask = masks.get(each.id)
        if mask is None or not _is_seen(mask, min_area):
            continue
        if mask.shape != magnitudes.shape[1:]:
            raise ValueError(
                f"the mask of instance {each.id} ({each.category}) is {tuple(mask.shape)}, but the maps are "
                f"{tuple(magnitudes.shape[1:])}; resize the masks as the frame (nearest neighbour)"
            )
        means[:, place] = magnitudes[:, mask.to(magnitudes.device).bool()].double().mean(1).cpu().numpy()
    return means


def object_contributions(
    layer: str, neurons: npt.NDArray[np.int64], objects: tuple[ObjectName, ...], means: Sequence[Floats]
) -> ObjectContributions:
    """Put the frames' means together, and divide each neuron's by their mean.

    Args:
        layer: The layer's name.
        neurons: int64 (n,).
        objects: The objects.
        means: Of each frame, (n, objects), as from ``mean_contributions``.
    """
    shares = np.stack(means, axis=2)
    present = ~np.isnan(shares)
    average = np.where(present, shares, 0).sum((1, 2)) / np.maximum(present.sum((1, 2)), 1)
    shares = shares / np.where(average > 0, average, 1)[:, None, None]
    return ObjectContributions(layer, neurons, objects, shares)


def concentration(contributions: ObjectContributions, seed: int) -> Concentration | None:
    """Compare distances between objects within and across categories.

    An object is the vector of its shares, one per neuron, the mean over its frames; distances are Euclidean.

    Args:
        contributions: Of a layer.
        seed: Of the permutations.

    Returns:
        None where no two objects share a category, or all do, or all lie in the same place.
    """
    present = ~np.isnan(contributions.shares)
    vectors = (np.where(present, contributions.shares, 0).sum(2) / np.maximum(present.sum(2), 1)).T
    categories = np.unique([each.category for each in contributions.objects], return_inverse=True)[1]
    pairs = np.array(list(combinations(range(len(categories)), 2)), dtype=np.int64).reshape(-1, 2)
    distances = np.linalg.norm(vectors[pairs[:, 0]] - vectors[pairs[:, 1]], axis=1)

    def ratio(labels: npt.NDArray[np.int64]) -> float:
        same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
        if same.all() or not same.any():
            return float("nan")
        within = distances[same].mean()
        return float(distances[~same].mean() / within) if within > 0 else float("nan")

    generator = np.random.default_rng(seed)
    dealt = np.array([ratio(generator.permutation(categories)) for _ in range(NUM_PERMUTATIONS)])
    null = Null(ratio(categories), dealt)
    return Concentration(null, max(null.floor, _share_of_same_deals(categories))) if null.exists else None


def _share_of_same_deals(categories: npt.NDArray[np.int64]) -> float:
    """How many of all ways to deal out categories put the same objects together."""
    sizes = np.bincount(categories)
    deals = math.factorial(len(categories)) // math.prod(math.factorial(int(size)) for size in sizes)
    return math.prod(math.factorial(int((sizes == size).sum())) for size in np.unique(sizes)) / deals
