"""Do contributions tell what a neuron does? Held against taking it away (SPEC of the method: section 5)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from xinc_pl.canvas import Canvas, Convention, LayerCanvas


@dataclass(frozen=True)
class Agreement:
    """How well the contributions of one layer's neurons agree with what taking them away does.

    Attributes:
        layer: The layer's name.
        convention: Of the contributions.
        rank_correlation: Spearman's, over neurons, between a neuron's contribution sum_p A(p) and the sum of the
            squared changes of the output without it; NaN where either is the same for all neurons.
        spatial_correlation: Median over neurons of Pearson's, over pixels, between A(p) and the absolute change of the
            output, summed over its channels. Of the neurons that change anything and whose map is not constant.
        spatial_control: The same between each neuron's map and the change that another neuron makes.
        num_neurons: How many neurons were taken away.
        num_blind: How many of them change the output, though their map is zero everywhere.
    """

    layer: str
    convention: Convention
    rank_correlation: float
    spatial_correlation: float
    spatial_control: float
    num_neurons: int
    num_blind: int


def agreements(
    effect: Canvas, canvases: Mapping[Convention, LayerCanvas], layer: str, neurons: Tensor
) -> list[Agreement]:
    """Take neurons away, one by one, and compare with their contributions under several conventions.

    The output is taken as the network gives it, not clamped to [0, 1].

    Args:
        effect: The canvas under the convention ``effect``, which can do without neurons.
        canvases: The layer's canvas under each convention.
        layer: The layer's name.
        neurons: int64 (n,), those to take away.
    """
    num_neurons = len(neurons)
    intact = effect.removal.image
    errors = torch.zeros(num_neurons, dtype=torch.float64)
    totals = {convention: torch.zeros(num_neurons, dtype=torch.float64) for convention in canvases}
    own = {convention: torch.full((num_neurons,), math.nan, dtype=torch.float64) for convention in canvases}
    others = {convention: values.clone() for convention, values in own.items()}
    start = 0
    for part, images in effect.removal.each(layer, neurons):
        places = torch.arange(start, start + len(part))
        start += len(part)
        difference = (images - intact).double()
        errors[places] = difference.square().sum((1, 2, 3)).cpu()
        changes = difference.abs().sum(1).flatten(1)
        for convention, canvas in canvases.items():
            maps = canvas.magnitudes(part).flatten(1).double()
            totals[convention][places] = maps.sum(1).cpu()
            own[convention][places] = _correlation(maps, changes).cpu()
            # The map of the neuron after it in the sample: what any map of this layer would give.
            strangers = neurons[(places + 1) % num_neurons]
            maps = canvas.magnitudes(strangers).flatten(1).double()
            others[convention][places] = _correlation(maps, changes).cpu()
    return [
        Agreement(
            layer,
            convention,
            _rank_correlation(totals[convention], errors),
            float(own[convention].nanmedian()),
            float(others[convention].nanmedian()) if num_neurons > 1 else math.nan,
            num_neurons,
            int(((totals[convention] == 0) & (errors > 0)).sum()),
        )
        for convention in canvases
    ]


def contributions(canvas: LayerCanvas) -> Tensor:
    """sum_p A(p) of every neuron of a layer, also where its statistics are about a sample: float64 (N,)."""
    sums = torch.zeros(canvas.num_neurons, dtype=torch.float64)
    for neurons, maps in canvas.stream():
        sums[neurons.cpu()] = maps.sum((1, 2), dtype=torch.float64).cpu()
    return sums


def _correlation(maps: Tensor, changes: Tensor) -> Tensor:
    """Pearson's of each row with its counterpart; NaN where one of them is constant."""
    one = maps - maps.mean(1, keepdim=True)
    other = changes - changes.mean(1, keepdim=True)
    norms = one.norm(dim=1) * other.norm(dim=1)
    # Rounding makes a constant map not quite constant.
    varied = (one.abs().amax(1) > 1e-6 * maps.abs().amax(1)) & (other.abs().amax(1) > 1e-6 * changes.abs().amax(1))
    return torch.where(varied, (one * other).sum(1) / norms, torch.nan)


def _rank_correlation(totals: Tensor, errors: Tensor) -> float:
    from scipy.stats import spearmanr

    if len(totals.unique()) < 2 or len(errors.unique()) < 2:
        return math.nan
    return float(spearmanr(totals.numpy(), errors.numpy()).statistic)
