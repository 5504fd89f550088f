"""Equal to the numbers that the authors' released code gives on the same weights."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from xinc_pl.canvas import Canvas, dissect
from xinc_pl.models import ffn_from_released, nerv_from_released

Golden = Callable[[str], dict[str, Tensor]]

FFN_LAYERS = ("layer_1", "layer_2", "layer_3")
NERV_LAYERS = ("block_1", "block_2", "block_3", "head")


@pytest.fixture(scope="module")
def ffn(golden: Golden) -> Canvas:
    numbers = golden("ffn_small")
    network = ffn_from_released(numbers["B"], [(numbers[f"weight_{i}"], numbers[f"bias_{i}"]) for i in (1, 2, 3)])
    height, width = int(numbers["height"]), int(numbers["width"])
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    coordinates = (torch.stack([rows, columns], -1).reshape(-1, 2) / (max(height, width) - 1) - 0.5) * 2
    return dissect(network, coordinates, size=(height, width), convention="released")


@pytest.fixture(scope="module")
def nerv(golden: Golden) -> Canvas:
    numbers = golden("nerv_small")
    state = {key.removeprefix("state."): value for key, value in numbers.items() if key.startswith("state.")}
    height, width = numbers["fc_hw"].tolist()
    time = numbers["t"].reshape(1)
    assert time.dtype == torch.float64
    return dissect(nerv_from_released(state, (height, width)), time, convention="released")


def assert_golden(maps: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().mean()))


def test_the_ffn_itself_computes_what_the_released_one_does(ffn: Canvas, golden: Golden) -> None:
    torch.testing.assert_close(ffn.output.T.view(3, 24, 32), golden("ffn_small")["output"], rtol=1e-4, atol=1e-5)


def test_the_nerv_itself_computes_what_the_released_one_does(nerv: Canvas, golden: Golden) -> None:
    torch.testing.assert_close(nerv.output[0], golden("nerv_small")["output"], rtol=1e-4, atol=1e-5)


def test_the_layers_are_the_papers(ffn: Canvas, nerv: Canvas) -> None:
    assert tuple(ffn) == FFN_LAYERS
    assert tuple(nerv) == NERV_LAYERS
    assert list(nerv.skipped) == ["stem"]


@pytest.mark.parametrize("layer", FFN_LAYERS)
def test_maps_of_the_ffn(ffn: Canvas, golden: Golden, layer: str) -> None:
    assert_golden(ffn[layer].maps(), golden("ffn_small")[layer])


def test_maps_of_the_ffns_colours(ffn: Canvas, golden: Golden) -> None:
    assert_golden(ffn["layer_3"].maps(per_output=True), golden("ffn_small")["layer_3_rgb"])


@pytest.mark.parametrize("layer", NERV_LAYERS)
def test_maps_of_the_nerv_with_their_sign(nerv: Canvas, golden: Golden, layer: str) -> None:
    expected = golden("nerv_small")[layer]
    # Both signs occur in every layer: these are the maps before the absolute value, input channel first.
    assert expected.min() < 0 < expected.max()
    assert nerv[layer].neuron_shape == tuple(expected.shape[:2])
    assert_golden(nerv[layer].maps(), expected.flatten(0, 1))


@pytest.mark.parametrize("layer", NERV_LAYERS)
def test_both_conventions_agree_for_convolutions(nerv: Canvas, golden: Golden, layer: str) -> None:
    numbers = golden("nerv_small")
    state = {key.removeprefix("state."): value for key, value in numbers.items() if key.startswith("state.")}
    paper = dissect(nerv_from_released(state, (1, 2)), numbers["t"].reshape(1))
    assert torch.equal(paper[layer].maps(), nerv[layer].maps())


@pytest.mark.parametrize("layer", [*FFN_LAYERS, *NERV_LAYERS])
def test_totals(ffn: Canvas, nerv: Canvas, golden: Golden, layer: str) -> None:
    canvas, name = (ffn, "ffn_small_statistics") if layer in ffn else (nerv, "nerv_small_statistics")
    total = canvas[layer].statistics().total
    assert total.dtype == torch.float64
    assert_golden(total.float(), golden(name)[f"{layer}.total"])
