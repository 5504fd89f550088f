"""What a kind of layer says of one call of a layer: terms, their sums, shapes, parts and precision."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from xinc_pl.canvas.checks.differences import EXACT, SINGLE, compare, must
from xinc_pl.canvas.layers.kind import LayerKind, Operands
from xinc_pl.canvas.layers.layer import Use
from xinc_pl.canvas.maps.group import CHUNK_VALUES

_PRECISE = {torch.float64, torch.complex128}


def check_described(what: str, kind: LayerKind, use: Use) -> None:
    """Shapes of everything, names of neurons, and that a layer's pixels are its output's values."""
    operands, output = use.operands, use.output
    neurons = all_neurons(kind, use)
    some = neurons[:3]
    shape = tuple(kind.terms(operands, some).shape)
    must(
        shape == (len(some), *output.shape),
        f"{what}: terms: the shape is {shape}, for {len(some)} neurons and an output of shape {tuple(output.shape)}",
    )
    shape = tuple(kind.neuron_weights(operands, some).shape)
    must(len(shape) == 2 and shape[0] == len(some), f"{what}: neuron_weights: the shape is {shape}, for {len(some)}")
    _check_pixels(what, kind, use)
    _check_zero_inputs(what, kind, use)
    labels: dict[str, int] = {}
    for neuron in neurons.tolist():
        label = kind.label(operands, neuron)
        must(label not in labels, f"{what}: label: neurons {labels.get(label)} and {neuron} are both {label!r}")
        labels[label] = neuron


def _check_pixels(what: str, kind: LayerKind, use: Use) -> None:
    """All values of the output, each channel's in a column, the same pixel's in a row."""
    operands, output = use.operands, use.output
    axis = kind.channel_axis(operands, output)
    must(0 <= axis < output.ndim, f"{what}: channel_axis is {axis}, of an output with {output.ndim} axes")
    numbers = torch.arange(output.numel(), device=output.device).view(output.shape)
    pixels = kind.pixels(operands, numbers)
    must(pixels.ndim == 2, f"{what}: pixels: the shape is {tuple(pixels.shape)}; it has to be (pixels, outputs)")
    compare(f"{what}: pixels are not the output's values", pixels.flatten().sort().values, numbers.flatten(), 0)
    if pixels.shape[1] == output.shape[axis]:  # a product may have several axes of outputs
        apart = torch.arange(output.shape[axis], device=output.device) * numbers.stride(axis)
        steps = pixels - pixels[:, :1]
        compare(f"{what}: pixels do not follow channel_axis", steps, apart.expand(steps.shape), 0)


def _check_zero_inputs(what: str, kind: LayerKind, use: Use) -> None:
    """A neuron that adds something has an input, where zeros would have given nothing."""
    operands = use.operands
    zero, neurons = kind.zero_inputs(operands), all_neurons(kind, use)
    must(
        zero.dtype == torch.bool and tuple(zero.shape) == (len(neurons),),
        f"{what}: zero_inputs: {zero.dtype} of shape {tuple(zero.shape)}, for {len(neurons)} neurons",
    )
    told = neurons[zero]
    if not len(told):
        return
    adds = torch.cat([(kind.terms(operands, part) != 0).flatten(1).any(1) for part in told.split(64)])
    if not kind.is_looked_up:
        nothing = replace(operands, input=torch.zeros_like(operands.input))
        at_zero = torch.cat([(kind.terms(nothing, part) != 0).flatten(1).any(1) for part in told.split(64)])
        adds &= ~at_zero
    wrong = told[adds].tolist()
    must(
        not wrong, f"{what}: zero_inputs: neuron {wrong[0] if wrong else None} adds something, so its input is not zero"
    )


def check_oracle(what: str, kind: LayerKind, use: Use, oracle: Callable[[Operands, int], Tensor]) -> None:
    """Each neuron's term is what somebody else says."""
    for neuron in all_neurons(kind, use).split(1):
        meant = oracle(use.operands, int(neuron))[None]
        made = kind.terms(use.operands, neuron)
        compare(f"{what}: oracle", made, meant.to(made), EXACT, neurons=neuron, scale=_scale(made, use.output))


def check_terms(what: str, kind: LayerKind, use: Use) -> None:
    """All terms, part by part: their order, their sum, their weighted sum."""
    operands, output = use.operands, use.output
    neurons = all_neurons(kind, use)
    weights = 0.5 + torch.rand(len(neurons), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = weights.to(output.device)
    total, weighted, largest = torch.zeros_like(output), torch.zeros_like(output), output.abs().max()
    for part in chunks(kind, use):
        terms = kind.terms(operands, part)
        scale = _scale(terms, output)
        turned = kind.terms(operands, part.flip(0))
        compare(f"{what}: order of terms", turned.flip(0), terms, EXACT, neurons=part, scale=scale)
        parts = torch.cat([kind.terms(operands, some) for some in part.split(-(-len(part) // 3))])
        compare(f"{what}: chunks of terms", parts, terms, EXACT, neurons=part, scale=scale)
        own = kind.neuron_weights(operands, part)
        own_turned = kind.neuron_weights(operands, part.flip(0)).flip(0)
        compare(f"{what}: order of neuron_weights", own_turned, own, EXACT, neurons=part)
        total += terms.sum(0)
        weighted += torch.tensordot(weights[part].to(terms), terms, 1)
        largest = torch.maximum(largest, terms.abs().max())
    together = kind.weighted(operands, weights)
    try:
        compare(f"{what}: weighted", together, weighted, EXACT, scale=largest)
    except AssertionError:
        _check_each_weighted(what, kind, use)
        raise
    bias = kind.bias_term(operands, output)
    compare(f"{what}: sum of terms", total if bias is None else total + bias, output, EXACT, scale=largest)
    _check_parts(what, kind, use)


def check_precision(what: str, kind: LayerKind, single: Use, double: Use, neurons: Tensor) -> None:
    """Terms in single precision, and of operands that are made double, against those of a network in double."""
    made, exact = kind.terms(single.operands, neurons), kind.terms(double.operands, neurons)
    scale = _scale(exact, double.output)
    must(made.dtype == single.output.dtype, f"{what}: dtype: terms are {made.dtype}, the output {single.output.dtype}")
    compare(f"{what}: precision of terms", made, exact, SINGLE, neurons=neurons, scale=scale)
    wide = _made_double(what, kind, single, neurons)
    must(wide.dtype in _PRECISE, f"{what}: in_double_precision: terms are {wide.dtype}")
    compare(f"{what}: in_double_precision", wide, exact, SINGLE, neurons=neurons, scale=scale)


def _made_double(what: str, kind: LayerKind, use: Use, neurons: Tensor) -> Tensor:
    try:
        return kind.terms(kind.in_double_precision(use.operands), neurons)
    except (RuntimeError, TypeError) as error:
        raise AssertionError(f"{what}: in_double_precision: {str(error).splitlines()[0]}") from error


def all_neurons(kind: LayerKind, use: Use) -> Tensor:
    """Indices of all neurons."""
    number = torch.Size(kind.neuron_shape(use.operands)).numel()
    return torch.arange(number, device=use.output.device)


def chunks(kind: LayerKind, use: Use) -> Iterator[Tensor]:
    """All neurons, so many at a time that their terms stay small."""
    yield from all_neurons(kind, use).split(max(CHUNK_VALUES // max(use.output.numel(), 1), 1))


def _scale(terms: Tensor, output: Tensor) -> Tensor:
    """The largest value of each term; a thousandth of the output's, should that be larger."""
    largest = terms.abs().flatten(1).amax(1).clamp_min(float(output.abs().max()) * SINGLE)
    return largest.view(-1, *[1] * output.ndim)


def _check_each_weighted(what: str, kind: LayerKind, use: Use) -> None:
    """Which neuron it is."""
    neurons = all_neurons(kind, use)
    for neuron in neurons.split(1):
        alone = kind.weighted(use.operands, (neurons == neuron).to(torch.float64))
        term = kind.terms(use.operands, neuron)
        compare(f"{what}: weighted", alone[None], term, EXACT, neurons=neuron, scale=_scale(term, use.output))


def _check_parts(what: str, kind: LayerKind, use: Use) -> None:
    """Parts of a layer are layers, of the same values."""
    values = _numbers(use.output)
    for number in (1, use.output.numel() // 2, use.output.numel()):
        operands, output = kind.part(use.operands, use.output, number)
        must(output.numel() > 0, f"{what}: part: nothing is left for {number} values")
        own = torch.isin(_numbers(output), values)
        must(bool(own.all()), f"{what}: part: for {number} values it has some that the output does not have")
        ones = torch.ones(len(all_neurons(kind, use)), dtype=torch.float64, device=output.device)
        total = kind.weighted(operands, ones)
        bias = kind.bias_term(operands, output)
        total = total if bias is None else total + bias
        compare(f"{what}: part of {number} values", total, output, EXACT, scale=use.output.abs().max())


def _numbers(values: Tensor) -> Tensor:
    """Real ones, in a row."""
    if values.is_complex():
        values = torch.view_as_real(values.resolve_conj())
    return values.flatten()
