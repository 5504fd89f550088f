"""What differs from channel to channel: batch norms, scales and shifts, slopes."""

from typing import Any

import pytest
import torch
from decoders import COORDINATES, FEATURES, SIZE, block, check, convolution, randomised, shared, upsample
from networks import Written
from oracle import (
    Dense,
    Function,
    PerChannel,
    Shuffle,
    assert_maps_close,
    dense_maps,
    identity,
)
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.canvas import CONVENTIONS, Convention, dissect

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


def test_activations_of_channels_behind_an_interpolation() -> None:
    torch.manual_seed(0)
    first, last, (up, naive) = convolution(3, 3), convolution(3, 2), upsample(2, "bilinear", False)
    rates = nn.Parameter(torch.tensor([0.5, -2.0, 4.0]).view(1, 3, 1, 1))
    network = Written(
        lambda self, x: self.b((h := torch.sin(up(self.a(x)))) * torch.sigmoid(self.rates * h)),
        a=first, b=last, rates=rates,
    )  # fmt: skip

    def of_channel(rate: float) -> Function:
        return lambda values: values.sin() * torch.sigmoid(rate * values.sin())

    check(network, [block(first, naive, PerChannel([of_channel(rate) for rate in (0.5, -2.0, 4.0)])), block(last)])


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
