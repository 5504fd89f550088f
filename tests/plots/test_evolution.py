import numpy as np
import pytest

from xinc_pl.analysis.evolution import Course, Curve, Panel
from xinc_pl.plots.evolution import chart_places, draw_evolution
from xinc_pl.plots.figures import pixels_of

PARTITIONS = ("instances", "rgb", "gabor", "superpixels", "grid", "comb")
STATISTICS = ("median", "lower_quartile", "upper_quartile", "ratio")


def test_what_belongs_together_shares_a_column_and_a_row() -> None:
    places = chart_places(["psnr", "rgb/median", "rgb/ratio", "grid/median", "grid/ratio"])
    assert places == [(0, 0), (0, 1), (1, 1), (0, 2), (1, 2)]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 12, 31, 60])
def test_charts_stand_in_rows_each_in_a_place_of_its_own(count: int) -> None:
    for quantities in ([f"q{index}" for index in range(count)], [f"x/q{index}" for index in range(count)]):
        places = chart_places(quantities)
        assert len(set(places)) == count
        assert max(row for row, _ in places) <= max(column for _, column in places)


def course(quantities: list[str], layers: list[str]) -> Course:
    def panel(quantity: str) -> Panel:
        curves = [
            Curve(layer, (0, 1, 300), (0.0, 1e-5 * index, 2e5), is_control)
            for index, layer in enumerate(layers)
            for is_control in (False, True)
        ]
        return Panel("spread", quantity, tuple(curves))

    unchanged = tuple(f"{quantity} 0" for quantity in quantities)
    return Course("spread", tuple(map(panel, quantities)), unchanged)


@pytest.mark.parametrize(
    ("quantities", "num_layers"),
    [(["gini"], 20), (["psnr", *(f"{name}/{each}" for name in PARTITIONS for each in STATISTICS)], 2)],
)
def test_figures_are_wider_than_tall_and_nothing_is_cut(quantities: list[str], num_layers: int) -> None:
    layers = [f"block_{index}" for index in range(num_layers)]
    pixels = pixels_of(draw_evolution(course(quantities, layers), layers))
    height, width, _ = pixels.shape
    assert width >= 1280
    assert width > height
    for edge in (pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:]):
        assert (edge == 255).all()
    assert np.unique(pixels.reshape(-1, 3), axis=0).shape[0] > 10


def test_what_belongs_to_no_layer_is_drawn_too() -> None:
    pixels = pixels_of(draw_evolution(course(["psnr"], ["frame"]), ["head"]))
    assert (pixels == (0x88, 0x22, 0x55)).all(2).any()
