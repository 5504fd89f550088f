"""The third convention: how each output pixel moves, to first order, when a neuron's own term is taken away.

With a layer's output Z = b + sum_i Z_i, and T the rest of the network from there on, a neuron's map is the derivative
of T at Z in the direction Z_i: M_i(c, p) = (JVP of T at Z in the direction Z_i)(c, p), for each output c. Its magnitude
is the sum over c of abs(M_i(c, p)). This is linear in Z_i, so that the maps of any neurons add up to one JVP.

T is the recording, replayed; it needs no chain. Two frequent cases are much quicker than a JVP for each neuron: a
linear layer of a network that treats pixels one by one, and a convolution in a chain of them.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.effect.convolution import ConvolutionEffect
from xinc_pl.canvas.effect.effect import AnyEffect, EffectRule
from xinc_pl.canvas.effect.linear import LinearEffect
from xinc_pl.canvas.effect.removal import Removal
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.chain import Chain, layers_leading_to, read_chain
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.steps import StepKind
from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.replay import Rest, with_kept_parameters
from xinc_pl.canvas.rules.rule import MAX_COMPLETENESS_ERROR


class Effects(NamedTuple):
    """How a network is dissected by what its neurons do.

    Attributes:
        rules: Of every layer by name, input side first. In a chain of layers, those that are dissected by the other
            conventions too; in any other network all linear layers and plain convolutions that lead to the output.
        skipped: Layers that cannot be dissected, with the reason.
        removal: The network without some of these layers' neurons.
    """

    rules: Mapping[str, EffectRule]
    skipped: Mapping[str, str]
    removal: Removal


def effects(
    output: Tensor,
    calls: Sequence[Call],
    layer_names: Mapping[str, str],
    returned: Sequence[Tensor],
    size: tuple[int, int],
) -> Effects:
    """Find out how to dissect a recorded network by what its neurons do."""
    calls = with_kept_parameters(calls)
    rules, skipped = _rules(output, calls, layer_names, returned, size)
    return Effects(rules, skipped, Removal(calls, rules, output, size))


def _rules(
    output: Tensor,
    calls: Sequence[Call],
    layer_names: Mapping[str, str],
    returned: Sequence[Tensor],
    size: tuple[int, int],
) -> tuple[dict[str, EffectRule], Mapping[str, str]]:
    try:
        chain = read_chain(output, calls, layer_names, returned)
    except DissectionError:
        chain = None
    if chain is not None:
        return {
            layer.name: _rule_in_chain(chain, index, calls, output, size) for index, layer in enumerate(chain.layers)
        }, chain.skipped
    rules: dict[str, EffectRule] = {}
    skipped: dict[str, str] = {}
    found = layers_leading_to(output, calls, layer_names, returned)
    names = [layer.name for _, layer in found]
    for position, layer in found:
        if names.count(layer.name) > 1:  # it would have several maps by one name
            skipped[layer.name] = "it is used more than once in one pass"
            continue
        try:
            rules[layer.name] = _rule_anywhere(layer, size, Rest.after(calls, position, output))
        except DissectionError as error:
            skipped[layer.name] = str(error)
    if not rules:
        raise DissectionError(f"the output depends on no layer that can be dissected: {skipped}")
    return rules, skipped


def _rule_in_chain(
    chain: Chain, index: int, calls: Sequence[Call], output: Tensor, size: tuple[int, int]
) -> EffectRule:
    layer, later = chain.layers[index], chain.layers[index + 1 :]
    position = next(at for at, call in enumerate(calls) if call.outputs and call.outputs[0] is layer.output)
    rest = Rest.after(calls, position, output)
    if layer.function is F.linear and all(each.function is F.linear for each in later):
        return LinearEffect(layer, size, rest)
    if all(map(_is_plain, (layer, *later))):
        try:
            return ConvolutionEffect(layer, later, size, rest)
        except DissectionError:
            pass
    return AnyEffect(layer, size, rest)


def _is_plain(layer: Layer) -> bool:
    """Whether it is a convolution that only a pixel shuffle and an activation of all channels follow."""
    return layer.function is F.conv2d and not any(
        step.kind in (StepKind.RESAMPLING, StepKind.PER_CHANNEL) for step in layer.steps
    )


def _rule_anywhere(layer: Layer, size: tuple[int, int], rest: Rest) -> EffectRule:
    if layer.function is F.linear:
        try:
            by_pixel = LinearEffect(layer, size, rest)
        except DissectionError:
            return AnyEffect(layer, size, rest)
        # Attention between pixels, say, shows in the self-check.
        if by_pixel.completeness_error() <= MAX_COMPLETENESS_ERROR:
            return by_pixel
    return AnyEffect(layer, size, rest)
