"""One picture of the film that shows how a layer's canvas forms."""

import math

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from xinc_pl.analysis.canvas_sample import CanvasSample
from xinc_pl.plots.contribution_canvas import MAP_LIMIT, TOTAL_LIMIT, signed_root_norm
from xinc_pl.plots.figures import MAGNITUDE_COLOURS, MARGIN, SIGNED_COLOURS, TITLE_HEIGHT, Sheet, moment_title

_WIDTH = 960
_LEFT = 300
_HEADING = 50
_GAP = 6
_FOOT = 22


def draw_film_picture(
    sample: CanvasSample,
    reconstruction: npt.NDArray[np.float32],
    reconstruction_title: str = "reconstruction",
    *,
    epoch: int,
    quality: str,
    note: str = "",
) -> Figure:
    """Draw reconstruction, total and sampled maps of a layer at one moment, in the colours of all other moments.

    Args:
        sample: The maps.
        reconstruction: (H, W, 3) in [0, 1].
        reconstruction_title: What is written above it.
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.
        note: For the title.

    Returns:
        A figure of (height, 960, 3), of the same shape for every moment.
    """
    aspect = sample.total.shape[0] / sample.total.shape[1]
    columns = math.ceil(math.sqrt(len(sample.neurons)))
    rows = math.ceil(len(sample.neurons) / columns)
    width = (_WIDTH - _LEFT - 3 * MARGIN - (columns - 1) * _GAP) / columns
    body = max(rows * (width * aspect + _GAP), 2 * (_LEFT * aspect + TITLE_HEIGHT))
    sheet = Sheet(_WIDTH, 2 * round((_HEADING + body + _FOOT + MARGIN) / 2))
    title = f"{sample.layer} · {moment_title(epoch, quality)}" + (f" · {note}" if note else "")
    sheet.words(title, MARGIN, 10, size=20, bold=True)
    height = min(_LEFT * aspect, body / 2 - TITLE_HEIGHT)
    left = MARGIN + (_LEFT - height / aspect) / 2
    below = _HEADING + body / 2
    sheet.picture(reconstruction, (left, _HEADING + TITLE_HEIGHT, height / aspect, height), reconstruction_title)
    sheet.picture(
        sample.total,
        (left, below + TITLE_HEIGHT, height / aspect, height),
        "total / its mean",
        colours=MAGNITUDE_COLOURS,
        norm=Normalize(0, TOTAL_LIMIT),
    )
    for index, values in enumerate(sample.maps):
        x = _LEFT + 2 * MARGIN + index % columns * (width + _GAP)
        y = _HEADING + index // columns * (width * aspect + _GAP)
        sheet.picture(values, (x, y, width, width * aspect), colours=SIGNED_COLOURS, norm=signed_root_norm())
    sheet.words(
        f"maps: red +, blue -, full colour from {MAP_LIMIT:g} times the mean |M|, which is {sample.unit:.2e} now",
        _LEFT + 2 * MARGIN,
        _HEADING + body + 4,
    )
    return sheet.figure
