"""Chains of other layers than the paper's: interpolation, norms, transposed convolutions, slopes by channel."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import Written, three_linear
from oracle import (
    Block,
    Dense,
    Function,
    PerChannel,
    Resize,
    Shuffle,
    assert_maps_close,
    bilinear,
    block_maps,
    box_mean,
    dense_maps,
    identity,
    repeat,
    transposed,
)
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.canvas import CONVENTIONS, Canvas, Convention, DissectionError, dissect, rules
from xinc_pl.canvas import layer as layers

FEATURES = torch.randn(1, 3, 3, 4, generator=torch.Generator().manual_seed(5))
SIZE = (4, 5)
COORDINATES = torch.rand(20, 2, generator=torch.Generator().manual_seed(3))


def convolution(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def block(layer: nn.Conv2d | nn.ConvTranspose2d, *after: Shuffle | Resize | PerChannel) -> Block:
    """The oracle's description of a layer."""
    weight, bias = layer.weight.detach(), layer.bias.detach()  # type: ignore[union-attr]
    if isinstance(layer, nn.ConvTranspose2d):
        stride, padding, extra = layer.stride[0], int(layer.padding[0]), layer.output_padding[0]
        convolve = partial(transposed, stride=stride, padding=padding, extra=extra)
        ones = torch.ones(layer.kernel_size, dtype=torch.float64)
        mean = partial(transposed, kernel=ones, stride=stride, padding=padding, extra=extra, mean=True)
        return Block(weight.transpose(0, 1), bias, convolve, mean, after)
    size = layer.kernel_size[0]

    def convolve_plainly(image: Tensor, kernel: Tensor) -> Tensor:
        return F.conv2d(image[None, None], kernel[None, None], padding=size // 2)[0, 0]

    return Block(weight, bias, convolve_plainly, partial(box_mean, size=size), after)


def shared(function: Function, channels: int) -> PerChannel:
    return PerChannel([function] * channels)


def check(network: nn.Module, blocks: Sequence[Block]) -> Canvas:
    """Maps of all layers and their self-check, against the oracle."""
    canvas = dissect(network.eval(), FEATURES)
    assert len(canvas) == len(blocks)
    for index, layer in enumerate(canvas.values()):
        assert layer.completeness_error < 1e-5
        assert_maps_close(layer.maps(), block_maps(blocks, index, FEATURES[0]))
    return canvas


def randomised(norm: Any) -> Any:
    """A batch norm as if trained."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
        norm.running_var.copy_(torch.rand(norm.running_var.shape, generator=generator) + 0.5)
    return norm.eval()


# Interpolation


def upsample(factor: int, mode: str, align_corners: bool | None = None) -> tuple[nn.Module, Resize]:
    def naive(image: Tensor) -> Tensor:
        if mode == "nearest":
            return repeat(image, factor)
        height, width = image.shape
        return bilinear(image, height * factor, width * factor, bool(align_corners))

    return nn.Upsample(scale_factor=factor, mode=mode, align_corners=align_corners), Resize(naive)


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


# Norms and affine steps


def fold(layer: nn.Module, norm: Any, joined: int = 1) -> Any:
    """A convolution or linear layer that computes the same as ``layer`` and the batch norm after it."""
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    shift = (norm.bias - norm.running_mean * scale).detach()
    scale, shift = scale.repeat_interleave(joined), shift.repeat_interleave(joined)
    weight, bias = layer.weight.detach(), layer.bias.detach()  # type: ignore[union-attr, operator]
    outputs_first = weight.movedim(1 if isinstance(layer, nn.ConvTranspose2d) else 0, -1) * scale  # type: ignore[operator]
    other = type(layer).__new__(type(layer))
    other.__dict__ = dict(layer.__dict__)
    other._parameters = {
        "weight": nn.Parameter(outputs_first.movedim(-1, 1 if isinstance(layer, nn.ConvTranspose2d) else 0)),
        "bias": nn.Parameter(bias * scale + shift),
    }
    return other


def test_batch_norm_is_part_of_its_layer() -> None:
    torch.manual_seed(0)
    first, second, third = convolution(3, 8), nn.ConvTranspose2d(2, 3, 3, 2, 1), convolution(3, 2)
    norms = [randomised(nn.BatchNorm2d(channels)) for channels in (2, 3, 2)]
    (up, naive), gelu = upsample(2, "bilinear", False), nn.GELU()
    network = nn.Sequential(
        first, nn.PixelShuffle(2), up, norms[0], gelu, second, norms[1], gelu, third, norms[2]
    )  # fmt: skip
    blocks = [
        block(fold(first, norms[0], joined=4), Shuffle(2), naive, shared(F.gelu, 2)),
        block(fold(second, norms[1]), shared(F.gelu, 3)),
        block(fold(third, norms[2])),
    ]
    check(network, blocks)
    network.train()
    statistics = [norm.running_mean.clone() for norm in norms]
    dissect(network, FEATURES)  # in evaluation mode, and back
    assert network.training
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, statistics, strict=True))


@pytest.mark.parametrize("convention", ["paper", "released"])
def test_batch_norm_and_affine_steps_between_linear_layers(convention: Any) -> None:
    torch.manual_seed(0)
    a, b, c, norm = nn.Linear(2, 6), nn.Linear(6, 5), nn.Linear(5, 3), randomised(nn.BatchNorm1d(6))
    scale, shift = nn.Parameter(torch.randn(5)), nn.Parameter(torch.randn(1, 5))
    network = Written(
        lambda self, x: self.c((self.b(self.norm(self.a(x)).relu()) * self.scale + self.shift).sin()),
        a=a, b=b, c=c, norm=norm, scale=scale, shift=shift,
    )  # fmt: skip
    folded = fold(a, norm)
    descriptions = [
        Dense(folded.weight.detach(), folded.bias.detach(), torch.relu),
        Dense((b.weight * scale[:, None]).detach(), (b.bias * scale + shift[0]).detach(), torch.sin),
        Dense(c.weight.detach(), c.bias.detach(), identity),
    ]
    for index, layer in enumerate(dissect(network, COORDINATES, size=SIZE, convention=convention).values()):
        assert layer.completeness_error < 1e-5
        assert_maps_close(
            layer.maps(), dense_maps(descriptions, index, COORDINATES, SIZE, convention, per_output=False)
        )


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 2, 1, 1)])
def test_scales_and_shifts_of_channels(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    first, last, scale, shift = convolution(3, 2), convolution(2, 3), torch.randn(shape), torch.randn(shape)
    network = Written(
        lambda self, x: last((first(x) - shift).div_(self.scale).relu()), a=first, b=last, scale=nn.Parameter(scale)
    )
    expected = block(first, shared(torch.relu, 2))
    expected.bias = (expected.bias - shift.flatten()) / scale.flatten()
    expected.weight = expected.weight / scale.flatten()[:, None, None, None]
    check(network, [expected, block(last)])


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_canvas_keeps_the_parameters_of_its_steps(convention: Convention) -> None:
    torch.manual_seed(0)
    norm, slopes = randomised(nn.BatchNorm2d(2)), nn.PReLU(2)
    network = nn.Sequential(convolution(3, 2), norm, slopes, convolution(2, 3))
    canvas = dissect(network, FEATURES, convention=convention)
    before = canvas["0"].maps()
    with torch.no_grad():
        slopes.weight.add_(1)
        norm.running_mean.add_(1)
    assert torch.equal(canvas["0"].maps(), before)


# Activations with parameters per channel


@pytest.mark.parametrize("shuffle_first", [True, False])
def test_activations_of_channels(shuffle_first: bool) -> None:
    torch.manual_seed(0)
    first, second, last = convolution(3, 8), convolution(2, 3), convolution(3, 2)
    slopes = nn.PReLU(2 if shuffle_first else 8)
    with torch.no_grad():
        slopes.weight.copy_(torch.linspace(-1, 1, len(slopes.weight)))
    width = nn.Parameter(torch.rand(3, 1, 1))

    def of_channel(slope: float) -> Function:
        return lambda values: torch.where(values > 0, values, slope * values)

    def cosine(frequency: float) -> Function:
        return lambda values: torch.cos(values * frequency) * values + frequency

    def forward(self: Any, values: Tensor) -> Tensor:
        steps = (F.pixel_shuffle, self.slopes) if shuffle_first else (self.slopes, F.pixel_shuffle)
        values = self.a(values)
        for step in steps:
            values = step(values) if step is self.slopes else step(values, 2)
        values = self.b(values)
        return self.c(torch.cos(values * self.width) * values + self.width)

    def acts(layer_slopes: Tensor) -> PerChannel:
        return PerChannel([of_channel(float(slope)) for slope in layer_slopes.detach()])

    own = [Shuffle(2), acts(slopes.weight)] if shuffle_first else [acts(slopes.weight), Shuffle(2)]
    blocks = [
        block(first, *own),
        block(second, PerChannel([cosine(float(one)) for one in width.detach().flatten()])),
        block(last),
    ]
    check(Written(forward, a=first, b=second, c=last, slopes=slopes, width=width), blocks)


def test_a_norm_behind_an_activation_belongs_to_the_activation() -> None:
    torch.manual_seed(0)
    first, second, last = convolution(3, 8), convolution(2, 1), convolution(1, 3)
    norms = [randomised(nn.BatchNorm2d(2)), randomised(nn.BatchNorm2d(1))]

    def normalised(norm: Any, channel: int) -> Function:
        scale = norm.weight[channel].item() / (norm.running_var[channel].item() + norm.eps) ** 0.5
        shift = norm.bias[channel].item() - norm.running_mean[channel].item() * scale
        return lambda values: torch.tanh(values) * scale + shift

    network = nn.Sequential(
        first, nn.PixelShuffle(2), nn.Tanh(), norms[0], second, nn.Tanh(), norms[1], last
    )  # fmt: skip
    blocks = [
        block(first, Shuffle(2), PerChannel([normalised(norms[0], channel) for channel in range(2)])),
        block(second, PerChannel([normalised(norms[1], 0)])),
        block(last),
    ]
    check(network, blocks)


@pytest.mark.parametrize("convention", ["paper", "released"])
def test_slopes_of_neurons_between_linear_layers(convention: Any) -> None:
    torch.manual_seed(0)
    a, b, slopes = nn.Linear(2, 5), nn.Linear(5, 3), nn.PReLU(5)
    with torch.no_grad():
        slopes.weight.copy_(torch.linspace(-0.5, 1, 5))
    canvas = dissect(nn.Sequential(a, slopes, b), COORDINATES, size=SIZE, convention=convention)
    products = COORDINATES.T.double() * a.weight.double().sum(0)[:, None]
    if convention == "released":  # belongs to all outputs alike: the mean of their activations
        products = products + a.bias.double().sum() / 2
        products = torch.where(products > 0, products, products * slopes.weight.double().mean())
    assert_maps_close(canvas["0"].maps(), products.detach().view(2, *SIZE))
    by_output = COORDINATES.T.double()[:, None] * a.weight.double().T[:, :, None]
    if convention == "released":
        by_output = by_output + a.bias.double()[:, None] / 2
        by_output = torch.where(by_output > 0, by_output, by_output * slopes.weight.double()[:, None])
    assert_maps_close(canvas["0"].maps(per_output=True), by_output.detach().view(2, 5, *SIZE))


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


# Shapes, names and wrappers


def test_moves_that_cancel_between_convolutions() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(convolution(3, 8), nn.PixelShuffle(2), nn.GELU(), convolution(2, 3))
    moved = Written(
        lambda self, x: self.b(
            F.gelu(
                F.pixel_shuffle(F.dropout2d(self.a(x).flatten(2).view(1, 8, 3, 4), training=False), 2).permute(
                    0, 2, 3, 1
                )
            )
            .permute(0, 3, 1, 2)
            .reshape(1, 2, 6, 8)
        ),
        a=plain[0],
        b=plain[3],
    )
    canvas, expected = dissect(moved, FEATURES), dissect(plain, FEATURES)
    assert list(canvas) == ["a", "b"]
    for layer, other in zip(canvas.values(), expected.values(), strict=True):
        torch.testing.assert_close(layer.maps(), other.maps())


@pytest.mark.parametrize(
    "rearranged",
    [
        lambda image: image.permute(0, 1, 3, 2),
        lambda image: image.flip(3).view(1, 4, 4, 3),
        lambda image: image.reshape(1, 3, 4, 4).permute(0, 2, 1, 3) + 1,
        lambda image: (image.flatten(1).softmax(1) * image.flatten(1)).view(1, 4, 4, 3),
    ],
)
def test_whatever_stands_between_stem_and_blocks(rearranged: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    network = Written(
        lambda self, x: self.head(self.block(rearranged(self.stem(x)).relu()).relu()),
        stem=nn.Conv2d(3, 4, 1), block=convolution(4, 3), head=convolution(3, 3),
    )  # fmt: skip
    canvas = dissect(network, FEATURES)
    assert list(canvas) == ["block", "head"]
    assert "into space" in canvas.skipped["stem"]


def test_what_mixes_pixels_after_the_last_rearrangement_is_refused() -> None:
    network = Written(
        lambda self, x: self.head(self.stem(x).view(1, 4, 4, 3).flip(3)),
        stem=nn.Conv2d(3, 4, 1),
        head=convolution(4, 3),
    )
    with pytest.raises(DissectionError, match="between stem and head: 'flip' mixes"):
        dissect(network, FEATURES)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", ["whole", "middle"])
def test_compiled_modules(part: str) -> None:
    network, expected = three_linear(torch.relu), dissect(three_linear(torch.relu), COORDINATES, size=SIZE)
    network.layer_names = {"c": "last"}
    if part == "middle":
        network.b = torch.compile(network.b, backend="eager")
    canvas = dissect(torch.compile(network, backend="eager") if part == "whole" else network, COORDINATES, size=SIZE)
    assert list(canvas) == ["a", "b", "last"]
    for layer, other in zip(canvas.values(), expected.values(), strict=True):
        torch.testing.assert_close(layer.maps(), other.maps())


# New kinds of layers


def test_the_worked_example_of_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))
    monkeypatch.setattr(layers, "LAYER_FUNCTIONS", functions := dict(layers.LAYER_FUNCTIONS))
    monkeypatch.setattr("xinc_pl.canvas.chain.LAYER_FUNCTIONS", functions)
    text = (Path(__file__).parents[2] / "docs" / "adding_a_rule.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for code in text.split("```python\n")[1:]:
        exec(code.split("```")[0], names)
    canvas = names["canvas"]
    assert list(canvas) == ["encode", "turn", "colour"]
    turn = canvas["turn"]
    rotation = names["network"].turn.rotation.double()
    inputs = torch.sin(
        names["coordinates"].double() @ names["network"].encode.weight.double().T
        + names["network"].encode.bias.double()
    )
    expected = (inputs[:, :, None] * rotation).detach()
    assert_maps_close(turn.maps(), expected.sum(2).T.reshape(8, *turn.size))
    assert_maps_close(turn.maps(per_output=True), expected.permute(1, 2, 0).reshape(8, 8, *turn.size))
    assert turn.completeness_error < 1e-5
