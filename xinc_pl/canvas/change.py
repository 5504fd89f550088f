"""How contributions change from frame to frame (Fig. 9)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from xinc_pl.canvas.layer_canvas import LayerCanvas
from xinc_pl.canvas.recording import undisturbed
from xinc_pl.canvas.streaming import check_same_layer, stream_change_of


def stream_change(canvases: Sequence[LayerCanvas]) -> list[Tensor]:
    """The change of one layer's contributions between consecutive frames, in one pass and bounded memory.

    Args:
        canvases: The layer's canvas on each frame.

    Returns:
        For each frame but the first, sum over neurons of | abs(M) - abs(M of the frame before) |: float64 (H, W), on
        the CPU. The same as ``change`` of ``stream_statistics``, at a fraction of its cost.

    Raises:
        ValueError: There are fewer than two canvases, or they are of different layers, weights or samples.
    """
    if len(canvases) < 2:
        raise ValueError(f"{len(canvases)} canvases were given; a change needs at least two")
    rules = [canvas._rule for canvas in canvases]
    check_same_layer(rules)
    if not all(torch.equal(canvas.sample, canvases[0].sample) for canvas in canvases[1:]):
        raise ValueError(f"the canvases of {canvases[0].name} have different samples of neurons; use one seed for all")
    with undisturbed():
        return stream_change_of(rules, canvases[0].sample)
