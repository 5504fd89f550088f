"""Do contributions tell what a neuron does? Held against taking it away (section 5 of the method)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xinc_pl.analysis.bootstrap import Estimate, median, rank_correlation
from xinc_pl.canvas import Canvas, Convention, LayerCanvas


@dataclass(frozen=True)
class Agreement:
    """How well the contributions of one layer's neurons agree with what taking them away does, on some frames.

    Like is held against like: squares against squares, absolute values against absolute values.

    Attributes:
        layer: The layer's name.
        convention: Of the contributions.
        rank_correlation: Spearman's, over neurons, between the squares of a neuron's contributions (the sum over
            pixels, outputs and frames of M**2; of A**2 for ``paper`` and ``released``) and the sum of the squared
            changes of the output without it; NaN where either is the same for all neurons.
        spatial_correlation: Median over neurons of Pearson's, over pixels, between A(p) and the absolute change of the
            output, summed over its channels; the mean over the frames. Of the neurons that change anything and whose
            map is not constant.
        spatial_control: The same between each neuron's map and the change that another neuron makes.
        num_neurons: How many neurons were taken away.
        num_blind: How many of them change the output, though their maps are zero everywhere.
    """

    layer: str
    convention: Convention
    rank_correlation: Estimate
    spatial_correlation: Estimate
    spatial_control: Estimate
    num_neurons: int
    num_blind: int


def agreements(
    effects: Sequence[Canvas],
    canvases: Mapping[Convention, Sequence[LayerCanvas]],
    layer: str,
    neurons: Tensor,
    seed: int = 0,
) -> list[Agreement]:
    """Take neurons away, one by one, and compare with their contributions under several conventions.

    The output is taken as the network gives it, not clamped to [0, 1].

    Args:
        effects: The canvas of each frame under the convention ``effect``, which can do without neurons.
        canvases: The layer's canvas on each frame under each convention.
        layer: The layer's name.
        neurons: int64 (n,), those to take away.
        seed: Of the resampling of neurons for intervals.
    """
    number = len(neurons)
    errors = torch.zeros(number, dtype=torch.float64)
    squares = {convention: torch.zeros_like(errors) for convention in canvases}
    own, others = ({each: torch.zeros(len(effects), number).double() for each in canvases} for _ in range(2))
    for at, effect in enumerate(effects):
        start = 0
        for part, images in effect.removal.each(layer, neurons):
            places = torch.arange(start, start + len(part))
            start += len(part)
            difference = (images - effect.removal.image).double()
            errors[places] += difference.square().sum((1, 2, 3)).cpu()
            changes = difference.abs().sum(1).flatten(1)
            # The neuron after it in the sample: what any map of this layer would give.
            following = neurons[[start % number]]
            for convention, of_frames in canvases.items():
                maps, sums = _magnitudes(of_frames[at], convention, part)
                squares[convention][places] += sums.cpu()
                own[convention][at, places] = _correlation(maps, changes).cpu()
                strangers = torch.cat([maps[1:], _magnitudes(of_frames[at], convention, following)[0]])
                others[convention][at, places] = _correlation(strangers, changes).cpu()
    return [
        Agreement(
            layer,
            convention,
            rank_correlation(squares[convention].numpy(), errors.numpy(), seed),
            median(own[convention].nanmean(0).numpy(), seed),
            # A neuron alone has no other.
            median(others[convention].nanmean(0)[: number if number > 1 else 0].numpy(), seed),
            number,
            int(((squares[convention] == 0) & (errors > 0)).sum()),
        )
        for convention in canvases
    ]


def contributions(canvases: Sequence[LayerCanvas], neurons: Tensor, power: int = 1) -> Tensor:
    """sum_p A(p)**power of some neurons of a layer, over all frames: float64 (n,).

    Args:
        canvases: The layer's canvas on each frame.
        neurons: int64 (n,).
        power: 1, or 2 for squares.
    """
    places = torch.empty(canvases[0].num_neurons, dtype=torch.int64)
    places[neurons] = torch.arange(len(neurons))
    sums = torch.zeros(len(neurons), dtype=torch.float64)
    for canvas in canvases:
        for part, maps in canvas.stream(neurons):
            sums[places[part.cpu()]] += maps.double().pow(power).sum((1, 2)).cpu()
    return sums


def _magnitudes(canvas: LayerCanvas, convention: Convention, neurons: Tensor) -> tuple[Tensor, Tensor]:
    """A of some neurons, float64 (n, P), and the sum of squares of each (n,)."""
    if convention == "effect":
        maps = canvas.maps(neurons, per_output=True).double().flatten(2)
        return maps.abs().sum(1), maps.square().sum((1, 2))
    magnitudes = canvas.magnitudes(neurons).double().flatten(1)
    return magnitudes, magnitudes.square().sum(1)


def _correlation(maps: Tensor, changes: Tensor) -> Tensor:
    """Pearson's of each row with its counterpart; NaN where one of them is constant."""
    one = maps - maps.mean(1, keepdim=True)
    other = changes - changes.mean(1, keepdim=True)
    norms = one.norm(dim=1) * other.norm(dim=1)
    # Rounding makes a constant map not quite constant.
    varied = (one.abs().amax(1) > 1e-6 * maps.abs().amax(1)) & (other.abs().amax(1) > 1e-6 * changes.abs().amax(1))
    return torch.where(varied, (one * other).sum(1) / norms, torch.nan)
