"""The picture of a layer's matched neurons: best, median and worst pairs side by side."""

from collections.abc import Sequence

from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from xinc_pl.analysis.matched_maps import MatchedMaps
from xinc_pl.plots.figures import HEADING_SIZE, MAGNITUDE_COLOURS, MARGIN, TITLE_HEIGHT, Sheet

_WIDTH = 1280
_HEADING = 88
_BAND = 36
"""Height of the line above each row that says who is matched with whom."""
_COLUMNS = ("best", "median", "worst")
_GAP = 6
_BETWEEN = 34
"""Pixels between one pair and the next."""


def draw_matched_maps(layer: str, rows: Sequence[MatchedMaps], about: str) -> Figure:
    """Draw the best, the median and the worst pair of matched neurons: a row for each that is matched with another.

    Args:
        layer: The layer's name.
        rows: Who was matched with whom.
        about: Of what frame, under which convention.

    Returns:
        A figure of (height, 1280, 3), whose height follows the frame's shape.
    """
    height, width = rows[0].maps.shape[-2:]
    pair_width = (_WIDTH - 2 * MARGIN - (len(_COLUMNS) - 1) * _BETWEEN) / len(_COLUMNS)
    place_width = (pair_width - _GAP) / 2
    # Nothing is taller than a square and a half, whatever the frame's shape.
    tile_height = min(place_width * height / width, 1.5 * place_width)
    tile_width = tile_height * width / height
    band = _BAND + TITLE_HEIGHT + tile_height + MARGIN
    sheet = Sheet(_WIDTH, round(_HEADING + len(rows) * band + 4))
    sheet.words(f"{layer} · matched neurons · {about}", MARGIN, 10, size=HEADING_SIZE, bold=True)
    sheet.words("maps: magnitudes, each scaled to [0, 1] · number: correlation of the two neurons' vectors", MARGIN, 52)
    for index, row in enumerate(rows):
        top = _HEADING + index * band
        trivial = " · trivial: this layer receives the same in both" if row.is_trivial else ""
        sheet.words(row.title + trivial, MARGIN, top, bold=True)
        if not row.similarity:
            sheet.words("no neurons were matched", MARGIN, top + _BAND)
        for place, (labels, similarity) in enumerate(zip(row.labels, row.similarity, strict=True)):
            left = MARGIN + place * (pair_width + _BETWEEN)
            for side, label in enumerate(labels):
                x = left + side * (place_width + _GAP) + (place_width - tile_width) / 2
                box = (x, top + _BAND + TITLE_HEIGHT - 4, tile_width, tile_height)
                title = f"{_COLUMNS[place]} {similarity:.2f}: {label}" if not side else label
                sheet.picture(row.maps[place, side], box, title, colours=MAGNITUDE_COLOURS, norm=Normalize(0, 1))
    return sheet.figure
