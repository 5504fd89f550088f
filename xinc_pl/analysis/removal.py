"""What is left of images when neurons are taken away together, in several orders (section 5 of the method)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from xinc_pl.analysis.removal_orders import RANDOM, Candidates, Evidence, Order, orders_of, random_orders
from xinc_pl.canvas import Canvas
from xinc_pl.frames import psnr_from_mse

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Of the candidates, taken away for a removal curve."""
NUM_RANDOM = 5
"""Random orders."""


@dataclass(frozen=True)
class RemovalCurve:
    """What is left of the images, by the share of neurons that are taken away in some order.

    PSNRs are means over the frames.

    Attributes:
        order: One of ``ORDERS``.
        shares: Of the candidates, ascending.
        intact: PSNR in dB with all neurons.
        left: PSNR in dB without those that the order takes first, for each share; of random orders the mean.
        lowest: Of several random orders, the lowest; otherwise as ``left``.
        highest: Likewise.
    """

    order: str
    shares: tuple[float, ...]
    intact: float
    left: tuple[float, ...]
    lowest: tuple[float, ...]
    highest: tuple[float, ...]

    @property
    def lost(self) -> tuple[float, ...]:
        """DB lost, for each share."""
        return tuple(self.intact - left for left in self.left)

    @property
    def mean_lost(self) -> float:
        """DB lost, mean over the shares: small for an order that finds what can go."""
        return sum(self.lost) / len(self.lost)


@dataclass(frozen=True, eq=False)
class Judges:
    """Those who tell what is left: some frames. What they have told once they remember.

    Attributes:
        effects: Each frame's canvas under the convention ``effect``, which can do without neurons.
        targets: What each is to show: (C, H, W) in [0, 1].
    """

    effects: Sequence[Canvas]
    targets: Sequence[Tensor]

    _told: dict[tuple[object, ...], float] = field(default_factory=dict, repr=False)

    def psnr(self, neurons: Mapping[str, Tensor] | None = None, means: Mapping[str, Tensor] | None = None) -> float:
        """Mean PSNR in dB without some neurons; ``means``, one for each and always the same, stay in the bias."""
        gone = {layer: frozenset(own.tolist()) for layer, own in (neurons or {}).items()}
        key = (means is not None, *sorted(gone.items()))
        if key not in self._told:
            pairs = zip(self.effects, self.targets, strict=True)
            psnrs = [_psnr(effect.removal.together(neurons or {}, means), target) for effect, target in pairs]
            self._told[key] = float(np.mean(psnrs))
        return self._told[key]


def removal_curve(
    judges: Judges,
    candidates: Candidates,
    order: Order,
    means: Mapping[str, Tensor] | None = None,
    shares: Sequence[float] = SHARES,
) -> RemovalCurve:
    """Take ever more neurons away.

    Args:
        judges: The frames.
        candidates: The neurons that may go.
        order: In which they do.
        means: What candidates add on average, by layer; for an order that keeps them.
        shares: Of the neurons in the order; one neuron at least is taken away.
    """
    left = []
    for share in shares:
        gone = candidates.within(order.places[: min(max(1, round(share * len(order.places))), len(order.places))])
        neurons = {layer: candidates.neurons[layer][own] for layer, own in gone.items()}
        kept = None
        if order.keeps_means and means is not None:
            kept = {layer: means[layer][own.to(means[layer].device)] for layer, own in gone.items()}
        left.append(judges.psnr(neurons, kept))
    return RemovalCurve(order.name, tuple(shares), judges.psnr(), *[tuple(left)] * 3)


def removal_curves(
    judges: Judges, evidence: Evidence, layers: Sequence[str], seed: int = 0, shares: Sequence[float] = SHARES
) -> list[RemovalCurve]:
    """Of the candidates of some layers, in one order: every order, and last the mean of ``NUM_RANDOM`` random ones.

    Args:
        judges: The frames.
        evidence: What is known of the candidates.
        layers: Whose candidates go.
        seed: Of the random orders.
        shares: Of the candidates.
    """
    curves = [
        removal_curve(judges, evidence.candidates, order, evidence.means, shares)
        for order in orders_of(evidence, layers)
    ]
    by_chance = [
        removal_curve(judges, evidence.candidates, order, None, shares)
        for order in random_orders(evidence, layers, NUM_RANDOM, seed)
    ]
    left = np.array([curve.left for curve in by_chance])
    spread = [tuple(map(float, values)) for values in (left.mean(0), left.min(0), left.max(0))]
    return [*curves, RemovalCurve(RANDOM, tuple(shares), by_chance[0].intact, *spread)]


def _psnr(image: Tensor, target: Tensor) -> float:
    error = (image.cpu().clamp(0, 1) - target.cpu()).double().square().mean()
    # Not infinite where nothing was lost: means over several shares stay finite.
    return float(psnr_from_mse(error.clamp_min(1e-10)))
