"""The picture of one layer's canvas (Fig. 3, 11)."""

import math

import numpy as np
import numpy.typing as npt
from matplotlib.colors import FuncNorm, Normalize
from matplotlib.figure import Figure

from xinc_pl.analysis.canvas_sample import CanvasSample
from xinc_pl.plots.figures import (
    HEADING_SIZE,
    MAGNITUDE_COLOURS,
    MARGIN,
    SIGNED_COLOURS,
    TITLE_HEIGHT,
    ZERO_COLOUR,
    Box,
    Sheet,
    moment_title,
)

MAP_LIMIT = 10.0
"""Where the colours of the maps end, in units of the layer's mean magnitude. The same for all layers and epochs."""
TOTAL_LIMIT = 3.0
"""Where the colours of the total end, in units of an average pixel's."""

_WIDTH = 1280
_HEADING = 78
_REFERENCES = 290
"""Width of the column with target, reconstruction and total."""
_SCALE = 104
"""Width of the colour bar with its numbers."""
_GAP = 8
_MAX_HEIGHT = 1100

Picture = npt.NDArray[np.float32]


def draw_contribution_canvas(
    sample: CanvasSample,
    target: Picture | None,
    reconstruction: Picture,
    *,
    epoch: int,
    quality: str,
    note: str = "",
    began: tuple[int, float] | None = None,
) -> Figure:
    """Draw target, reconstruction and total beside the mosaic of the sampled maps.

    Args:
        sample: The maps.
        target: (H, W, 3) in [0, 1], if known.
        reconstruction: (H, W, 3) in [0, 1].
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.
        note: For the title, such as the convention.
        began: Epoch and unit of the run's first picture of this layer, if that was another moment: colours follow the
            unit, so that its change has to be told.

    Returns:
        A figure of (height, 1280, 3), whose height follows the frame's shape.
    """
    aspect = sample.total.shape[0] / sample.total.shape[1]
    columns = math.ceil(math.sqrt(len(sample.neurons)))
    rows = math.ceil(len(sample.neurons) / columns)
    left = MARGIN + _REFERENCES + MARGIN
    tile_width = (_WIDTH - _SCALE - left - (columns - 1) * _GAP) / columns
    tile_height = min(tile_width * aspect, (_MAX_HEIGHT - _HEADING - MARGIN) / rows - TITLE_HEIGHT)
    body = max(rows * (tile_height + TITLE_HEIGHT), 420)
    sheet = Sheet(_WIDTH, round(_HEADING + body + MARGIN))
    _draw_heading(sheet, sample, epoch, quality, note, began)
    _draw_references(sheet, sample, target, reconstruction, body)
    _draw_tiles(sheet, sample, left, columns, (tile_height / aspect, tile_height))
    draw_map_scale(sheet, (_WIDTH - _SCALE + 16, _HEADING + TITLE_HEIGHT, 14, body - TITLE_HEIGHT))
    return sheet.figure


def _draw_heading(
    sheet: Sheet, sample: CanvasSample, epoch: int, quality: str, note: str, began: tuple[int, float] | None
) -> None:
    heading = f"{sample.layer} · {moment_title(epoch, quality)}" + (f" · {note}" if note else "")
    sheet.words(heading, MARGIN, 10, size=HEADING_SIZE, bold=True)
    facts = (
        f"{len(sample.neurons)} of {sample.num_neurons:,} {sample.neuron_kind} · {sample.num_zero_maps:,} zero maps · "
        f"mean |M| {sample.unit:.3g}{unit_change(sample.unit, began)}"
    )
    sheet.words(facts, MARGIN, 50)


def unit_change(unit: float, began: tuple[int, float] | None) -> str:
    """How the unit of the colours has changed."""
    if began is None or not began[1]:
        return ""
    return f", {unit / began[1]:.2g} times that of epoch {began[0]}"


def _draw_references(
    sheet: Sheet, sample: CanvasSample, target: Picture | None, reconstruction: Picture, body: float
) -> None:
    aspect = sample.total.shape[0] / sample.total.shape[1]
    bar = 44
    height = min(_REFERENCES * aspect, (body - bar) / 3 - TITLE_HEIGHT)
    pitch = (body - bar) / 3
    boxes = [
        (MARGIN + (_REFERENCES - height / aspect) / 2, _HEADING + TITLE_HEIGHT + index * pitch, height / aspect, height)
        for index in range(3)
    ]
    if target is not None:
        sheet.picture(target, boxes[0], "target")
    sheet.picture(reconstruction, boxes[1], "reconstruction")
    norm = Normalize(0, TOTAL_LIMIT)
    sheet.picture(sample.total, boxes[2], "total / its mean", colours=MAGNITUDE_COLOURS, norm=norm)
    below = boxes[2][1] + height + 8
    sheet.colour_bar((MARGIN, below, _REFERENCES, 10), MAGNITUDE_COLOURS, norm, [0, 1, 2, 3], extend="max")


def _draw_tiles(sheet: Sheet, sample: CanvasSample, left: float, columns: int, tile: tuple[float, float]) -> None:
    pitch = (_WIDTH - _SCALE - left + _GAP) / columns
    norm = signed_root_norm()
    for index, (label, values) in enumerate(zip(sample.labels, sample.maps, strict=True)):
        x = left + index % columns * pitch + (pitch - _GAP - tile[0]) / 2
        y = _HEADING + TITLE_HEIGHT + index // columns * (tile[1] + TITLE_HEIGHT)
        is_zero = not values.any()
        sheet.picture(
            values,
            (x, y, *tile),
            f"{label} (zero)" if is_zero else label,
            ZERO_COLOUR if is_zero else "black",
            SIGNED_COLOURS,
            norm,
        )


def signed_root_norm() -> FuncNorm:
    """Square roots, so that faint maps are seen beside strong ones."""
    return FuncNorm(
        (lambda values: np.sign(values) * np.sqrt(np.abs(values)), lambda roots: np.sign(roots) * np.square(roots)),
        vmin=-MAP_LIMIT,
        vmax=MAP_LIMIT,
    )


def draw_map_scale(sheet: Sheet, box: Box) -> None:
    """The colour bar of contribution maps."""
    ticks: list[float] = [-10, -5, -2, -1, 0, 1, 2, 5, 10]
    sheet.colour_bar(box, SIGNED_COLOURS, signed_root_norm(), ticks, "contribution M / mean |M|", extend="both")
