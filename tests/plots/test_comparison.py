import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from xinc_pl.analysis.comparison import LayerComparison, mixing
from xinc_pl.analysis.grouping_variance import VarianceDistribution
from xinc_pl.analysis.joint_layout import JointLayout
from xinc_pl.analysis.matched_maps import MatchedMaps
from xinc_pl.analysis.matching import match_neurons
from xinc_pl.analysis.nulls import Null
from xinc_pl.analysis.partitions import Partition
from xinc_pl.canvas.statistics.results import NeuronVectors
from xinc_pl.plots.comparison import draw_layouts, draw_matching, draw_run_variances, draw_similarities, run_colour
from xinc_pl.plots.figures import pixels_of
from xinc_pl.plots.matched_maps import draw_matched_maps

RUNS = ["version_0 · epoch 3 · 20.00 dB", "version_1 · epoch 3 · 21.00 dB"]
TITLE = "Runs · frame 0"


def layer_of(name: str, num_runs: int = 2, num_neurons: int = 12, scale: float = 1.0) -> LayerComparison:
    generator = torch.Generator().manual_seed(len(name))
    vectors = tuple(
        NeuronVectors(torch.arange(num_neurons), torch.rand(num_neurons, 5, generator=generator, dtype=torch.float64))
        for _ in range(num_runs)
    )
    values = np.sort(scale * vectors[0].vectors.sum(1).numpy()) if num_neurons else np.zeros(0)
    variances = tuple(
        tuple(VarianceDistribution(name, Partition(key), 5, values, 0, Null(2.0, values)) for _ in range(num_runs))
        for key in ("rgb", "gabor", "grid")
    )
    pairs = [(first, second) for second in range(num_runs) for first in range(second)]
    matches = {pair: match_neurons(vectors[pair[0]], vectors[pair[1]]) for pair in pairs}
    counts = (num_neurons,) * num_runs
    return LayerComparison(name, counts, variances, matches, vectors, mixing([each.vectors for each in vectors]))


def layout_of(layer: LayerComparison) -> JointLayout:
    points = torch.cat([each.vectors[:, :2] for each in layer.vectors]).numpy()
    run = np.concatenate([np.full(len(each.neurons), index) for index, each in enumerate(layer.vectors)])
    return JointLayout(points, run, np.arange(len(run)))


def drawn(layers: Sequence[LayerComparison], runs: Sequence[str]) -> list[np.ndarray]:
    layouts = [layout_of(layer) if len(layer.vectors[0].neurons) else None for layer in layers]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [
            pixels_of(draw_run_variances(layers, runs, TITLE)),
            pixels_of(draw_matching(layers, runs, TITLE)),
            pixels_of(draw_similarities(layers, runs, TITLE)),
            pixels_of(draw_layouts(layers, layouts, runs, TITLE)),
        ]


def has_colour(pixels: np.ndarray, colour: str) -> bool:
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return bool((np.abs(pixels.astype(int) - wanted).max(-1) <= 2).any())


@pytest.mark.parametrize("num_layers", [1, 4])
def test_pictures_have_one_width_and_every_run_its_colour(num_layers: int) -> None:
    layers = [layer_of(f"block_{'x' * index}") for index in range(num_layers)]
    for pixels in drawn(layers, RUNS):
        assert pixels.dtype == np.uint8
        assert pixels.shape[1:] == (1280, 3)
        assert has_colour(pixels, run_colour(0))
        assert has_colour(pixels, run_colour(1))
        assert not has_colour(pixels, run_colour(2))
        # Nothing is cut off at the edges.
        assert (pixels[:, -4:] == 255).all()
        assert (pixels[:4] == 255).all()
        assert (pixels[-4:] == 255).all()


def test_layers_in_which_nothing_is_alive_are_drawn_empty() -> None:
    for pixels in drawn([layer_of("dead", num_neurons=0), layer_of("alive")], RUNS):
        assert pixels.std() > 1


def test_many_runs_fit() -> None:
    runs = [f"/a/very/long/path{'/to' * 60}/version_{index} · epoch 3" for index in range(9)]
    for pixels in drawn([layer_of("block_1", num_runs=9)], runs):
        assert (pixels[:, -4:] == 255).all()


def test_values_beyond_the_axis_are_drawn_at_its_edge() -> None:
    huge = pixels_of(draw_run_variances([layer_of("head", scale=1e6)], RUNS, TITLE))
    vast = pixels_of(draw_run_variances([layer_of("head", scale=1e8)], RUNS, TITLE))
    small = pixels_of(draw_run_variances([layer_of("head")], RUNS, TITLE))
    assert np.array_equal(huge, vast), "the scale does not follow the data"
    assert not np.array_equal(huge, small)


def test_later_layers_do_not_change_how_one_is_drawn() -> None:
    first = layer_of("block_1")
    alone = pixels_of(draw_run_variances([first], RUNS, TITLE))
    beside = pixels_of(draw_run_variances([first, layer_of("head", scale=30)], RUNS, TITLE))
    assert np.array_equal(alone[:380], beside[:380])


def test_each_similarity_has_a_bar_where_it_is_known() -> None:
    layer = layer_of("head")
    match = layer.matches[0, 1]
    controlled = replace(layer, signals={0: match, 1: match}, beginnings={0: match})
    paler = ["#9b86c4", "#cdc2e2"]
    # Where nothing is known, the legend says so, in the bar's colour.
    known, unknown = (
        count_of(pixels_of(draw_similarities([each], RUNS, TITLE)), paler) for each in (controlled, layer)
    )
    assert all(some > 5 * few for some, few in zip(known, unknown, strict=True))


def test_trivial_matches_have_no_bar() -> None:
    layer = layer_of("head")
    match = layer.matches[0, 1]
    found = [
        count_of(pixels_of(draw_similarities([replace(layer, beginnings={0: each})], RUNS, TITLE)), ["#cdc2e2"])
        for each in (match, replace(match, is_trivial=True))
    ]
    assert found[0][0] > 5 * found[1][0]


def count_of(pixels: np.ndarray, colours: Sequence[str]) -> list[int]:
    """How many pixels have each colour."""
    wanted = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours]
    return [int((np.abs(pixels.astype(int) - each).max(-1) <= 2).sum()) for each in wanted]


def pairs_of(shape: tuple[int, int], num_pairs: int = 3, is_trivial: bool = False) -> MatchedMaps:
    maps = np.random.default_rng(0).random((num_pairs, 2, *shape), dtype=np.float32)
    return MatchedMaps("runs 1 and 2", (("1→2", "3→4"),) * num_pairs, (0.5,) * num_pairs, maps, is_trivial)


@pytest.mark.parametrize("shape", [(8, 16), (40, 4), (3, 60)])
def test_pairs_are_drawn_whatever_the_frames_shape(shape: tuple[int, int]) -> None:
    rows = [pairs_of(shape), pairs_of(shape, 0), pairs_of(shape, is_trivial=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = pixels_of(draw_matched_maps("head", rows, "frame 0"))
        one = pixels_of(draw_matched_maps("head", rows[:1], "frame 0"))
    assert pixels.shape[1:] == (1280, 3)
    assert pixels.shape[0] > one.shape[0]
    assert (pixels[:, -4:] == 255).all()
    assert (pixels[-2:] == 255).all()
    assert pixels.std() > 1
