"""Everything that a kind of layer promises, checked."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from xinc_pl.canvas.backends.torch_backend import TORCH
from xinc_pl.canvas.checks.differences import SINGLE, must, told
from xinc_pl.canvas.checks.effect import finite_differences
from xinc_pl.canvas.checks.maps import check_formula
from xinc_pl.canvas.checks.removal import check_removal
from xinc_pl.canvas.checks.terms import all_neurons, check_described, check_oracle, check_precision, check_terms
from xinc_pl.canvas.checks.twice import Twice, read_twice
from xinc_pl.canvas.checks.weights import check_weights
from xinc_pl.canvas.effect.select import effect_rules
from xinc_pl.canvas.layers.kind import LayerKind, Operands
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.reading import KINDS
from xinc_pl.canvas.maps.sample import sampled
from xinc_pl.canvas.recording.image import Selection
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.recording.undisturbed import undisturbed

Oracle = Callable[[Operands, int], Tensor]

_MOST_ALONE = 64
"""Neurons that are looked at one by one, where that costs a pass through the network; a seeded sample of more."""


def check_kind(
    kind: LayerKind,
    network: nn.Module,
    inputs: Any,  # noqa: ANN401 - whatever the network takes
    *,
    size: tuple[int, int] | None = None,
    output: Selection | None = None,
    kinds: Sequence[LayerKind] = KINDS,
    oracle: Oracle | None = None,
) -> None:
    """Check a kind of layer in a network that has layers of it: for a test of your own.

    Everything is looked at in the network as it is and in a copy of it in double precision:

    - terms (n, ...) and weights (n, m) have their shapes, and no two neurons a label;
    - pixels (P, outputs) are the output's values, channel by channel;
    - zero inputs: no neuron that adds something has none;
    - oracle: each neuron's term is what you have written by hand, if you have;
    - weights: where a layer is linear in its weight, and neurons share no values of it, it loses a neuron's term with
      the neuron's weights;
    - order and chunks: neither matters to terms and weights;
    - weighted: it is the sum of all terms with their weights;
    - sum of terms: with the bias, they are what the layer returned;
    - part: they are that on some of the pixels, too;
    - precision: float32 and float64 give the same;
    - removal: without a neuron, the image is what the rest of the network makes of the layer without the term;
    - effect: maps and magnitudes are finite differences of the network along the term.

    Sums are over all neurons of a layer, whatever its size; a layer of more than 64 has a seeded sample of them looked
    at alone. Use a small network and image, with weights and inputs that are not zero.

    Args:
        kind: The kind.
        network: A network with at least one layer of this kind that leads to the image.
        inputs: What it is called with, as ``dissect`` takes it.
        size: As ``dissect`` takes it.
        output: As ``dissect`` takes it.
        kinds: Kinds of its other layers.
        oracle: What one neuron adds to the layer's output, in the output's shape, written as plainly as can be: a
            function of what the layer works on (in double precision) and the neuron's index.

    Raises:
        AssertionError: Something does not hold. One line says what, of which layer and neuron, where, and by how much.
        DissectionError: The network cannot be recorded.
    """
    name = type(kind).__name__
    with undisturbed():
        both = read_twice(network, inputs, size, output, [kind, *kinds])
        own = both.layers(kind)
        recording = both.double.recording
        for single, double in own:
            with told(f"{name} in {single.name}"):
                _check_layer(f"{name} in {single.name}", single, double, recording, oracle)
        for single, double in own:
            with told(f"{name} in {single.name}: effect"):
                _check_effect(f"{name} in {single.name}: effect", both, single, double)


def _check_layer(what: str, single: Layer, double: Layer, recording: Recording, oracle: Oracle | None) -> None:
    """All but the effect, of a layer as it is and in double precision."""
    kind, neurons = double.kind, _alone(double)
    for one, two in zip(single.uses, double.uses, strict=True):
        check_described(what, kind, two)
        if oracle is not None:
            check_oracle(what, kind, two, oracle)
        check_weights(what, kind, two, recording, neurons)
        try:
            check_terms(what, kind, two)
        except AssertionError:  # perhaps a neuron that was not in the sample is to blame, which is worth telling
            check_weights(what, kind, two, recording, all_neurons(kind, two))
            raise
        check_precision(what, kind, one, two, neurons)
    check_removal(what, double, recording, neurons)


def _check_effect(what: str, both: Twice, single: Layer, double: Layer) -> None:
    rules, skipped = effect_rules(both.single, TORCH)
    must(single.name in rules, f"{what}: {skipped.get(single.name)}")
    rule, neurons = rules[single.name], _alone(double)
    plain = finite_differences(double, both.double.recording, neurons)
    check_formula(f"{what} ({type(rule).__name__})", rule, neurons, plain, SINGLE)


def _alone(layer: Layer) -> Tensor:
    return sampled(layer.num_neurons, _MOST_ALONE).to(layer.output.device)
