"""Matched neurons as maps: the best, the median and the worst pair of a layer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xinc_pl.analysis.canvas_sample import neuron_label
from xinc_pl.analysis.matching import Match
from xinc_pl.canvas import LayerCanvas

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class MatchedMaps:
    """Pairs of matched neurons of one layer.

    Attributes:
        title: Who is matched with whom.
        labels: Of each pair, what to call its neurons.
        similarity: Of each pair.
        maps: Float32 (n, 2, H, W), magnitudes, each scaled to [0, 1]: what the neurons' vectors are made of.
        is_trivial: See ``Match``.
    """

    title: str
    labels: tuple[tuple[str, str], ...]
    similarity: tuple[float, ...]
    maps: Floats
    is_trivial: bool


def matched_maps(title: str, match: Match, first: LayerCanvas, second: LayerCanvas) -> MatchedMaps:
    """The best, the median and the worst pair of a match; none where nothing was matched.

    Args:
        title: Who is matched with whom.
        match: The pairs.
        first: The canvas that their first neurons are of.
        second: The canvas that their second neurons are of.
    """
    places = match.examples()
    pairs = match.neurons[places]
    columns = [_scaled(each.magnitudes, pairs[:, side]) for side, each in enumerate((first, second))]
    return MatchedMaps(
        title,
        tuple(
            (neuron_label(one, first.neuron_shape), neuron_label(other, second.neuron_shape))
            for one, other in pairs.tolist()
        ),
        tuple(match.similarity[places].tolist()),
        np.stack([each.numpy() for each in columns], axis=1)
        if len(pairs)
        else np.zeros((0, 2, *first.size), "float32"),
        match.is_trivial,
    )


def _scaled(magnitudes: Callable[[Tensor], Tensor], neurons: Tensor) -> Tensor:
    """Maps of neurons, of which one may come twice, each scaled to [0, 1]."""
    if not len(neurons):
        return torch.zeros(0)
    unique, places = neurons.unique(return_inverse=True)
    maps = magnitudes(unique).float().cpu()[places]
    lowest, highest = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - lowest) / (highest - lowest).clamp_min(torch.finfo(torch.float32).tiny)
