"""What a layer of a recording returns without the weights of one of its neurons: no kind is asked what it adds."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from xinc_pl.canvas.checks.differences import EXACT, compare
from xinc_pl.canvas.layers.kind import LayerKind, Operands
from xinc_pl.canvas.layers.layer import Use
from xinc_pl.canvas.recording.recording import Recording


def check_weights(what: str, kind: LayerKind, use: Use, recording: Recording, neurons: Tensor) -> None:
    """Where a layer is linear in its weight, and each value of that is one neuron's, it loses the term with these."""
    call, weight = recording.calls[use.position], use.operands.weight
    if not any(tensor is weight for tensor in call.tensors()) or not weight.is_floating_point():
        return

    def called(other: Tensor) -> Tensor:
        return call.run(lambda tensor: other if tensor is weight else tensor)[0]

    output = called(weight)
    bent = called(2 * weight) - 2 * output + called(torch.zeros_like(weight))
    if not bool((bent.abs() <= EXACT * output.abs().max()).all()):
        return
    masks = list(own_weights(kind, use.operands, neurons))
    if int(sum(mask.int() for mask in masks).max()) > 1:  # type: ignore[union-attr] # there is at least one neuron
        return
    for neuron, mask in zip(neurons.split(1), masks, strict=True):
        lost = output - called(weight.masked_fill(mask, 0))
        compare(
            f"{what}: weights: the term is not what the layer loses with neuron_weights",
            kind.terms(use.operands, neuron),
            lost[None],
            EXACT,
            neurons=neuron,
            scale=output.abs().max(),
        )


def own_weights(kind: LayerKind, operands: Operands, neurons: Tensor) -> Iterator[Tensor]:
    """Which values of the weight ``neuron_weights`` takes for each of some neurons: bool, in the weight's shape."""
    for neuron in neurons.split(1):
        with torch.enable_grad():
            leaf = operands.weight.detach().requires_grad_()
            values = kind.neuron_weights(replace(operands, weight=leaf), neuron)
            if not values.requires_grad:
                yield torch.zeros_like(leaf, dtype=torch.bool)
                continue
            # Factors of their own, so that nothing cancels.
            factors = torch.rand(values.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
            (gradient,) = torch.autograd.grad((values * factors.to(values)).abs().square().sum().sqrt(), leaf)
        yield gradient != 0
