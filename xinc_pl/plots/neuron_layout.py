"""Neurons as points, beside the maps of some of them (Fig. 10, 12, 13)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from xinc_pl.analysis.embedding import Points
from xinc_pl.analysis.neuron_layout import Indices, NeuronLayout
from xinc_pl.plots.contribution_canvas import draw_map_scale, signed_root_norm
from xinc_pl.plots.figures import (
    FONT_SIZE,
    HEADING_SIZE,
    MARGIN,
    SIGNED_COLOURS,
    TITLE_HEIGHT,
    ZERO_COLOUR,
    Box,
    Sheet,
    moment_title,
)
from xinc_pl.plots.palette import CATEGORY_COLOURS

MEMBERS = 4
"""Neurons of each group whose maps are shown."""
MAX_GROUPS = len(ascii_lowercase) // MEMBERS
_WIDTH = 1280
_HEADING = 86
_SIDE = 470
PLANE: Box = (MARGIN, _HEADING, _SIDE, _SIDE)
"""Where in the picture the neurons are."""
_NOTES = (
    "one point per neuron, coloured by group",
    "letters: the neurons whose maps are shown",
    "lines: from where these were before",
)
_NOTE_HEIGHT = 24
_BETWEEN_LETTERS = 19.0
_GROUP_TITLE = 26
_GROUP_GAP = 12
_SCALE = 104
_GAP = 8
_MAX_TILE_HEIGHT = 170

Limits = tuple[float, float, float, float]
"""Left, right, bottom, top."""


@dataclass(frozen=True, eq=False)
class Member:
    """A neuron whose map is shown.

    Attributes:
        row: Its row in the layout.
        label: What to call it.
        map: Float32 (H, W), in units of the layer's mean magnitude.
    """

    row: int
    label: str
    map: npt.NDArray[np.float32]


def widened(limits: Limits | None, points: Points) -> Limits:
    """Limits of an axis that hold all points: as they were, if they do; so that a run keeps one scale."""
    low, high = points.min(0), points.max(0)
    if limits is not None:
        left, right, bottom, top = limits
        if left <= low[0] and high[0] <= right and bottom <= low[1] and high[1] <= top:
            return limits
        low, high = np.minimum(low, (left, bottom)), np.maximum(high, (right, top))
    centre, side = (low + high) / 2, 0.6 * max(float((high - low).max()), 1e-6)
    return (float(centre[0] - side), float(centre[0] + side), float(centre[1] - side), float(centre[1] + side))


def draw_layout(
    layout: NeuronLayout,
    members: Sequence[Sequence[Member]],
    before: NeuronLayout | None,
    limits: Limits,
    *,
    layer: str,
    facts: str,
    epoch: int,
    quality: str,
) -> Figure:
    """Draw a layer's neurons in the plane, coloured by group, and maps of some members of each group.

    Args:
        layout: The layout.
        members: By group; their maps.
        before: The layout before: a line leads to a member from where it was.
        limits: Of the plane.
        layer: For the title.
        facts: Below the title.
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.

    Returns:
        A figure of (height, 1280, 3).
    """
    left = MARGIN + _SIDE + 2 * MARGIN
    tile_width = (_WIDTH - _SCALE - left - (MEMBERS - 1) * _GAP) / MEMBERS
    shape = next(group for group in members if group)[0].map.shape
    tile_height = min(tile_width * shape[0] / shape[1], _MAX_TILE_HEIGHT)
    pitch = _GROUP_TITLE + TITLE_HEIGHT + tile_height + _GROUP_GAP
    body = max(pitch * len(members), _SIDE + MARGIN + _NOTE_HEIGHT * len(_NOTES))
    sheet = Sheet(_WIDTH, round(_HEADING + body + MARGIN))
    sheet.words(f"{layer} · {moment_title(epoch, quality)}", MARGIN, 10, size=HEADING_SIZE, bold=True)
    sheet.words(facts, MARGIN, 52)
    letters = iter(ascii_lowercase)
    named = [[(next(letters), each) for each in group] for group in members]
    axes = sheet.axes(PLANE)
    _draw_points(axes, layout, limits)
    _draw_members(axes, layout, before, [pair for group in named for pair in group])
    for index, note in enumerate(_NOTES):
        sheet.words(note, MARGIN, _HEADING + _SIDE + MARGIN + index * _NOTE_HEIGHT)
    tile = (tile_height * shape[1] / shape[0], tile_height)
    for index, group in enumerate(named):
        top = _HEADING + index * pitch
        _draw_group(sheet, layout, index, group, (left, top), tile, tile_width + _GAP)
    draw_map_scale(sheet, (_WIDTH - _SCALE + 16, _HEADING + TITLE_HEIGHT, 14, _SIDE - TITLE_HEIGHT))
    return sheet.figure


def draw_aligned(planes: Sequence[Points], groups: Sequence[Indices], titles: Sequence[str], layer: str) -> Figure:
    """Draw the layouts of several moments side by side, on one scale.

    Args:
        planes: (M, 2) each.
        groups: Of each neuron, -1 for one without.
        titles: Of each moment.
        layer: For the title.
    """
    columns = min(len(planes), 4)
    side = (_WIDTH - MARGIN) / columns - MARGIN
    rows = math.ceil(len(planes) / columns)
    sheet = Sheet(_WIDTH, round(_HEADING + rows * (side + TITLE_HEIGHT + MARGIN)))
    sheet.words(f"{layer} · all dissections in one layout", MARGIN, 10, size=HEADING_SIZE, bold=True)
    sheet.words("colours: groups at the last one; grey: neurons that are in none", MARGIN, 52)
    limits = widened(None, np.concatenate(list(planes)))
    for index, (points, group, title) in enumerate(zip(planes, groups, titles, strict=True)):
        left = MARGIN + index % columns * (side + MARGIN)
        top = _HEADING + TITLE_HEIGHT + index // columns * (side + TITLE_HEIGHT + MARGIN)
        sheet.words(title, left + side / 2, top - 4, align="center", baseline="bottom")
        _draw_points(sheet.axes((left, top, side, side)), NeuronLayout(group, points, group, 0), limits)
    return sheet.figure


def _draw_points(axes: Axes, layout: NeuronLayout, limits: Limits) -> None:
    # In random order, so that no group hides another.
    order = np.random.default_rng(0).permutation(len(layout.points))
    colours = np.array([*CATEGORY_COLOURS[:MAX_GROUPS], ZERO_COLOUR])[np.minimum(layout.groups, MAX_GROUPS)]
    size = float(np.clip(20_000 / len(order), 8, 70))
    x, y = layout.points[order].T
    axes.scatter(x, y, s=size, c=colours[order], alpha=0.6, linewidths=0)
    axes.set_xlim(limits[0], limits[1])
    axes.set_ylim(limits[2], limits[3])
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_members(
    axes: Axes, layout: NeuronLayout, before: NeuronLayout | None, members: Sequence[tuple[str, Member]]
) -> None:
    """Ring the neurons whose maps are shown, each with its letter and a line from where it was."""
    rows = np.array([member.row for _, member in members], dtype=np.int64)
    place_of = {} if before is None else dict(zip(before.neurons.tolist(), before.points, strict=True))
    for row in rows:
        place = place_of.get(int(layout.neurons[row]))
        if place is not None:
            (x, y), (old_x, old_y) = layout.points[row], place
            axes.plot((old_x, x), (old_y, y), color="#404040", linewidth=1, zorder=3)
    x, y = layout.points[rows].T
    colours = [CATEGORY_COLOURS[group] for group in layout.groups[rows]]
    axes.scatter(x, y, s=70, c=colours, edgecolors="black", linewidths=1.6, zorder=4)
    halo = [withStroke(linewidth=3, foreground="white")]
    corner = np.array((axes.get_xlim()[0], axes.get_ylim()[0]))
    unit = (axes.get_xlim()[1] - axes.get_xlim()[0]) / _SIDE
    places = corner + unit * _beside((layout.points[rows] - corner) / unit)
    for (letter, _), (x, y) in zip(members, places, strict=True):
        axes.text(
            x, y, letter, ha="center", va="center", fontsize=FONT_SIZE, weight="bold", path_effects=halo, zorder=5
        )


def _beside(points: Points) -> Points:
    """Where to write letters: above their points, in pixels, but pushed away from each other and from all points."""
    turn = np.arange(len(points)) * 2.4  # so that equal points have a way to go
    places: Points = points + np.stack((np.cos(turn), _BETWEEN_LETTERS + np.sin(turn)), 1)
    for _ in range(100):
        others = np.concatenate((places, points))
        away = places[:, None] - others
        distance = np.linalg.norm(away, axis=2)
        too_close = np.clip(_BETWEEN_LETTERS - distance, 0, None) * (distance > 0)
        places = places + 0.3 * (away / np.maximum(distance, 1e-9)[..., None] * too_close[..., None]).sum(1)
        places = places.clip(_BETWEEN_LETTERS / 2, _SIDE - _BETWEEN_LETTERS / 2)
    return places


def _draw_group(
    sheet: Sheet,
    layout: NeuronLayout,
    group: int,
    members: Sequence[tuple[str, Member]],
    corner: tuple[float, float],
    tile: tuple[float, float],
    pitch: float,
) -> None:
    left, top = corner
    count = int((layout.groups == group).sum())
    sheet.words(f"group {group + 1} · {count:,} neurons", left, top, bold=True, colour=CATEGORY_COLOURS[group])
    for index, (letter, member) in enumerate(members):
        box = (left + index * pitch, top + _GROUP_TITLE + TITLE_HEIGHT, *tile)
        sheet.picture(member.map, box, f"{letter}: {member.label}", colours=SIGNED_COLOURS, norm=signed_root_norm())
        sheet.frame(box, CATEGORY_COLOURS[group])
