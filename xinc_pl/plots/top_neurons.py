"""Clusters, and the maps of the neurons that care most for them."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from xinc_pl.analysis.canvas_sample import neuron_label
from xinc_pl.analysis.top_neurons import TopNeurons
from xinc_pl.plots.contribution_canvas import draw_map_scale, signed_root_norm, unit_change
from xinc_pl.plots.figures import HEADING_SIZE, MARGIN, SIGNED_COLOURS, TITLE_HEIGHT, Sheet, moment_title

Picture = npt.NDArray[np.float32]

_WIDTH, _HEADING, _SCALE, _GAP = 1280, 110, 104, 8
_CHARACTER = 11
"""Width of one in a title, about."""
_DIMMED = 0.25
"""What is left of the picture outside of a cluster."""


def draw_top_neurons(
    found: Sequence[TopNeurons],
    maps: Mapping[int, Picture],
    frame: Picture,
    layer: str,
    neuron_shape: tuple[int, ...],
    unit: float,
    *,
    epoch: int,
    quality: str,
    began: tuple[int, float] | None = None,
) -> Figure:
    """Draw a row per cluster: its pixels, the neurons by multiple, and those by share.

    Args:
        found: The clusters to draw.
        maps: Float32 (H, W) of each neuron in ``found``, in multiples of ``unit``.
        frame: (H, W, 3) in [0, 1].
        layer: The layer's name.
        neuron_shape: Of the layer, for the neurons' labels.
        unit: The layer's mean magnitude.
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.
        began: Epoch and unit of the run's first picture of this layer, if that was another moment.

    Returns:
        A figure of (height, 1280, 3), whose height follows the frame's shape and the number of clusters.
    """
    k = max((max(len(each.by_ratio), len(each.by_sum)) for each in found), default=1)
    columns = 1 + 2 * k
    width = (_WIDTH - _SCALE - MARGIN - (columns - 1) * _GAP - 2 * MARGIN) / columns
    height = min(width * frame.shape[0] / frame.shape[1], width)
    pitch = height + TITLE_HEIGHT
    body = max(len(found) * pitch, 300)
    sheet = Sheet(_WIDTH, round(_HEADING + body + MARGIN))
    sheet.words(f"{layer} · {moment_title(epoch, quality)}", MARGIN, 10, size=HEADING_SIZE, bold=True)
    sheet.words(f"top neurons of each cluster · mean |M| {unit:.3g}{unit_change(unit, began)}", MARGIN, 50)
    groups = [MARGIN + (width + _GAP) * column + extra for column, extra in ((1, MARGIN), (1 + k, 2 * MARGIN))]
    sheet.words("mean inside over mean elsewhere", groups[0], 80)
    sheet.words("share of the layer's sum inside", groups[1], 80)
    norm = signed_root_norm()
    for row, each in enumerate(found):
        top = _HEADING + TITLE_HEIGHT + row * pitch
        area = f" {each.mask.mean():.1%}"
        name = _cut(each.name, int(width / _CHARACTER) - len(area))
        dimmed = np.where(each.mask[..., None], frame, 1 - _DIMMED * (1 - frame))
        sheet.picture(dimmed, (MARGIN, top, width, height), name + area)
        lists = ((each.by_ratio, each.ratios, "times"), (each.by_sum, each.shares, "%"))
        for left, (neurons, values, kind) in zip(groups, lists, strict=True):
            for place, (neuron, value) in enumerate(zip(neurons.tolist(), values.tolist(), strict=True)):
                box = (left + place * (width + _GAP), top, width, height)
                title = f"{neuron_label(neuron, neuron_shape)}: {_number(value, kind)}"
                sheet.picture(maps[neuron], box, title, colours=SIGNED_COLOURS, norm=norm)
                sheet.outline(each.mask, box)
    draw_map_scale(sheet, (_WIDTH - _SCALE + 16, _HEADING + TITLE_HEIGHT, 14, body - TITLE_HEIGHT))
    return sheet.figure


def _cut(name: str, length: int) -> str:
    return name if len(name) <= length else f"{name[: max(length - 1, 1)]}…"


def _number(value: float, kind: str) -> str:
    if kind == "%":
        return f"{value:.1%}" if value >= 0.1 else f"{value:.2%}"
    return "only" if np.isinf(value) else f"{value:.2f}" if value < 10 else f"{value:.3g}"
