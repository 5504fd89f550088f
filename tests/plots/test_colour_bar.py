"""Colour bars are matplotlib's, drawn without Axes of their own."""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.text import Text

from xinc_pl.plots.contribution_canvas import signed_root_norm
from xinc_pl.plots.figures import Sheet, pixels_of

BOXES = {"vertical": (40, 30, 14, 300), "horizontal": (40, 30, 300, 10)}


def bar_of_matplotlib(
    orientation: Literal["vertical", "horizontal"], norm: Normalize, extend: Literal["neither", "max", "both"]
) -> npt.NDArray[np.uint8]:
    sheet = Sheet(400, 400)
    colours = ScalarMappable(norm, "RdBu_r")
    sheet._figure.colorbar(colours, cax=sheet.axes(BOXES[orientation]), orientation=orientation, extend=extend)
    return pixels_of(sheet.figure)


@pytest.mark.parametrize("extend", ["neither", "max", "both"])
@pytest.mark.parametrize("norm", [Normalize(0, 3), signed_root_norm()], ids=["linear", "roots"])
@pytest.mark.parametrize("orientation", ["vertical", "horizontal"])
def test_colours_are_where_matplotlib_puts_them(
    orientation: Literal["vertical", "horizontal"], norm: Normalize, extend: Literal["neither", "max", "both"]
) -> None:
    sheet = Sheet(400, 400)
    sheet.colour_bar(BOXES[orientation], "RdBu_r", norm, [], extend=extend)
    made, meant = pixels_of(sheet.figure), bar_of_matplotlib(orientation, norm, extend)
    left, top, width, height = BOXES[orientation]
    # Along the middle, without the outline at both ends and the line that some draw before a tip.
    line = (slice(top + 4, top + height - 4), left + width // 2)
    line = line if orientation == "vertical" else (top + height // 2, slice(left + 4, left + width - 4))
    difference = np.abs(made[line].astype(int) - meant[line]).max(1)
    assert np.quantile(difference, 0.95) <= 4


@pytest.mark.parametrize("orientation", ["vertical", "horizontal"])
def test_numbers_stand_at_their_colours_and_the_label_is_clear_of_them(orientation: str) -> None:
    sheet, norm = Sheet(460, 400), signed_root_norm()
    ticks = [-10, -2, 0, 1, 10]
    sheet.colour_bar(BOXES[orientation], "RdBu_r", norm, ticks, "what it is", extend="both")
    figure = sheet.figure
    pixels_of(figure)
    found = {each.get_text(): each for each in figure.findobj(Text) if each.get_text()}
    boxes = {text: each.get_window_extent() for text, each in found.items()}
    label = boxes.pop("what it is")
    assert set(boxes) == {f"{tick:g}" for tick in ticks}
    assert not any(label.overlaps(each) for each in boxes.values())
    across = slice(1, 2) if orientation == "vertical" else slice(0, 1)
    places = [np.array(found[f"{tick:g}"].get_position())[across].item() for tick in ticks]
    low, high = places[0], places[-1]
    assert np.allclose([(place - low) / (high - low) for place in places], norm(ticks))
