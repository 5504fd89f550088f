"""The self-check: terms that add up to the layer, and maps that are what their formula says, pixel by pixel."""

import torch
from torch import Tensor

from xinc_pl.canvas.layers.layer import Layer, Use
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.maps.sample import sampled
from xinc_pl.canvas.rules.collect import collected, signed_maps
from xinc_pl.canvas.rules.rule import ContributionRule

MAX_ERROR = 1e-4
"""What the self-check allows, relative, in float32."""

_NUM_SAMPLED = 16
_MOST_TERMS = 1 << 21
"""Values of all neurons' terms up to which they are all added up one by one."""
_MOST_OUTPUTS = 1 << 20
"""Values of a layer's output up to which the sum of all terms is looked at everywhere."""
_MOST_MAPS = 1 << 16
"""Values of all neurons' maps up to which they are all made and added up."""


def terms_error(layer: Layer) -> float:
    """How far the terms of all neurons, and the bias, are from what the layer returned; relative to its largest value.

    In one product for all; and neuron by neuron, for all neurons of a small layer and a seeded sample of a large one,
    each with a weight of its own, so that their order shows. In a chain, also how far what follows the layer is from
    what the next one received.
    """
    error = max(_terms_error(layer, use) for use in layer.uses)
    if layer.received is None:
        return error
    replayed = layer.replay(layer.output)
    if torch.equal(replayed, layer.received):
        return error
    return max(error, _relative((replayed - layer.received).abs().max(), layer.received.abs().max()))


def _terms_error(layer: Layer, use: Use) -> float:
    kind, (operands, output) = layer.kind, layer.kind.part(use.operands, use.output, _MOST_OUTPUTS)
    weights = torch.ones(layer.num_neurons, device=output.device)
    total = kind.weighted(operands, weights)
    bias = kind.bias_term(operands, output)
    with_bias = total if bias is None else total + bias
    errors = [_relative((with_bias - output).abs().max(), output.abs().max())]
    operands, output = kind.part(operands, output, _MOST_TERMS // layer.num_neurons)
    if layer.num_neurons * output.numel() <= _MOST_TERMS:
        apart = torch.arange(layer.num_neurons)
    else:
        apart = sampled(layer.num_neurons, max(min(_MOST_TERMS // output.numel(), _NUM_SAMPLED), 1))
    apart = apart.to(output.device)
    weights = torch.zeros_like(weights).index_copy_(0, apart, _own_weights(len(apart)).to(output.device))
    chosen = kind.weighted(operands, weights)
    one_by_one = sum(_added(kind.terms(operands, part), weights[part]) for part in apart.split(_NUM_SAMPLED))
    scale = torch.maximum(chosen.abs().max(), output.abs().max() * 1e-3)
    errors.append(_relative((one_by_one - chosen).abs().max(), scale))
    return max(errors)


def _own_weights(number: int) -> Tensor:
    """One for each neuron, all different."""
    return 0.5 + torch.rand(number, generator=torch.Generator().manual_seed(0))


def _added(terms: Tensor, weights: Tensor) -> Tensor:
    added: Tensor = torch.tensordot(weights.to(terms.dtype), terms, 1)
    return added


def maps_error(rule: ContributionRule) -> float:
    """How far the maps of a seeded sample of neurons are from their formula, at the worst pixel.

    Relative to the largest magnitude of each map. They are made as for pictures and statistics; the formula is computed
    by ``rule.plain``, which shares nothing with that. Found out once.
    """
    if rule.known_error is None:
        rule.known_error = _maps_error(rule.checked())
    return rule.known_error


def _maps_error(rule: ContributionRule) -> float:
    neurons = sampled(rule.num_neurons, rule.num_checked).to(rule.device)
    plain = rule.plain(neurons)
    signed = collected(rule, neurons, signed_maps)
    magnitudes = collected(rule, neurons, MapGroup.magnitudes)
    scale = plain.magnitudes.flatten(1).amax(1)
    scale = torch.maximum(scale, scale.max() * 1e-3)[:, None, None].clamp_min(torch.finfo(torch.float32).tiny)
    pairs = [(signed, plain.maps, scale), (magnitudes, plain.magnitudes, scale)]
    if plain.per_output is not None:
        # Its own scale: what is large by output may cancel in their sum.
        largest = plain.per_output.abs().amax((1, 2, 3))[:, None, None]
        pairs.append((rule.per_output(neurons), plain.per_output, torch.maximum(scale, largest)[..., None]))
    error = max(float(((made - meant).abs() / each).max()) for made, meant, each in pairs)
    return max(error, _total_error(rule))


def _total_error(rule: ContributionRule) -> float:
    """How far all maps of a small layer, added up, are from their sum by its formula, where it has one."""
    if rule.num_neurons * rule.size[0] * rule.size[1] > _MOST_MAPS:
        return 0.0
    total = rule.plain_total()
    if total is None:
        return 0.0
    maps = collected(rule, rule.all_neurons(), signed_maps).double()
    error = _relative((maps.sum(0) - total.sum(0)).abs().max(), maps.abs().sum(0).max())
    if rule.num_neurons * total.numel() > _MOST_MAPS:
        return error
    by_output = rule.per_output(rule.all_neurons()).double()
    return max(error, _relative((by_output.sum(0) - total).abs().max(), by_output.abs().sum(0).max()))


def _relative(error: Tensor, scale: Tensor) -> float:
    return float(error / scale.clamp_min(torch.finfo(scale.dtype).tiny))
