"""HiNeRV against the formulas of its paper and the settings of its code."""

import math

import pytest
import torch
import torch.nn.functional as F

from xinc_pl import dissect
from xinc_pl.models import HiNeRV
from xinc_pl.models.grid_nerv import LatentGrids

SIZE = (8, 16)


def tiny() -> HiNeRV:
    torch.manual_seed(0)
    network = HiNeRV(SIZE, num_frames=5, strides=(2, 2), width=6, depth=2, base_length=3).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)  # so that grids and biases count as much as the rest
    return network


def numbers(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def norm(values: torch.Tensor) -> torch.Tensor:
    """Over the channels (axis 1), without weight or bias."""
    mean = values.mean(1, keepdim=True)
    return (values - mean) / ((values - mean).square().mean(1, keepdim=True) + 1e-6).sqrt()


def enlarged(values: torch.Tensor, factor: int) -> torch.Tensor:
    """Bilinear interpolation, pixel by pixel: pixel i of the large image is at (i + 1/2) / factor - 1/2."""
    for axis in (2, 3):
        length = values.shape[axis]
        rows = []
        for pixel in range(length * factor):
            place = min(max((pixel + 0.5) / factor - 0.5, 0), length - 1)
            before = math.floor(place)
            after = min(before + 1, length - 1)
            rows.append(
                values.select(axis, before) * (1 - place + before) + values.select(axis, after) * (place - before)
            )
        values = torch.stack(rows, axis)
    return values


def pictures(grids: LatentGrids, frame: int, num_frames: int) -> torch.Tensor:
    """What grids hold for a frame, as the published code has it: stretched over the clip by torch's interpolation."""
    found = []
    for table, length in zip(grids.tables, grids.lengths, strict=True):
        values = table.weight.view(length, -1).T[None]
        stretched = F.interpolate(values, size=num_frames, mode="linear", align_corners=False)[0, :, frame]
        found.append(stretched.view(*grids.grid, -1))
    return torch.cat(found, -1)


@pytest.mark.parametrize("length", [1, 3, 5, 7])
def test_grids_are_stretched_over_the_clip(length: int) -> None:
    torch.manual_seed(0)
    grids = LatentGrids((length,), (2,), (2, 3), middle=0.5).double()
    torch.nn.init.normal_(grids.tables[0].weight)
    middles = (torch.arange(7, dtype=torch.float64) + 0.5) / 7
    for frame, features in enumerate(grids(middles)):
        torch.testing.assert_close(features.permute(1, 2, 0), pictures(grids, frame, 7), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("frame", range(5))
def test_output_is_that_of_the_formula(frame: int) -> None:
    network = tiny()
    weights = dict(network.named_parameters())
    values = pictures(network.grids, frame, 5).permute(2, 0, 1)[None]
    assert values.shape == (1, 3, 2, 4)
    values = F.conv2d(values, weights["stem.weight"], weights["stem.bias"], padding=1)
    for index, (depth, widths) in enumerate([(2, (6, 6)), (1, (6, 3))]):
        values = enlarged(norm(values), 2)
        local = pictures(network.blocks[index].grids, frame, 5)
        place = local @ weights[f"blocks.{index}.place.weight"].T + weights[f"blocks.{index}.place.bias"]
        added = torch.zeros_like(values)
        for row in range(values.shape[2]):
            for column in range(values.shape[3]):
                added[0, :, row, column] = place[row % 2, column % 2]
        values = values + added
        for layer in range(depth):
            path = f"blocks.{index}.layers.{layer}"
            branch = F.conv2d(values, weights[f"{path}.depthwise.weight"], padding=1, groups=values.shape[1])
            branch = F.conv2d(norm(branch), weights[f"{path}.widen.weight"][..., None, None])
            branch = F.conv2d(F.gelu(branch), weights[f"{path}.narrow.weight"][..., None, None])
            values = values + branch if widths == (6, 6) else branch
        assert values.shape[1] == widths[1]
    values = F.conv2d(values, weights["head.weight"][..., None, None], weights["head.bias"])
    output = network(torch.tensor([frame / 5], dtype=torch.float64))
    assert values.std() > 0.1
    torch.testing.assert_close(output, 1 / (1 + (-values).exp()), rtol=1e-4, atol=1e-4)


def test_local_features_are_those_of_the_place_within_a_cell() -> None:
    network = tiny()
    block = network.blocks[0]
    block.layers = torch.nn.ModuleList()
    features, middle = torch.randn(1, 6, 2, 4, dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
    with torch.no_grad():
        added = block(features, middle) - enlarged(norm(features), 2)
    torch.testing.assert_close(added[..., :2, :2], added[..., 2:, 4:6])
    assert (added[..., 0, 0] - added[..., 0, 1]).abs().max() > 0.1


def test_a_batch_is_its_frames() -> None:
    network = tiny()
    times = torch.tensor([0.6, 0.0, 0.31], dtype=torch.float64)
    torch.testing.assert_close(network(times), torch.cat([network(time[None]) for time in times]))


def test_published_size() -> None:
    # uvg-hinerv-s of the published code: 600 frames of 1080x1920, 280 channels, strides 5, 3, 2, 2.
    with torch.device("meta"):
        network = HiNeRV((1080, 1920), 600, strides=(5, 3, 2, 2), width=280)
    base = 18 * 32 * (150 * 2 + 75 * 1)
    stem, head = (3 * 9 + 1) * 280, (35 + 1) * 3
    local = 25 * (600 * 4 + 300 * 2 + 150 * 1) + (7 + 1) * 280
    local += 9 * (600 * 2 + 300 * 1) + (3 + 1) * 280
    local += 4 * 600 * 1 + (1 + 1) * 140 + 4 * 600 * 1 + (1 + 1) * 70
    first = 3 * (280 * 9 + 2 * 280 * 1120)
    second = (280 * 9 + 280 * 560 + 560 * 140) + 2 * (140 * 9 + 2 * 140 * 560)
    third = (140 * 9 + 140 * 280 + 280 * 70) + 2 * (70 * 9 + 2 * 70 * 280)
    fourth = 70 * 9 + 70 * 35 + 35 * 35
    assert numbers(network) == base + stem + local + first + second + third + fourth + head == 2_911_803
    assert [layer.widen.out_features for block in network.blocks for layer in block.layers] == [
        *(1120, 1120, 1120),
        *(560, 560, 560),
        *(280, 280, 280),
        35,
    ]


@pytest.mark.parametrize("model_size", [2e4, 1e6])
@pytest.mark.parametrize("num_frames", [3, 30])
def test_the_width_is_the_largest_within_the_budget(model_size: float, num_frames: int) -> None:
    with torch.device("meta"):
        network = HiNeRV((64, 128), num_frames, model_size, (4, 2))
        wider = HiNeRV((64, 128), num_frames, width=network.stem.out_channels + 1, strides=(4, 2))
    assert numbers(network) <= model_size < numbers(wider)


def test_beginnings() -> None:
    torch.manual_seed(0)
    network = HiNeRV(SIZE, 12, strides=(2, 2), width=6)
    tables = [part.weight.detach() for part in network.modules() if isinstance(part, torch.nn.Embedding)]
    assert [tuple(table.shape) for table in tables[:2]] == [(3 * 8, 2), (1 * 8, 1)]
    assert [tuple(table.shape) for table in tables[2:5]] == [(12 * 4, 4), (6 * 4, 2), (3 * 4, 1)]
    assert [tuple(table.shape) for table in tables[5:]] == [(12 * 4, 2), (6 * 4, 1)]
    assert torch.cat([table.flatten() for table in tables]).abs().max().item() == pytest.approx(1e-3, rel=0.05)
    biased = {name for name, parameter in network.named_parameters() if name.endswith("bias") and not parameter.any()}
    assert biased == {"stem.bias", "blocks.0.place.bias", "blocks.1.place.bias", "head.bias"}


def test_every_layer_has_a_name_and_maps() -> None:
    network = tiny().float()
    layers = [path for path, part in network.named_modules() if list(part.parameters(recurse=False))]
    assert sorted(network.layer_names) == sorted(layers)
    canvas = dissect(network, torch.tensor([0.2], dtype=torch.float64), convention="effect")
    assert not canvas.skipped
    assert list(canvas) == [
        *("grid_1", "grid_2", "stem"),
        *("block_1_grid_1", "block_1_grid_2", "block_1_grid_3", "block_1_place"),
        *(f"block_1_layer_{layer}_{kind}" for layer in (1, 2) for kind in ("depthwise", "widen", "narrow")),
        *("block_2_grid_1", "block_2_grid_2", "block_2_place"),
        *(f"block_2_layer_1_{kind}" for kind in ("depthwise", "widen", "narrow")),
        "head",
    ]
    shapes = {name: layer.neuron_shape for name, layer in canvas.items()}
    assert shapes["block_1_layer_2_depthwise"] == (1, 6)
    assert shapes["block_1_layer_2_narrow"] == (24,)
    assert shapes["block_2_grid_1"] == (2,)
    assert max(layer.completeness_error for layer in canvas.values()) < 1e-5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": (100, 256)}, "HiNeRV: the strides .* use 96x256"),
        ({"strides": (6, 2)}, "from 1 to 5"),
        ({"num_frames": 0}, "num_frames is 0"),
        ({"width": 0}, "width is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"base_length": 0}, "base_length is 0"),
        ({"model_size": 3000}, "HiNeRV: model_size is too small; .* need .* more"),
        ({"num_frames": 10**9}, "model_size is too small"),
        ({"model_size": float("nan")}, "HiNeRV: model_size is nan; give a number"),
        ({"model_size": float("inf")}, "HiNeRV: model_size is inf; give a number"),
        ({"width": 10**6}, "weights needs"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HiNeRV(**wrong)
