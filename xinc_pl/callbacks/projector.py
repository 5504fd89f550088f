"""Neurons for TensorBoard's PROJECTOR: their vectors, what is known of them, and their maps as little pictures."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.analysis.canvas_sample import neuron_label, sample_neurons
from xinc_pl.analysis.neuron_layout import NeuronLayout, NeuronPoints
from xinc_pl.canvas import LayerCanvas, LayerTotals

MAX_NEURONS = 500
"""Of each layer: the Projector moves a few thousand points with ease."""
_SIDE = 32
"""Pixels of a sprite's side."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """What the Projector shows.

    Attributes:
        vectors: float64 (M, K).
        header: What the columns of ``metadata`` are.
        metadata: Of each point.
        sprites: Float32 (M, 3, 32, 32), in [0, 1].
    """

    vectors: npt.NDArray[np.float64]
    header: tuple[str, ...]
    metadata: list[tuple[str, ...]]
    sprites: Tensor


class Projector:
    """Gathers the neurons of several layers. Those whose map is constant are points at zero."""

    def __init__(self) -> None:
        self._vectors: list[npt.NDArray[np.float64]] = []
        self._metadata: list[tuple[str, ...]] = []
        self._sprites: list[Tensor] = []

    def add_layer(
        self,
        canvas: LayerCanvas,
        totals: LayerTotals,
        unit: float,
        points: NeuronPoints,
        layout: NeuronLayout | None,
        seed: int,
    ) -> None:
        """Add a layer's neurons, or a fixed sample of them; ``unit`` is that of their maps' colours."""
        rows = sample_neurons(totals.num_neurons, MAX_NEURONS, seed)
        neurons = totals.neurons.numpy()[rows]
        vector_of = dict(zip(points.neurons.tolist(), points.vectors, strict=True))
        groups = {} if layout is None else dict(zip(layout.neurons.tolist(), layout.groups.tolist(), strict=True))
        for row, neuron in zip(rows.tolist(), neurons.tolist(), strict=True):
            self._vectors.append(vector_of.get(neuron, np.zeros(points.vectors.shape[1])))
            self._metadata.append(
                (
                    canvas.name,
                    neuron_label(neuron, canvas.neuron_shape),
                    str(groups[neuron] + 1) if neuron in groups else "-",
                    f"{float(totals.sum[row]):.4g}",
                    "yes" if totals.zero_map[row] else "no",
                )
            )
        self._sprites.append(_sprites(canvas, torch.from_numpy(neurons), unit))

    def embedding(self) -> Embedding:
        """All that has been added."""
        header = ("layer", "neuron", "group", "total", "zero_map")
        # Written as text, of which the later digits would be the most.
        return Embedding(np.stack(self._vectors).round(4), header, self._metadata, torch.cat(self._sprites))


def _sprites(canvas: LayerCanvas, neurons: Tensor, unit: float) -> Tensor:
    """Maps in the colours of all pictures, on white squares."""
    from matplotlib import colormaps

    from xinc_pl.plots.contribution_canvas import signed_root_norm
    from xinc_pl.plots.figures import SIGNED_COLOURS

    height, width = canvas.size
    scale = _SIDE / max(height, width)
    size = (max(1, round(scale * height)), max(1, round(scale * width)))
    small = torch.cat(
        [F.interpolate(canvas.maps(part)[:, None].cpu(), size, mode="area")[:, 0] for part in neurons.split(64)]
    )
    shades = signed_root_norm()(small.numpy().ravel() / (unit or 1.0)).reshape(small.shape)
    colours = colormaps[SIGNED_COLOURS](shades)[..., :3]
    sprites = torch.ones(len(neurons), 3, _SIDE, _SIDE)
    top, left = (_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2
    sprites[:, :, top : top + size[0], left : left + size[1]] = torch.from_numpy(colours).float().permute(0, 3, 1, 2)
    return sprites
