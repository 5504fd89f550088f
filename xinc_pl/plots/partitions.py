"""What was grouped: the clusters of partitions, over the frame, and the same clusters in wrong places."""

import colorsys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from xinc_pl.plots.figures import HEADING_SIZE, MARGIN, TITLE_HEIGHT, Sheet

_WIDTH = 1280
_HEADING = 50
_BLEND = 0.6
"""How much of the colour is the cluster's, and not the frame's grey."""


def draw_partitions(
    partitions: Mapping[str, npt.NDArray[Any]], shifted: Mapping[str, npt.NDArray[Any]], frame: npt.NDArray[np.float32]
) -> Figure:
    """Draw partitions side by side, in two rows: what they are, and below each one of its shifts.

    Args:
        partitions: By name: labels (H, W), or masks bool (K, H, W).
        shifted: One shift of those that have a null, by the same names.
        frame: (H, W, 3) in [0, 1].

    Returns:
        A figure of (height, 1280, 3).
    """
    columns = max(len(partitions), 1)
    aspect = frame.shape[0] / frame.shape[1]
    width = (_WIDTH - MARGIN * (columns + 1)) / columns
    pitch = width * aspect + TITLE_HEIGHT
    sheet = Sheet(_WIDTH, round(_HEADING + 2 * pitch + MARGIN))
    sheet.words("partitions", MARGIN, 8, size=HEADING_SIZE, bold=True)
    sheet.words("below each: one of the shifts that are its null (a shifted grid is a grid: none)", 230, 20)
    for column, (name, labels) in enumerate(partitions.items()):
        for row, each in enumerate((labels, shifted.get(name))):
            if each is not None:
                box = (MARGIN + column * (width + MARGIN), _HEADING + TITLE_HEIGHT + row * pitch, width, width * aspect)
                sheet.picture(label_picture(each, frame), box, f"{name}, shifted" if row else name)
    return sheet.figure


def label_picture(labels: npt.NDArray[Any], frame: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The clusters' colours over the grey frame: (H, W, 3). Where masks overlap, the later one is seen."""
    if labels.ndim == 3:
        numbered = np.zeros(labels.shape[1:], np.int64)
        for number, mask in enumerate(labels):
            numbered[mask] = number
        labels = numbered
    grey = frame.mean(2, keepdims=True)
    picture: npt.NDArray[np.float64] = _BLEND * _colours(int(labels.max()) + 1)[labels] + (1 - _BLEND) * grey
    return picture


def _colours(number: int) -> npt.NDArray[np.float64]:
    """As many colours, neighbours far apart in hue: (n, 3)."""
    golden = 0.61803398875
    return np.array([colorsys.hsv_to_rgb(index * golden % 1, 0.75, (0.95, 0.7)[index % 2]) for index in range(number)])
