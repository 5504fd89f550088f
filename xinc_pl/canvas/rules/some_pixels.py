"""A layer on some of the image's pixels, of a network that treats them one by one."""

from dataclasses import replace
from typing import Any

from xinc_pl.canvas.layers.layer import Layer, Use
from xinc_pl.canvas.recording.nests import mapped
from xinc_pl.canvas.recording.pixels import Pixels
from xinc_pl.canvas.rules.check import MAX_ERROR, terms_error


def layer_of(layer: Layer, some: Pixels) -> Layer | None:
    """A layer on some pixels; None if its kind does not know what to make of them."""

    def taken(use: Use) -> Use:
        own = use.operands
        operands = replace(
            own,
            input=some.taken(own.input),
            weight=some.taken(own.weight),
            bias=None if own.bias is None else some.taken(own.bias),
            options={name: _taken(option, some) for name, option in own.options.items()},
        )
        output = some.taken(use.output)
        if output is use.output and operands.input is not own.input:  # of a folded layer, which nobody called
            output = layer.sum(operands)
        return replace(use, operands=operands, output=output)

    try:
        part = Layer(layer.name, layer.kind, tuple(map(taken, layer.uses)))
        return part if some.are_proven or terms_error(part) <= MAX_ERROR else None
    except (RuntimeError, ValueError, IndexError, TypeError):
        return None


def _taken(option: Any, some: Pixels) -> Any:  # noqa: ANN401 - whatever a kind keeps
    if hasattr(option, "with_tensors"):
        return option.with_tensors(some.taken)
    return mapped(option, some.taken)
