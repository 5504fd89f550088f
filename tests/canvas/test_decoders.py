"""Convolutions in other decoders than the paper's: interpolation, transposed convolutions."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from decoders import FEATURES, block, check, convolution, shared, upsample
from networks import Written
from oracle import (
    Resize,
    Shuffle,
    assert_maps_close,
    bilinear,
)
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.canvas import dissect


@pytest.mark.parametrize("activation", [F.gelu, torch.cos], ids=["gelu", "cos"])
@pytest.mark.parametrize("upsample_first", [True, False])
@pytest.mark.parametrize(
    "way", [("nearest",), ("bilinear", False), ("bilinear", True)], ids=["nearest", "bilinear", "aligned"]
)
def test_a_super_resolution_decoder(
    way: tuple[Any, ...], upsample_first: bool, activation: Callable[[Tensor], Tensor]
) -> None:
    torch.manual_seed(0)
    first, second, third = convolution(3, 2), convolution(2, 2, 5), convolution(2, 3)
    (double, naive_double), (triple, naive_triple) = upsample(2, *way), upsample(3, *way)

    def forward(self: Any, values: Tensor) -> Tensor:
        values = activation(double(first(values))) if upsample_first else double(activation(first(values)))
        return torch.tanh(third(triple(activation(second(values)))))

    function = shared(activation, 2)
    blocks = [
        block(first, *((naive_double, function) if upsample_first else (function, naive_double))),
        block(second, function, naive_triple),
        block(third, shared(torch.tanh, 3)),
    ]
    check(Written(forward, a=first, b=second, c=third), blocks)


def test_the_order_of_activation_and_interpolation_matters() -> None:
    torch.manual_seed(0)
    first, last, up = convolution(3, 2), convolution(2, 3), nn.Upsample(scale_factor=2, mode="bilinear")
    before, after = (
        dissect(nn.Sequential(first, *between, last), FEATURES)["0"].maps()
        for between in ((up, nn.ReLU()), (nn.ReLU(), up))
    )
    assert float((before - after).abs().max()) > 0.01


@pytest.mark.parametrize("order", ["shuffle_first", "interpolation_first", "activation_between"])
def test_interpolation_besides_a_pixel_shuffle(order: str) -> None:
    torch.manual_seed(0)
    first, second, third = convolution(3, 8), convolution(2, 8), convolution(2, 2)
    up, naive = upsample(2, "bilinear", False)
    shuffle = nn.PixelShuffle(2)

    class Cos(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return torch.cos(values)

    steps, stages = {
        "shuffle_first": ((shuffle, up, Cos()), (Shuffle(2), naive, shared(torch.cos, 2))),
        "interpolation_first": ((up, shuffle, Cos()), (naive, Shuffle(2), shared(torch.cos, 2))),
        # As everywhere, the activation of zero stands where a kernel does not feed.
        "activation_between": ((up, Cos(), shuffle), (naive, Shuffle(2), shared(torch.cos, 2))),
    }[order]
    check(
        nn.Sequential(first, *steps, second, *steps, third, up, nn.Sigmoid()),
        [block(first, *stages), block(second, *stages), block(third, naive, shared(torch.sigmoid, 2))],
    )


def test_interpolation_to_a_size_and_by_half_pixels() -> None:
    torch.manual_seed(0)
    first, last = convolution(3, 2), convolution(2, 3)
    network = Written(
        lambda self, x: F.interpolate(
            self.last(F.interpolate(self.first(x), size=(7, 6), mode="bilinear").relu()),
            scale_factor=(2.0, 1.5),
            mode="bilinear",
            align_corners=True,
        ),
        first=first,
        last=last,
    )
    sized = Resize(lambda image: bilinear(image, 7, 6, align_corners=False))
    scaled = Resize(lambda image: bilinear(image, 14, 9, align_corners=True))
    canvas = check(network, [block(first, sized, shared(torch.relu, 2)), block(last, scaled)])
    colours = canvas["last"].maps(per_output=True)
    assert_maps_close(colours.sum(0), canvas.output[0])  # (C, H, W): each kernel in its own colour
    assert_maps_close(colours.sum(1), canvas["last"].maps())


@pytest.mark.parametrize("mode", ["bicubic", "area", "nearest-exact"])
def test_other_interpolations(mode: str) -> None:
    layer = nn.Conv2d(3, 2, 1)
    network = Written(lambda self, x: F.interpolate(self.a(x), size=(8, 7), mode=mode), a=layer)
    maps = dissect(network, FEATURES)["a"].maps().view(3, 2, 8, 7)
    torch.testing.assert_close(maps.sum(0), network(FEATURES)[0].detach(), rtol=1e-4, atol=1e-5)


# Transposed convolutions


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "extra"), [(2, 2, 0, 0), (4, 2, 1, 0), (3, 2, 1, 1), (2, 3, 0, 1), (3, 1, 1, 0)]
)
def test_transposed_convolutions(kernel: int, stride: int, padding: int, extra: int) -> None:
    torch.manual_seed(0)
    first = nn.ConvTranspose2d(3, 2, kernel, stride, padding, extra)
    second = nn.ConvTranspose2d(2, 3, kernel, stride, padding, extra)
    last = convolution(3, 2)
    canvas = check(
        nn.Sequential(first, nn.GELU(), second, nn.Sigmoid(), last),
        [block(first, shared(F.gelu, 2)), block(second, shared(torch.sigmoid, 3)), block(last)],
    )
    assert canvas["0"].neuron_shape == (3, 2)


def test_a_transposed_convolution_as_large_as_its_stride_is_a_pixel_shuffle() -> None:
    torch.manual_seed(0)
    first, last = convolution(3, 2), convolution(3, 2)
    fine = nn.ConvTranspose2d(2, 3, 2, 2)
    shuffled = nn.Conv2d(2, 12, 1)
    with torch.no_grad():
        shuffled.weight.copy_(fine.weight.permute(1, 2, 3, 0).reshape(12, 2, 1, 1))
        shuffled.bias.copy_(fine.bias.repeat_interleave(4))
    one = dissect(nn.Sequential(first, nn.GELU(), fine, nn.GELU(), last), FEATURES)
    other = dissect(nn.Sequential(first, nn.GELU(), shuffled, nn.PixelShuffle(2), nn.GELU(), last), FEATURES)
    torch.testing.assert_close(one.output, other.output)
    for layer in (0, -1):
        torch.testing.assert_close(list(one.values())[layer].maps(), list(other.values())[layer].maps())


def test_the_effect_in_a_decoder_of_many_parts() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.ConvTranspose2d(3, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.PReLU(4), convolution(4, 2),
        nn.Upsample(scale_factor=2, mode="bilinear"), nn.SiLU(), convolution(2, 3), nn.Sigmoid(),
    ).double().eval()  # fmt: skip
    canvas = dissect(network, FEATURES.double(), convention="effect")
    for name, neuron in (("0", 5), ("3", 3), ("6", 1)):
        weight = network[int(name)].weight
        maps = canvas[name].maps([neuron], per_output=True)[0]
        kernel = divmod(neuron, canvas[name].neuron_shape[1])
        kernel = kernel if name == "0" else kernel[::-1]
        with torch.no_grad():
            before, plain = network(FEATURES.double())[0], weight[kernel].clone()
            weight[kernel] *= 1 + 1e-6
            after = network(FEATURES.double())[0]
            weight[kernel] = plain
        torch.testing.assert_close(maps.double(), (after - before) / 1e-6, rtol=1e-3, atol=1e-6)
