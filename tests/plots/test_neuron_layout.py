import math

import numpy as np
import pytest

from xinc_pl.analysis.embedding import Points
from xinc_pl.analysis.neuron_layout import NeuronLayout
from xinc_pl.plots.figures import pixels_of
from xinc_pl.plots.neuron_layout import MAX_GROUPS, MEMBERS, PLANE, Limits, Member, draw_aligned, draw_layout, widened

Pixels = np.ndarray
LIMITS: Limits = (0.0, 10.0, 0.0, 10.0)
WORDS = {"layer": "block_2", "facts": "30 of 30 neurons", "epoch": 3, "quality": "frame 0: 20.00 dB"}


def layout_of(points: Points, num_groups: int = 2) -> NeuronLayout:
    return NeuronLayout(np.arange(len(points)) + 5, points, np.arange(len(points)) % num_groups, math.nan)


def member(row: int) -> Member:
    return Member(row, f"{row}→{row + 100}", np.linspace(-12, 12, 16 * 32, dtype=np.float32).reshape(16, 32))


def drawn(
    layout: NeuronLayout, rows: list[list[int]], before: NeuronLayout | None = None, limits: Limits = LIMITS
) -> Pixels:
    members = [[member(row) for row in group] for group in rows]
    return pixels_of(draw_layout(layout, members, before, limits, **WORDS))  # type: ignore[arg-type]


def pixel_of(point: Points) -> tuple[int, int]:
    """Row and column in the picture of a place in the plane."""
    left, top, width, height = PLANE
    return round(top + height * (1 - point[1] / 10)), round(left + width * point[0] / 10)


def around(pixels: Pixels, point: Points, radius: int = 9) -> Pixels:
    y, x = pixel_of(point)
    return pixels[y - radius : y + radius, x - radius : x + radius]


def plane(pixels: Pixels) -> Pixels:
    left, top, width, height = (round(each) for each in PLANE)
    return pixels[top : top + height, left : left + width]


def random_points(count: int = 30) -> Points:
    return 2 + 6 * np.random.default_rng(0).random((count, 2))


def test_limits_stay_while_they_hold_all_points_and_else_only_widen() -> None:
    points = random_points()
    limits = widened(None, points)
    assert limits[1] - limits[0] == pytest.approx(limits[3] - limits[2]), "one scale for both axes"
    assert widened(limits, points + 0.1) == limits
    left, right, bottom, top = widened(limits, points + 5)
    assert left <= limits[0]
    assert bottom <= limits[2]
    assert right > points[:, 0].max() + 5
    assert top > points[:, 1].max() + 5
    left, right, _, _ = widened(None, np.ones((8, 2)))
    assert left < 1 < right, "even where all points are one"


def test_members_are_ringed_where_they_are_and_others_are_not() -> None:
    points = random_points()
    points[3], points[4] = (1.0, 1.0), (9.0, 1.0)
    marked, other = (drawn(layout_of(points), [[0], [row]]) for row in (3, 4))
    assert marked.shape[1] == 1280
    assert marked.dtype == np.uint8
    for row, ringed, plain in ((3, marked, other), (4, other, marked)):
        dark = [int((around(each, points[row]).max(-1) < 60).sum()) for each in (ringed, plain)]
        assert dark[0] > 30, "a black ring"
        assert dark[1] == 0
    assert np.array_equal(around(marked, points[0]), around(other, points[0]))


def test_a_line_leads_to_a_member_from_where_it_was() -> None:
    points = random_points()
    points[0] = (9.0, 9.0)
    former = points.copy()
    former[0], former[1] = (1.0, 9.0), (9.0, 1.0)
    half_way = np.array((5.0, 9.0))
    layout, before = layout_of(points), layout_of(former)
    assert around(drawn(layout, [[0], []], before), half_way, 3).min() < 120
    assert around(drawn(layout, [[0], []]), half_way, 3).min() == 255
    gone = NeuronLayout(before.neurons + 1000, before.points, before.groups, math.nan)
    assert np.array_equal(drawn(layout, [[0], []], gone), drawn(layout, [[0], []])), "it is new"


def test_equal_places_and_the_border_leave_every_letter_inside_and_apart() -> None:
    points = random_points()
    points[:8] = (9.99, 9.99)
    crowded = plane(drawn(layout_of(points), [[0, 2, 4, 6], [1, 3, 5, 7]]))
    alone = plane(drawn(layout_of(points), [[0], []]))
    dark = [int((each.max(-1) < 60).sum()) for each in (crowded, alone)]
    assert dark[0] > dark[1] + 7 * 20, "eight letters, none hidden behind another"


@pytest.mark.parametrize("num_groups", [1, MAX_GROUPS])
def test_any_number_of_groups_fits(num_groups: int) -> None:
    rows = [list(range(group, 30, num_groups))[:MEMBERS] for group in range(num_groups)]
    pixels = drawn(layout_of(random_points(), num_groups), rows)
    assert pixels.shape[1] == 1280
    assert (pixels[-4:] == 255).all(), "nothing is cut off at the bottom"
    assert pixels.shape[0] < 1280


def test_aligned_layouts_share_one_scale_and_go_on_in_a_second_row() -> None:
    planes = [random_points(20 + index) for index in range(5)]
    groups = [np.arange(20 + index) % 3 - 1 for index in range(5)]
    titles = [f"epoch {index}" for index in range(5)]
    five = pixels_of(draw_aligned(planes, groups, titles, "head"))
    four = pixels_of(draw_aligned(planes[:4], groups[:4], titles[:4], "head"))
    assert five.shape[1] == four.shape[1] == 1280
    assert five.shape[0] > four.shape[0] + 250
