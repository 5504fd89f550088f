import numpy as np
import pytest
import torch

from xinc_pl import FFN, dissect
from xinc_pl.analysis.matched_maps import matched_maps
from xinc_pl.analysis.matching import Match
from xinc_pl.canvas import LayerCanvas
from xinc_pl.frames import pixel_coordinates

SIZE = (4, 6)


def layer(seed: int) -> LayerCanvas:
    torch.manual_seed(seed)
    return dissect(FFN(num_frequencies=3, widths=(5,)), pixel_coordinates(SIZE), size=SIZE)["layer_1"]


def match_of(pairs: list[list[int]], similarity: list[float]) -> Match:
    return Match(torch.tensor(pairs).reshape(-1, 2), torch.tensor(similarity, dtype=torch.float64), 0.1, 0.0)


def test_best_median_and_worst_pair_are_scaled_maps() -> None:
    first, second = layer(0), layer(1)
    found = matched_maps("rows", match_of([[0, 5], [3, 1], [2, 4]], [0.2, 0.9, 0.5]), first, second)
    assert found.labels == (("3", "1"), ("2", "4"), ("0", "5"))
    assert found.similarity == (0.9, 0.5, 0.2)
    for pair, (one, other) in zip(found.maps, [(3, 1), (2, 4), (0, 5)], strict=True):
        for drawn, canvas, neuron in zip(pair, (first, second), (one, other), strict=True):
            values = canvas.maps([neuron])[0].abs().double().numpy()
            expected = (values - values.min()) / (values.max() - values.min())
            assert drawn == pytest.approx(expected, abs=1e-5)


def test_a_single_pair_is_all_three() -> None:
    found = matched_maps("rows", match_of([[1, 2]], [0.4]), layer(0), layer(1))
    assert found.similarity == (0.4, 0.4, 0.4)
    assert np.array_equal(found.maps[0], found.maps[2])


def test_nothing_is_drawn_where_nothing_was_matched() -> None:
    found = matched_maps("rows", match_of([], []), layer(0), layer(1))
    assert found.maps.shape == (0, 2, *SIZE)
    assert found.labels == ()
