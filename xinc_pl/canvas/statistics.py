"""What is known about a whole layer, gathered while its maps stream by (SPEC of the method: section 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from xinc_pl.canvas.rules import ContributionRule


@dataclass(frozen=True, eq=False)
class LayerStatistics:
    """Statistics of the magnitudes A = abs(M) of all maps of a layer. On the CPU, in float64.

    Attributes:
        num_neurons: N.
        size: Height H and width W.
        total: (H, W), sum of A over neurons.
        sum: (N,), sum of A over pixels.
        minimum: (N,), over pixels.
        maximum: (N,), over pixels.
        zero_map: bool (N,), whether the map is zero everywhere.
        zero_input: bool (N,), whether the neuron's own input is zero everywhere. Neither implies the other.
    """

    num_neurons: int
    size: tuple[int, int]
    total: Tensor
    sum: Tensor
    minimum: Tensor
    maximum: Tensor
    zero_map: Tensor
    zero_input: Tensor


def stream_layer_statistics(rule: ContributionRule, num_neurons: int) -> LayerStatistics:
    """Gather the statistics of all neurons of a layer in one streamed pass."""
    device = rule.layer.weight.device
    sums, minima, maxima = (torch.zeros(num_neurons, dtype=torch.float64, device=device) for _ in range(3))
    total = torch.zeros(rule.size, dtype=torch.float64, device=device)
    for chunk in rule.chunks(torch.arange(num_neurons, device=device)):
        magnitudes = chunk.values.abs()
        # A chunk has so few neurons that their float32 sum is exact to rounding; float64 carries it on.
        total += chunk.spread(magnitudes.sum(0).double())
        sums[chunk.neurons] = chunk.sum_over_pixels(magnitudes)
        minima[chunk.neurons] = magnitudes.amin((1, 2)).double()
        maxima[chunk.neurons] = magnitudes.amax((1, 2)).double()
    return LayerStatistics(
        num_neurons=num_neurons,
        size=rule.size,
        total=total.cpu(),
        sum=sums.cpu(),
        minimum=minima.cpu(),
        maximum=maxima.cpu(),
        zero_map=(maxima == 0).cpu(),
        zero_input=rule.zero_inputs().cpu(),
    )
