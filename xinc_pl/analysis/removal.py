"""What is left of an image when neurons are taken away, in order of what they are said to contribute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xinc_pl.canvas import Canvas
from xinc_pl.frames import psnr_from_mse

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Of the neurons, taken away for a removal curve."""
RANDOM = "random"
NUM_RANDOM = 3
"""Random orders that are averaged for the control."""


@dataclass(frozen=True)
class RemovalCurve:
    """What is left of the image, by the share of neurons that are taken away in some order.

    Attributes:
        order: What decides: a convention's contributions, ``magnitude`` of the weights, or ``RANDOM``.
        shares: Of the neurons, ascending.
        intact: PSNR in dB with all neurons.
        first: PSNR in dB without the neurons that come first, those that contribute most; for each share.
        last: Without those that come last, as pruning does it.
    """

    order: str
    shares: tuple[float, ...]
    intact: float
    first: tuple[float, ...]
    last: tuple[float, ...]

    @property
    def deletion(self) -> float:
        """DB lost without the first neurons, mean over the shares: large for an order that finds what matters."""
        return self.intact - sum(self.first) / len(self.first)

    @property
    def pruning(self) -> float:
        """DB lost without the last neurons, mean over the shares: small for an order that finds what does not."""
        return self.intact - sum(self.last) / len(self.last)


def removal_curve(
    effect: Canvas, scores: Mapping[str, Tensor], order: str, target: Tensor, shares: Sequence[float] = SHARES
) -> RemovalCurve:
    """Take the neurons with the highest scores away, ever more of them, and those with the lowest.

    Args:
        effect: The canvas under the convention ``effect``.
        scores: By layer, of all of its neurons (N,). Neurons of several layers are put in one order.
        order: What to call it.
        target: The image (C, H, W) that the network is to show.
        shares: Of the neurons; one neuron at least is taken away.
    """
    order_of_all = torch.cat(list(scores.values())).argsort(descending=True, stable=True)
    counts = [min(max(1, round(share * len(order_of_all))), len(order_of_all)) for share in shares]

    def left_without(some: Tensor) -> float:
        return _psnr(effect.removal.together(_by_layer(some, scores)), target)

    intact = _psnr(effect.removal.image, target)
    first = tuple(left_without(order_of_all[:count]) for count in counts)
    # First and last are the same to a random order.
    last = first if order == RANDOM else tuple(left_without(order_of_all[-count:]) for count in counts)
    return RemovalCurve(order, tuple(shares), intact, first, last)


def random_removal_curve(
    effect: Canvas, num_neurons: Mapping[str, int], target: Tensor, seed: int = 0, shares: Sequence[float] = SHARES
) -> RemovalCurve:
    """The control: the mean of ``NUM_RANDOM`` random orders of all neurons of some layers."""
    generator = torch.Generator().manual_seed(seed)
    curves = [
        removal_curve(
            effect,
            {layer: torch.rand(number, generator=generator) for layer, number in num_neurons.items()},
            RANDOM,
            target,
            shares,
        )
        for _ in range(NUM_RANDOM)
    ]
    mean = tuple(map(float, np.mean([curve.first for curve in curves], axis=0)))
    return RemovalCurve(RANDOM, tuple(shares), curves[0].intact, mean, mean)


def _by_layer(places: Tensor, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Places among the neurons of all layers, as indices of each layer's; only layers that lose any."""
    chosen, start = {}, 0
    for layer, each in scores.items():
        own = places[(places >= start) & (places < start + len(each))] - start
        if len(own):
            chosen[layer] = own
        start += len(each)
    return chosen


def _psnr(image: Tensor, target: Tensor) -> float:
    error = (image.cpu().clamp(0, 1) - target.cpu()).double().square().mean()
    # Not infinite where nothing was lost: means over several shares stay finite.
    return float(psnr_from_mse(error.clamp_min(1e-10)))
