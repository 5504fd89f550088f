"""Mean ablation: what a neuron adds on average over the pixels, which the bias may go on to add without it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from xinc_pl.canvas.layers.layer import Layer, Use


def term_means(layer: Layer, neurons: Tensor) -> Tensor:
    """The mean over a layer's pixels, in all its calls, of each neuron's term Z_i: (n, O), O outputs of the layer."""
    sums = [layer.kind.term_sums(use.operands, use.output, neurons) for use in layer.uses]
    num_pixels = sum(use.output.numel() for use in layer.uses) / max(sums[0].shape[1], 1)
    return torch.stack(sums).sum(0) / num_pixels


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
