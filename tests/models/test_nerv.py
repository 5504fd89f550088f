"""The video network: the paper's numbers, the formula, the published code."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from xinc_pl.models import NeRV, nerv_from_released
from xinc_pl.models.nerv import block_widths

Golden = Callable[[str], dict[str, torch.Tensor]]
SMALL = (8, 16)


def time(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_papers_network_has_978557_parameters() -> None:
    network = NeRV()
    assert sum(parameter.numel() for parameter in network.parameters()) == 978_557
    assert [block.conv.in_channels for block in network.blocks] == [37, 31, 26]
    assert network.head.in_channels == 22


@pytest.mark.parametrize(
    ("size", "model_size", "strides", "kernel_sizes", "levels"),
    [
        ((128, 256), 1e6, (4, 2, 2), 3, 80),
        ((128, 256), 3e6, (4, 2, 2), (1, 3, 5), 80),
        ((180, 320), 2e5, (5, 2, 2), (3, 5, 5), 40),
        ((64, 64), 5e4, (2,), 5, 3),
        ((48, 48), 1e5, (1, 3, 4, 1), (1, 3, 3, 5), 12),
    ],
)
def test_first_width_is_the_largest_that_the_authors_estimate_allows(
    size: tuple[int, int], model_size: float, strides: tuple[int, ...], kernel_sizes: int | tuple[int, ...], levels: int
) -> None:
    kernels = (kernel_sizes,) * len(strides) if isinstance(kernel_sizes, int) else kernel_sizes
    grid = size[0] * size[1] // math.prod(strides) ** 2

    def estimate(width: int) -> float:
        """Weights of stem and blocks, if every block is exactly 1.2 times narrower than the one before."""
        before, total = float(width), 2.0 * levels * width * grid
        for stride, kernel in zip(strides, kernels, strict=True):
            total += before * (before / 1.2) * stride**2 * kernel**2
            before /= 1.2
        return total

    width = NeRV(size, model_size, strides, kernel_sizes, levels=levels).blocks[0].conv.in_channels
    assert estimate(width) <= model_size < estimate(width + 1)


@pytest.mark.parametrize(
    ("width", "expected"), [(37, [37, 31, 26, 22]), (9, [9, 8, 7, 6]), (4, [4, 6, 6, 6]), (100, [100, 83, 69, 58])]
)
def test_widths_shrink_to_no_less_than_six(width: int, expected: list[int]) -> None:
    assert block_widths(width, 3) == expected


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_any_stride_and_kernel_size_gives_frames_of_the_size(stride: int, kernel_size: int) -> None:
    size = (2 * stride * 3, 3 * stride * 3)
    network = NeRV(size, strides=(stride, 3), kernel_sizes=kernel_size, head_kernel_size=kernel_size, width=2, levels=3)
    assert network(time(0, 0.5)).shape == (2, 3, *size)


def test_output_is_that_of_the_formula() -> None:
    torch.manual_seed(0)
    network = NeRV(SMALL, strides=(2, 1), width=7, levels=4).double()
    t = time(0.25, 0.75)
    phases = t[:, None] * (1.25 ** torch.arange(4) * math.pi).double()
    code = torch.cat([phases.sin(), phases.cos()], dim=1)
    weights = dict(network.named_parameters())
    stem = code @ weights["stem.weight"].flatten(1).T + weights["stem.bias"]
    values = F.gelu(stem).reshape(2, 7, 4, 8)
    for index, stride in enumerate((2, 1)):
        kernel, bias = weights[f"blocks.{index}.conv.weight"], weights[f"blocks.{index}.conv.bias"]
        wide = F.conv2d(values, kernel, bias, padding=1)
        batch, _, height, width = wide.shape
        phased = wide.reshape(batch, 6, stride, stride, height, width).permute(0, 1, 4, 2, 5, 3)
        values = F.gelu(phased.reshape(batch, 6, height * stride, width * stride))
    expected = 1 / (1 + torch.exp(-2 * F.conv2d(values, weights["head.weight"], weights["head.bias"], padding=1)))
    torch.testing.assert_close(network(t), expected)


def test_gives_the_output_of_the_published_code(golden: Golden) -> None:
    numbers = golden("nerv_small")
    state = {key.removeprefix("state."): value for key, value in numbers.items() if key.startswith("state.")}
    height, width = numbers["fc_hw"].tolist()
    output = nerv_from_released(state, (height, width))(numbers["t"].reshape(1))
    torch.testing.assert_close(output[0], numbers["output"], rtol=1e-4, atol=1e-5)


def test_layers_have_the_papers_names() -> None:
    network = NeRV(SMALL, strides=(2, 2), width=3)
    assert list(network.layer_names.values()) == ["block_1", "block_2", "head"]
    modules = dict(network.named_modules())
    assert all(isinstance(modules[path], torch.nn.Conv2d) for path in network.layer_names)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": (130, 256)}, "use 128x256"),
        ({"size": (0, 256)}, "does not divide the size 0x256"),
        ({"strides": ()}, "at least one"),
        ({"strides": (6, 2)}, "from 1 to 5"),
        ({"strides": (4, 0)}, "from 1 to 5"),
        ({"kernel_sizes": (3, 3)}, "2 kernel_sizes for 3 strides"),
        ({"kernel_sizes": 4}, "must be odd"),
        ({"head_kernel_size": -1}, "must be odd"),
        ({"model_size": 1000}, "too small"),
        ({"model_size": -1e6}, "too small"),
        ({"model_size": math.nan}, "too small"),
        ({"width": 0}, "at least 1"),
        ({"levels": 0}, "at least 1"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NeRV(**wrong)
