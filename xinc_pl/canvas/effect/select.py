"""How each layer of a recorded network is dissected by what its neurons do."""

from collections.abc import Mapping

from torch.nn import functional as F

from xinc_pl.canvas.backends import Backend
from xinc_pl.canvas.effect.by_pixel import ByPixel
from xinc_pl.canvas.effect.convolution import ConvolutionEffect
from xinc_pl.canvas.effect.effect import AnyEffect, EffectRule
from xinc_pl.canvas.effect.linear import LinearEffect
from xinc_pl.canvas.effect.neck import Neck, NeckEffect, necks_of
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.chain import Chain
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.placement import Placement, placement_of
from xinc_pl.canvas.layers.product import ProductKind
from xinc_pl.canvas.layers.reading import Reading
from xinc_pl.canvas.layers.steps import StepKind
from xinc_pl.canvas.rules.check import MAX_ERROR, maps_error


def effect_rules(reading: Reading, backend: Backend) -> tuple[Mapping[str, EffectRule], Mapping[str, str]]:
    """The rules of all layers that lead to the image, input side first; and why some have none.

    Raises:
        DissectionError: None has one.
    """
    rules: dict[str, EffectRule] = {}
    skipped = dict(reading.skipped)
    by_pixel, necks = ByPixel(reading.recording), necks_of(reading)
    for layer in reading.layers:
        try:
            rules[layer.name] = _rule(layer, reading, by_pixel, necks, backend)
        except DissectionError as error:
            skipped[layer.name] = str(error)
    if not rules:
        raise DissectionError(f"the output depends on no layer that can be dissected: {skipped}")
    return rules, skipped


def _rule(layer: Layer, reading: Reading, by_pixel: ByPixel, necks: Mapping[str, Neck], backend: Backend) -> EffectRule:
    """The quickest that is right."""
    quick, always = ways(layer, reading, by_pixel, necks, backend)
    if quick is not None and _is_right(quick):
        return quick
    always.derivative(always.all_neurons()[:1])  # says now if there is none
    return always


def _is_right(rule: EffectRule) -> bool:
    try:
        return maps_error(rule) <= MAX_ERROR
    except DissectionError:
        return False


def ways(
    layer: Layer, reading: Reading, by_pixel: ByPixel, necks: Mapping[str, Neck], backend: Backend
) -> tuple[EffectRule | None, EffectRule]:
    """A quick way to a layer's effect, if there is one, and the way that there always is."""
    quick = None if reading.tail is None else _in_chain(layer, reading.tail, by_pixel)
    if quick is None and isinstance(layer.kind, ProductKind):
        quick = _by_pixel(layer, (), Placement(by_pixel.recording.size, None, layer.weight), by_pixel)
    if quick is None and layer.name in necks:
        quick = NeckEffect(layer, by_pixel, necks[layer.name])
    always = AnyEffect(layer, by_pixel)
    for rule in (quick, always):
        if rule is not None:
            rule.backend = backend
    return quick, always


def _in_chain(layer: Layer, chain: Chain, by_pixel: ByPixel) -> EffectRule | None:
    names = [each.name for each in chain.layers]
    if layer.name not in names:
        return None
    index = names.index(layer.name)
    layer, later = chain.layers[index], chain.layers[index + 1 :]
    placement = placement_of(chain.layers[-1], by_pixel.recording.size)
    if all(isinstance(each.kind, ProductKind) for each in (layer, *later)):
        return _by_pixel(layer, later, placement, by_pixel)
    if placement.pixels is None and all(map(_is_plain, (layer, *later))):
        try:
            return ConvolutionEffect(layer, later, placement, by_pixel)
        except DissectionError:
            return None
    return None


def _by_pixel(layer: Layer, later: tuple[Layer, ...], placement: Placement, by_pixel: ByPixel) -> EffectRule | None:
    if len(layer.uses) > 1 or layer.output.is_complex():
        return None
    try:
        return LinearEffect(layer, later, placement, by_pixel)
    except DissectionError:
        return None


def _is_plain(layer: Layer) -> bool:
    """Whether it is a convolution that only a pixel shuffle and an activation of all channels follow."""
    return layer.function is F.conv2d and not any(
        step.kind in (StepKind.RESAMPLING, StepKind.PER_CHANNEL) for step in layer.steps
    )
