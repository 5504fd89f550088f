"""Mean ablation: what a neuron adds on average over the pixels, which the bias may go on to add without it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from xinc_pl.canvas.layers.layer import Layer, Use
from xinc_pl.canvas.maps.group import CHUNK_VALUES


def term_means(layer: Layer, neurons: Tensor) -> Tensor:
    """The mean over a layer's pixels, in all its calls, of each neuron's term Z_i: (n, O), O outputs of the layer."""
    return torch.cat([_means_of(layer, part) for part in neurons.split(_at_a_time(layer))])


def over_pixels(layer: Layer, use: Use, means: Tensor) -> Tensor:
    """Values of a layer's outputs (n, O), the same at all pixels: in a shape that goes with terms (n, *output)."""
    axes = layer.kind.output_axes(use.operands, use.output)
    sizes = [use.output.shape[axis] for axis in axes]
    values = means.view(len(means), *[1] * (use.output.ndim - len(axes)), *sizes)
    return values.movedim(list(range(-len(axes), 0)), [axis + 1 for axis in axes])


def indices_of(layer: Layer, neurons: Sequence[int] | Tensor) -> Tensor:
    """Neurons as int64 (n,) on the layer's device.

    Raises:
        ValueError: There is no such neuron.
    """
    indices = torch.as_tensor(neurons, dtype=torch.int64, device=layer.weight.device).reshape(-1)
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < layer.num_neurons:
        raise ValueError(f"{layer.name} has neurons 0 to {layer.num_neurons - 1}; got {indices.tolist()}")
    return indices


def _means_of(layer: Layer, neurons: Tensor) -> Tensor:
    sums, num_pixels = layer.weight.new_zeros(()), 0
    for use in layer.uses:
        axes = [axis + 1 for axis in layer.kind.output_axes(use.operands, use.output)]
        terms = layer.kind.terms(use.operands, neurons).movedim(axes, list(range(-len(axes), 0)))
        num_outputs = torch.Size(terms.shape[terms.ndim - len(axes) :]).numel()
        by_pixel = terms.reshape(len(neurons), -1, num_outputs)
        sums = sums + by_pixel.sum(1)
        num_pixels += by_pixel.shape[1]
    return sums / num_pixels


def _at_a_time(layer: Layer) -> int:
    return max(CHUNK_VALUES // max(use.output.numel() for use in layer.uses), 1)
