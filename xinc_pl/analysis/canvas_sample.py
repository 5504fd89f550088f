"""A fixed sample of a layer's contribution maps, and the layer's total (Fig. 3, 11)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xinc_pl.canvas import LayerCanvas, LayerTotals, sampled

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CanvasSample:
    """Some maps of a layer in units of its mean magnitude, which makes them comparable over a training.

    Between the first step and the end magnitudes grow by up to two orders, so that one absolute colour scale would
    leave most pictures black or saturated. The unit is kept, so that nothing is lost.

    Attributes:
        layer: The layer's name.
        num_neurons: Of the whole layer.
        neuron_kind: What the layer's neurons are, and how the labels are to be read.
        neurons: int64 (n,), indices of the sample, ascending; or those that were chosen, in their order.
        labels: What to call them: the index, or input and output channel of a kernel.
        maps: Float32 (n, H, W), signed, over ``unit``.
        total: Float32 (H, W), sum of all neurons' magnitudes over its mean: 1 is an average pixel.
        unit: Mean of abs(M) over all pixels and all neurons of the layer (or those that its statistics are about).
            0 if all maps are zero.
        num_zero_maps: How many of these neurons have a map that is zero everywhere.
    """

    layer: str
    num_neurons: int
    neuron_kind: str
    neurons: npt.NDArray[np.int64]
    labels: tuple[str, ...]
    maps: Floats
    total: Floats
    unit: float
    num_zero_maps: int


def sample_neurons(num_neurons: int, num_sampled: int, seed: int) -> npt.NDArray[np.int64]:
    """Ascending indices of at most ``num_sampled`` of ``num_neurons`` neurons, always the same for one seed."""
    return sampled(num_neurons, num_sampled, seed).numpy()


def mean_magnitude(totals: LayerTotals) -> float:
    """Mean of abs(M) over all pixels and all neurons that the totals are about: the unit of maps in pictures."""
    return float(totals.total.sum()) / (totals.num_neurons * totals.size[0] * totals.size[1])


def strongest(totals: LayerTotals, num_neurons: int, before: Tensor | None = None) -> npt.NDArray[np.int64]:
    """The neurons of a layer with the largest totals, or those whose share of the layer's total has changed most.

    Args:
        totals: The layer's totals.
        num_neurons: At most so many.
        before: Float64 (N,), the neurons' shares to compare with, as ``shares`` gives them.

    Returns:
        int64 (n,), indices of the neurons, the first one before all others.
    """
    scores = shares(totals) if before is None else (shares(totals) - before).abs()
    rows = scores.argsort(descending=True, stable=True)[:num_neurons]
    return totals.neurons[rows].numpy()


def shares(totals: LayerTotals) -> Tensor:
    """Each neuron's share of its layer's total: float64 (N,), which adds up to 1, or is 0 where all maps are."""
    total = totals.sum.sum()
    return totals.sum / total if total else totals.sum


def canvas_sample(
    canvas: LayerCanvas,
    totals: LayerTotals,
    num_sampled: int,
    seed: int,
    chosen: npt.NDArray[np.int64] | None = None,
) -> CanvasSample:
    """Sample the maps of one layer.

    Args:
        canvas: The layer's canvas.
        totals: The layer's totals.
        num_sampled: How many neurons; all of them if the layer has fewer.
        seed: Decides which ones.
        chosen: The neurons to take instead of a sample, in this order.
    """
    neurons = sample_neurons(canvas.num_neurons, num_sampled, seed) if chosen is None else chosen
    unit = mean_magnitude(totals)
    divisor = unit or 1.0
    return CanvasSample(
        layer=canvas.name,
        num_neurons=canvas.num_neurons,
        neuron_kind="inputs" if len(canvas.neuron_shape) == 1 else "kernels (input→output)",
        neurons=neurons,
        labels=tuple(neuron_label(int(neuron), canvas.neuron_shape) for neuron in neurons),
        maps=(canvas.maps(torch.from_numpy(neurons)) / divisor).cpu().numpy(),
        total=(totals.total / (divisor * totals.num_neurons)).float().numpy(),
        unit=unit,
        num_zero_maps=int(totals.zero_map.sum()),
    )


def neuron_label(neuron: int, neuron_shape: tuple[int, ...]) -> str:
    """What to call a neuron: ``12``, or ``3→41`` for the kernel from input channel 3 to output channel 41."""
    if len(neuron_shape) == 1:
        return str(neuron)
    source, destination = divmod(neuron, neuron_shape[1])
    return f"{source}→{destination}"
