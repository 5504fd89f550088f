"""In which order neurons could go: what is known of each, and of all of them together (section 5 of the method)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xinc_pl.analysis.faithfulness import contributions
from xinc_pl.canvas import Canvas, Convention

GRAM, GRAM_MEAN, EFFECT_L1 = "gram", "gram_mean", "effect_l1"
RMS_TIMES_NORM, MAGNITUDE_OVER_MEAN, MAGNITUDE, RANDOM = "rms_times_norm", "magnitude_over_mean", "magnitude", "random"
ORDERS = (
    *(GRAM, GRAM_MEAN, "effect", EFFECT_L1, "paper", "released"),
    *(RMS_TIMES_NORM, MAGNITUDE_OVER_MEAN, MAGNITUDE, RANDOM),
)
"""Names of all orders. Those of conventions are by the sum of squares of a neuron's contributions."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The neurons that may go, of one or several layers; the same for all orders.

    Attributes:
        neurons: By layer, int64 (n,) indices. Their places count through all layers, one after the other.
    """

    neurons: Mapping[str, Tensor]

    @property
    def number(self) -> int:
        """How many there are."""
        return sum(map(len, self.neurons.values()))

    def places(self, layers: Sequence[str]) -> Tensor:
        """The places of those of some layers, ascending."""
        found, start = [], 0
        for layer, own in self.neurons.items():
            if layer in layers:
                found.append(torch.arange(start, start + len(own)))
            start += len(own)
        return torch.cat(found)

    def within(self, places: Tensor) -> dict[str, Tensor]:
        """Places as places among each layer's own; only layers that have any."""
        chosen, start = {}, 0
        for layer, each in self.neurons.items():
            own = places[(places >= start) & (places < start + len(each))] - start
            if len(own):
                chosen[layer] = own
            start += len(each)
        return chosen


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of the candidates.

    Attributes:
        candidates: They.
        scores: By order, float64 (n,) for each candidate: how much it matters.
        gram: float64 (n, n), what they change together (``Canvas.gram``), over all frames.
        gram_mean: The same, where what they add on average stays in the bias.
        means: By layer, what each candidate adds on average over pixels and frames: (n, outputs).
    """

    candidates: Candidates
    scores: Mapping[str, Tensor]
    gram: Tensor
    gram_mean: Tensor
    means: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Order:
    """An order in which neurons go.

    Attributes:
        name: One of ``ORDERS``.
        places: int64 (m,) places among the candidates; the first go first.
        keeps_means: Whether what they add on average stays in the bias.
    """

    name: str
    places: Tensor
    keeps_means: bool = False


def evidence_of(
    effects: Sequence[Canvas], others: Mapping[Convention, Sequence[Canvas]], candidates: Candidates
) -> Evidence:
    """Find out what there is to know of the candidates, on some frames.

    Args:
        effects: The canvas of each frame under the convention ``effect``.
        others: The canvas of each frame under further conventions to rank neurons by.
        candidates: They.
    """
    neurons = candidates.neurons
    means = {
        layer: torch.stack([effect.removal.means(layer, own) for effect in effects]).mean(0)
        for layer, own in neurons.items()
    }
    gram = torch.stack([effect.gram(neurons) for effect in effects]).sum(0)
    gram_mean = torch.stack([effect.gram(neurons, means) for effect in effects]).sum(0)

    def sums(canvases: Sequence[Canvas], power: int) -> Tensor:
        return torch.cat(
            [contributions([canvas[layer] for canvas in canvases], own, power) for layer, own in neurons.items()]
        )

    scores = {"effect": gram.diagonal(), EFFECT_L1: sums(effects, 1)}
    for convention, canvases in others.items():
        if convention != "effect":
            scores[convention] = sums(canvases, 2)
    norms = {layer: effects[0].removal.weight_norms(layer).double().cpu() for layer in neurons}
    powers = {
        layer: torch.stack([effect.removal.input_rms(layer).double().cpu().square() for effect in effects]).mean(0)
        for layer in neurons
    }
    products = {layer: norms[layer] * powers[layer].sqrt() for layer in neurons}
    scores[RMS_TIMES_NORM] = torch.cat([_over_mean(products[layer])[own] for layer, own in neurons.items()])
    scores[MAGNITUDE_OVER_MEAN] = torch.cat([_over_mean(norms[layer])[own] for layer, own in neurons.items()])
    scores[MAGNITUDE] = torch.cat([norms[layer][own] for layer, own in neurons.items()])
    return Evidence(candidates, scores, gram, gram_mean, means)


def orders_of(evidence: Evidence, layers: Sequence[str]) -> list[Order]:
    """Orders of the candidates of some layers, all but random ones, as in ``ORDERS``; those that matter least first.

    Within one layer the magnitude over the layer's mean is the magnitude, and left out.
    """
    places = evidence.candidates.places(layers)
    found = {name: Order(name, places[scores[places].argsort(stable=True)]) for name, scores in evidence.scores.items()}
    found[GRAM] = Order(GRAM, places[greedy_order(evidence.gram[places][:, places])])
    found[GRAM_MEAN] = Order(GRAM_MEAN, places[greedy_order(evidence.gram_mean[places][:, places])], keeps_means=True)
    if len(layers) == 1:
        del found[MAGNITUDE_OVER_MEAN]
    return [found[name] for name in ORDERS if name in found]


def random_orders(evidence: Evidence, layers: Sequence[str], number: int, seed: int) -> list[Order]:
    """Seeded orders that know nothing."""
    places = evidence.candidates.places(layers)
    generator = torch.Generator().manual_seed(seed)
    return [Order(RANDOM, places[torch.randperm(len(places), generator=generator)]) for _ in range(number)]


def greedy_order(gram: Tensor) -> Tensor:
    """Take away, one by one, whichever neuron adds least to the sum of ``gram`` over all that are gone.

    Neurons that undo each other go together. N steps of N additions.

    Args:
        gram: float64 (N, N), symmetric.

    Returns:
        int64 (N,); of equal ones, that with the lower index comes first.
    """
    matrix = gram.numpy()
    # What each would add: its own square, and twice its products with those that are gone.
    added = matrix.diagonal().copy()
    order = np.empty(len(matrix), dtype=np.int64)
    for step in range(len(matrix)):
        chosen = int(added.argmin())
        order[step] = chosen
        added += 2 * matrix[chosen]
        added[chosen] = np.inf
    return torch.from_numpy(order)


def _over_mean(values: Tensor) -> Tensor:
    return values / values.mean().clamp_min(torch.finfo(values.dtype).tiny)
