"""Latent grids against their formula, pixel by pixel."""

import math

import pytest
import torch
import torch.nn.functional as F

from xinc_pl.models import GridNeRV
from xinc_pl.models.grid_nerv import LatentGrids

SIZE = (8, 16)


def naive(grids: LatentGrids, time: float) -> torch.Tensor:
    """Features (channels, h, w) at one time."""
    height, width = grids.grid
    channels = []
    for table, length in zip(grids.tables, grids.lengths, strict=True):
        pictures = table.weight.detach().view(length, height, width, -1)
        place = time * length
        before = min(math.floor(place + 1e-9), length - 1)
        after = min(before + 1, length - 1)
        part = place - before
        mixed = pictures[before] * (1 - part) + pictures[after] * part if after > before else pictures[before]
        channels += [mixed[..., channel] for channel in range(mixed.shape[-1])]
    return torch.stack(channels)


@pytest.mark.parametrize("time", [0.0, 1 / 3, 0.4, 0.5, 0.7, 0.99])
def test_features_are_interpolated_in_time(time: float) -> None:
    torch.manual_seed(0)
    grids = LatentGrids((3, 1, 6), 7, (2, 3)).double()
    (features,) = grids(torch.tensor([time], dtype=torch.float64))
    assert features.shape == (7, 2, 3)
    torch.testing.assert_close(features, naive(grids, time), rtol=1e-4, atol=1e-5)


def test_output_is_that_of_the_formula() -> None:
    torch.manual_seed(0)
    network = GridNeRV(SIZE, (2, 4), width=6, strides=(2, 2)).double()
    values = naive(network.encoding, 0.5)[None]
    for block in network.blocks:
        values = F.gelu(F.pixel_shuffle(F.conv2d(values, block.conv.weight, block.conv.bias, padding=1), 2))
    expected = torch.tanh(F.conv2d(values, network.head.weight, network.head.bias, padding=1)) / 2 + 0.5
    output = network(torch.tensor([0.5], dtype=torch.float64))
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)


def test_a_grid_as_long_as_the_clip_has_a_picture_for_every_frame() -> None:
    torch.manual_seed(0)
    grids = LatentGrids((30,), 2, (1, 2))
    features = grids(torch.arange(30, dtype=torch.float64) / 30)
    pictures = grids.tables[0].weight.view(30, 1, 2, 2).permute(0, 3, 1, 2)
    torch.testing.assert_close(features, pictures, rtol=0, atol=1e-4)


def test_sizes_and_beginnings() -> None:
    torch.manual_seed(0)
    network = GridNeRV(SIZE, (4, 8), width=9, strides=(2, 2))
    assert [tuple(table.weight.shape) for table in network.encoding.tables] == [(4 * 8, 5), (8 * 8, 4)]
    grids = 4 * 8 * 5 + 8 * 8 * 4
    blocks = (9 * 9 + 1) * 8 * 4 + (8 * 9 + 1) * 7 * 4  # widths 9, 8, 7
    head = (7 * 9 + 1) * 3
    assert sum(parameter.numel() for parameter in network.parameters()) == grids + blocks + head
    theirs = torch.nn.init.xavier_uniform_(torch.empty(8, 4, 2, 4))
    ours = network.encoding.tables[1].weight.detach()
    assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.1)
    assert list(network.layer_names.values()) == ["grid_4", "grid_8", "block_1", "block_2", "head"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": (100, 256)}, "GridNeRV: the strides .* use 96x256"),
        ({"strides": ()}, "from 1 to 5"),
        ({"lengths": ()}, "at least one length"),
        ({"lengths": (4, 0)}, r"lengths are \(4, 0\)"),
        ({"lengths": (4, 8), "width": 1}, "width is 1"),
        ({"kernel_size": 2}, "must be odd"),
        ({"lengths": (10**9,)}, "weights needs"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GridNeRV(**wrong)
