"""The effect convention: against finite differences, torch.func.jvp, removal, and numbers worked out by hand."""

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from networks import Written, dense_network, kernel_network
from torch import Tensor, nn
from torch.nn import functional as F

import xinc_pl.canvas.canvas
from xinc_pl.canvas import Canvas, DissectionError, dissect
from xinc_pl.canvas.effect_convolution import ConvolutionEffect
from xinc_pl.canvas.effect_linear import LinearEffect
from xinc_pl.canvas.effect_rule import AnyEffect
from xinc_pl.models import FFN, NeRV

SIZE = (4, 5)
COORDINATES = torch.rand(20, 2, generator=torch.Generator().manual_seed(3)) + 0.1
IMAGE = torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(4))
TIME = torch.tensor([0.3], dtype=torch.float64)
Network = Callable[[], nn.Module]


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def written(forward: Callable[[Any, Tensor], Any], **parts: nn.Module | nn.Parameter) -> nn.Module:
    """Evaluation mode, weights that do not depend on other tests."""
    network = Written(forward, **parts)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / max(parameter.shape[-1], 2) ** 0.5)
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return network.eval()


def effect(network: nn.Module, inputs: Tensor, **options: Any) -> Canvas:
    size = SIZE if inputs.ndim == 2 else None
    return dissect(network, inputs, size=size, convention="effect", **options)


# The oracle: the network itself, with a hook on one layer


def term(layer: nn.Linear | nn.Conv2d, inputs: Tensor, neuron: int) -> Tensor:
    """Z_i: what a neuron adds to its layer's output."""
    if isinstance(layer, nn.Linear):
        return inputs[..., neuron, None] * layer.weight[:, neuron]
    channel, output = divmod(neuron, layer.out_channels)
    added = torch.zeros(len(inputs), layer.out_channels, *inputs.shape[2:], dtype=inputs.dtype)
    kernel = layer.weight[output, channel][None, None]
    added[:, output] = F.conv2d(inputs[:, [channel]], kernel, padding=kernel.shape[-1] // 2)[:, 0]
    return added


def with_more_of(network: nn.Module, path: str, neuron: int, inputs: Tensor) -> Callable[[Tensor], Tensor]:
    """The network's output (C, H, W) when ``amount`` times Z_i is added to a layer's output."""
    layer: Any = network.get_submodule(path)

    def output(amount: Tensor) -> Tensor:
        hook = layer.register_forward_hook(
            lambda _, args, result: result + amount * term(layer, args[0], neuron).detach()
        )
        result = network(inputs)
        hook.remove()
        return result[0] if result.ndim == 4 else result.reshape(20, -1).T.reshape(-1, *SIZE)

    return output


def finite_difference(network: nn.Module, path: str, neuron: int, inputs: Tensor, step: float = 1e-6) -> Tensor:
    output = with_more_of(network, path, neuron, inputs)
    with torch.no_grad():
        return (output(torch.tensor(step)) - output(torch.tensor(-step))) / (2 * step)


def forward_derivative(network: nn.Module, path: str, neuron: int, inputs: Tensor) -> Tensor:
    output = with_more_of(network, path, neuron, inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        derivative: Tensor = torch.func.jvp(
            output, (inputs.new_zeros((), dtype=torch.float64),), (inputs.new_ones((), dtype=torch.float64),)
        )[1]
    return derivative


def some_neurons(number: int, of: int) -> list[int]:
    return torch.randperm(of, generator=torch.Generator().manual_seed(of))[:number].tolist()


def check(network: nn.Module, inputs: Tensor, layers: int) -> Canvas:
    """Compare some maps of every layer with finite differences, and what else must hold of them.

    Args:
        network: With as many modules as it has layers.
        inputs: As it receives them.
        layers: How many must have been dissected.
    """
    canvas = effect(network, inputs)
    assert len(canvas) == layers
    exact = copy.deepcopy(network).double()
    for path, layer in canvas.items():
        neurons = some_neurons(5, layer.num_neurons)
        per_output = layer.maps(neurons, per_output=True).double()
        assert per_output.shape[2:] == layer.size
        for neuron, maps in zip(neurons, per_output, strict=True):
            expected = finite_difference(exact, _module_path(network, path), neuron, inputs.double())
            atol = 1e-4 * float(expected.abs().mean()) + 1e-7
            torch.testing.assert_close(maps, expected.detach(), rtol=1e-3, atol=atol)
        atol = 1e-6 * float(per_output.abs().mean())
        torch.testing.assert_close(layer.maps(neurons).double(), per_output.sum(1), rtol=1e-5, atol=atol)
        torch.testing.assert_close(layer.magnitudes(neurons).double(), per_output.abs().sum(1), rtol=1e-5, atol=atol)
        assert layer.completeness_error < 1e-5
    assert any(layer.magnitudes().max() > 0.01 for layer in canvas.values())
    return canvas


def _module_path(network: nn.Module, name: str) -> str:
    """Name of a layer back to its module's path."""
    names = getattr(network, "layer_names", {})
    return next((path for path, given in names.items() if given == name), name)


# Chains


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "sin", "cos", "sigmoid"])
def test_linear_layers(activation: str, bias: bool) -> None:
    network, _ = dense_network((2, 9, 8, 3), activation, bias)
    canvas = check(network, COORDINATES, layers=3)
    assert all(type(layer._rule) is LinearEffect for layer in canvas.values())


def test_the_image_network() -> None:
    torch.manual_seed(0)
    check(FFN(num_frequencies=6, widths=(9, 8, 7, 6)), COORDINATES, layers=5)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "cos"])
@pytest.mark.parametrize(
    ("channels", "strides", "kernels", "grid"),
    [
        ((3, 2, 2, 3), (2, 3, 1), (3, 5, 1), (2, 3)),
        ((2, 3, 2, 3), (4, 1, 1), (5, 1, 3), (2, 1)),
        ((2, 2, 2, 3), (1, 5, 1), (1, 3, 5), (1, 3)),
        ((2, 2, 2), (1, 2), (3, 3), (3, 2)),
        ((3, 2), (2,), (3,), (3, 2)),
        ((3, 3), (1,), (5,), (3, 4)),
    ],
    ids=["2_3", "4_1", "5", "shuffle_at_the_end", "shuffle_alone", "head_alone"],
)
def test_convolutions(
    channels: tuple[int, ...],
    strides: tuple[int, ...],
    kernels: tuple[int, ...],
    grid: tuple[int, int],
    activation: str,
    bias: bool,
) -> None:
    # With tanh * 0.5 + 0.5 at the end, which the effect goes through.
    network, _ = kernel_network(channels, strides, kernels, activation, bias)
    inputs = torch.randn(1, channels[0], *grid, generator=torch.Generator().manual_seed(5))
    canvas = check(network, inputs, layers=len(strides))
    assert all(type(layer._rule) is ConvolutionEffect for layer in canvas.values())


def test_the_video_network() -> None:
    torch.manual_seed(0)
    canvas = check(NeRV((8, 16), strides=(2, 2), width=7, levels=4), TIME, layers=3)
    assert list(canvas.skipped) == ["stem"]


@pytest.mark.parametrize("kind", ["linear", "convolutions"])
def test_forward_mode_through_the_real_network(kind: str) -> None:
    if kind == "linear":
        network, inputs = dense_network((2, 9, 8, 3), "gelu")[0].double(), COORDINATES.double()
    else:
        network = kernel_network((3, 4, 2, 3), (2, 3, 1), (3, 3, 3), "gelu")[0].double()
        inputs = IMAGE.double()
    for path, layer in effect(network, inputs).items():
        neurons = some_neurons(4, layer.num_neurons)
        for neuron, maps in zip(neurons, layer.maps(neurons, per_output=True), strict=True):
            expected = forward_derivative(network, path, neuron, inputs)
            torch.testing.assert_close(maps.double(), expected.detach(), rtol=1e-6, atol=1e-9)


# By hand


def test_linear_layers_by_hand() -> None:
    first, last = nn.Linear(2, 2), nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
        first.bias.copy_(torch.tensor([2.0, -4.0]))
        last.weight.copy_(torch.tensor([[1.0, 0.5], [0.0, -1.0]]))
    inputs = torch.tensor([[1.0, 2.0], [3.0, -1.0]])  # two pixels
    canvas = dissect(nn.Sequential(first, nn.ReLU(), last), inputs, size=(1, 2), convention="effect")
    # Pre-activations (-1, 7) and (7, 1): at the first pixel only the second hidden neuron is alive.
    assert canvas["0"].maps(per_output=True).tolist() == [
        [[[1 * 3 * 0.5, 3 * (1 * 1 + 3 * 0.5)]], [[1 * 3 * -1.0, 3 * 3 * -1.0]]],
        [[[2 * 4 * 0.5, -1 * (-2 * 1 + 4 * 0.5)]], [[2 * 4 * -1.0, -1 * 4 * -1.0]]],
    ]
    assert canvas["0"].maps().tolist() == [[[-1.5, -1.5]], [[-4.0, 4.0]]]
    assert canvas["0"].magnitudes().tolist() == [[[4.5, 16.5]], [[12.0, 4.0]]]
    assert canvas["2"].maps(per_output=True).tolist() == [[[[0.0, 7.0]], [[0.0, 0.0]]], [[[3.5, 0.5]], [[-7.0, -1.0]]]]


def test_a_block_by_hand() -> None:
    block, head = nn.Conv2d(1, 4, 1), nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        block.weight.copy_(torch.tensor([1.0, 2.0, -3.0, 4.0]).view(4, 1, 1, 1))
        block.bias.copy_(torch.tensor([0.0, -100.0, 100.0, 0.0]))
        head.weight.copy_(torch.tensor([-3.0, 5.0]).view(2, 1, 1, 1))
    network = nn.Sequential(block, nn.PixelShuffle(2), nn.ReLU(), head)
    canvas = dissect(network, torch.tensor([[[[1.0, 10.0]]]]), convention="effect")
    # Kernel 1 is dead for its bias, kernel 2 alive for its own. The bias is in no map.
    maps = canvas["0"].maps(per_output=True)
    assert maps[:, 0].tolist() == [
        [[-3.0, 0.0, -30.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0, 0.0], [9.0, 0.0, 90.0, 0.0]],
        [[0.0, 0.0, 0.0, 0.0], [0.0, -12.0, 0.0, -120.0]],
    ]
    torch.testing.assert_close(maps[:, 1], maps[:, 0] * -5 / 3)
    torch.testing.assert_close(canvas["0"].magnitudes(), maps[:, 0].abs() * 8 / 3)


def test_the_activation_of_the_output_by_hand() -> None:
    head = nn.Conv2d(2, 1, 1)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([1.0, -0.5]).view(1, 2, 1, 1))
        head.bias.fill_(0.25)
    values = torch.tensor([0.5, 1.0])
    network = written(lambda s, x: torch.tanh(head(x)) * 0.5 + 0.5)
    maps = dissect(network, values.view(1, 2, 1, 1), convention="effect")["layer_1"].maps()
    slope = 0.5 * (1 - torch.tanh(torch.tensor(0.5 - 0.5 + 0.25)) ** 2)
    torch.testing.assert_close(maps.flatten(), torch.stack([0.5 * slope, -0.5 * slope]))


def test_removing_a_kernel_from_a_network_without_activations() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(2, 18, 5, padding=2), nn.PixelShuffle(3),
        nn.Conv2d(2, 3, 1),
    )  # fmt: skip
    canvas = effect(network, IMAGE)
    with torch.no_grad():
        before = network(IMAGE)[0]
        for path, layer in canvas.items():
            for neuron in some_neurons(4, layer.num_neurons):
                changed = copy.deepcopy(network)
                weight: Any = changed.get_submodule(path).weight
                channel, output = divmod(neuron, layer.neuron_shape[1])
                weight[output, channel] = 0
                removed = before - changed(IMAGE)[0]
                torch.testing.assert_close(layer.maps([neuron], per_output=True)[0], removed, rtol=1e-4, atol=1e-6)


def test_removing_an_input_of_the_last_linear_layer() -> None:
    network, _ = dense_network((2, 9, 8, 3), "relu")
    last = effect(network, COORDINATES)["layers.2"]
    with torch.no_grad():
        before = network(COORDINATES)
        for neuron in range(8):
            changed: Any = copy.deepcopy(network)
            changed.layers[2].weight[:, neuron] = 0
            removed = (before - changed(COORDINATES)).T.view(3, *SIZE)
            torch.testing.assert_close(last.maps([neuron], per_output=True)[0], removed, rtol=1e-4, atol=1e-6)


# What the other conventions refuse


NOT_CHAINS: dict[str, tuple[Network, Tensor, int]] = {
    "skip_connection": (
        lambda: written(
            lambda s, x: (lambda h: s.c(h + s.b(h).relu()))(s.a(x).relu()),
            a=nn.Linear(2, 7), b=nn.Linear(7, 7), c=nn.Linear(7, 3),
        ),
        COORDINATES, 3,
    ),
    "concatenation": (
        lambda: written(
            lambda s, x: s.c(torch.cat([s.b(s.a(x).relu()).relu(), x], -1)),
            a=nn.Linear(2, 7), b=nn.Linear(7, 5), c=nn.Linear(7, 3),
        ),
        COORDINATES, 3,
    ),
    "layer_norm": (
        lambda: written(
            lambda s, x: s.b(s.n(s.a(x)).relu()), a=nn.Linear(2, 7, bias=False), n=nn.LayerNorm(7), b=nn.Linear(7, 3)
        ),
        COORDINATES, 2,
    ),
    "batch_norm": (
        lambda: written(
            lambda s, x: s.b(s.n(s.a(x)).relu()), a=nn.Linear(2, 7), n=nn.BatchNorm1d(7), b=nn.Linear(7, 3)
        ),
        COORDINATES, 2,
    ),
    "softmax_over_neurons": (
        lambda: written(lambda s, x: s.b(s.a(x).softmax(-1)), a=nn.Linear(2, 7), b=nn.Linear(7, 3)), COORDINATES, 2
    ),
    "softmax_attention": (
        lambda: written(
            lambda s, x: (s.q(x) @ s.k(x).T).softmax(-1) @ s.v(x),
            q=nn.Linear(2, 4), k=nn.Linear(2, 4), v=nn.Linear(2, 3),
        ),
        COORDINATES, 3,
    ),
    "fused_attention": (
        lambda: written(
            lambda s, x: s.b(F.scaled_dot_product_attention(*(s.a(x)[None, None],) * 3)[0, 0]),
            a=nn.Linear(2, 8), b=nn.Linear(8, 3),
        ),
        COORDINATES, 2,
    ),
    "gate": (
        lambda: written(
            lambda s, x: s.c(torch.sin(s.a(x)) * s.b(x).sigmoid()),
            a=nn.Linear(2, 7), b=nn.Linear(2, 7), c=nn.Linear(7, 3),
        ),
        COORDINATES, 3,
    ),
    "chunks": (
        lambda: written(
            lambda s, x: (lambda parts: s.b(parts[0] * parts[1].tanh()))(s.a(x).chunk(2, -1)),
            a=nn.Linear(2, 14), b=nn.Linear(7, 3),
        ),
        COORDINATES, 2,
    ),
    "pixels_change_places": (
        lambda: written(lambda s, x: s.b(s.a(x).relu()).flip(0), a=nn.Linear(2, 7), b=nn.Linear(7, 3)), COORDINATES, 2
    ),
    "stopped_gradient": (
        lambda: written(
            lambda s, x: s.b(s.a(x).detach().sin()) + s.c(x), a=nn.Linear(2, 7), b=nn.Linear(7, 3), c=nn.Linear(2, 3)
        ),
        COORDINATES, 3,
    ),
    "convolutions_with_a_skip_connection": (
        lambda: written(
            lambda s, x: (lambda h: s.c(F.gelu(h + s.b(F.gelu(h)))))(s.a(x)),
            a=nn.Conv2d(3, 2, 3, padding=1), b=nn.Conv2d(2, 2, 5, padding=2), c=nn.Conv2d(2, 3, 1),
        ),
        IMAGE, 3,
    ),
    "convolutions_with_group_norm": (
        lambda: written(
            lambda s, x: torch.sigmoid(s.b(s.n(F.pixel_shuffle(s.a(x), 2)))),
            a=nn.Conv2d(3, 16, 3, padding=1, bias=False), n=nn.GroupNorm(2, 4), b=nn.Conv2d(4, 3, 3, padding=1),
        ),
        IMAGE, 2,
    ),
    "convolutions_with_bilinear_upsampling": (
        lambda: written(
            lambda s, x: s.b(F.interpolate(s.a(x), scale_factor=2, mode="bilinear").relu()),
            a=nn.Conv2d(3, 4, 3, padding=1), b=nn.Conv2d(4, 3, 3, padding=1),
        ),
        IMAGE, 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOT_CHAINS)
def test_networks_that_are_no_chains(kind: str) -> None:
    network, inputs, layers = NOT_CHAINS[kind]
    check(network(), inputs, layers)


CHAINS_AFTER_ALL = {"pixels_change_places", "batch_norm", "convolutions_with_bilinear_upsampling"}
"""Steps that the other conventions know too."""


@pytest.mark.parametrize("convention", ["paper", "released"])
@pytest.mark.parametrize("kind", sorted(NOT_CHAINS.keys() - CHAINS_AFTER_ALL))
def test_other_conventions_refuse_them_and_name_this_one(kind: str, convention: Any) -> None:
    network, inputs, _ = NOT_CHAINS[kind]
    with pytest.raises(DissectionError, match="convention='effect'"):
        dissect(network(), inputs, size=SIZE if inputs.ndim == 2 else None, convention=convention)


def test_a_convolution_of_several_feature_planes() -> None:
    torch.manual_seed(0)
    network = written(
        lambda s, x: s.b(s.a(x).relu().prod(0, keepdim=True)), a=nn.Conv2d(2, 4, 3, padding=1), b=nn.Conv2d(4, 3, 1)
    )
    inputs = torch.rand(3, 2, 4, 5, generator=torch.Generator().manual_seed(6))
    check(network, inputs, layers=2)


def test_a_layer_that_is_used_twice_is_skipped_and_listed() -> None:
    network = written(
        lambda s, x: s.c(s.b(s.b(s.a(x)).sin()).sin()), a=nn.Linear(2, 7), b=nn.Linear(7, 7), c=nn.Linear(7, 3)
    )
    canvas = effect(network, COORDINATES)
    assert list(canvas) == ["a", "c"]
    assert canvas.skipped == {"b": "it is used more than once in one pass"}


def test_what_cannot_be_dissected_is_skipped_and_listed() -> None:
    network = written(
        lambda s, x: s.b(s.a(x[0])[None]), a=nn.Conv2d(3, 4, 3, padding=1), b=nn.Conv2d(4, 3, 3, padding=1)
    )
    canvas = effect(network, IMAGE)
    assert list(canvas) == ["b"]
    assert "no batch" in canvas.skipped["a"]


# What must hold


@pytest.mark.parametrize("kind", ["chain", "skip_connection", "pixels_change_places"])
def test_activations_that_work_in_place(kind: str) -> None:
    def network(act: Callable[[Tensor], Tensor]) -> nn.Module:
        def forward(s: Any, x: Tensor) -> Tensor:
            hidden = act(s.a(x))
            after = act(s.b(hidden))
            result: Tensor = s.c(after + hidden if kind == "skip_connection" else after)
            return result.flip(0) if kind == "pixels_change_places" else result

        return written(forward, a=nn.Linear(2, 7), b=nn.Linear(7, 7), c=nn.Linear(7, 3))

    plain, in_place = effect(network(torch.relu), COORDINATES), effect(network(torch.relu_), COORDINATES)
    assert list(plain) == list(in_place)
    for name, layer in plain.items():
        torch.testing.assert_close(in_place[name].maps(), layer.maps())


def test_convolutions_with_activations_that_work_in_place() -> None:
    def network(inplace: bool) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.PixelShuffle(2), nn.ReLU(inplace), nn.Conv2d(2, 3, 3, padding=1),
            nn.SiLU(inplace), nn.Conv2d(3, 3, 1), nn.Hardtanh(inplace=inplace),
        )  # fmt: skip

    plain, in_place = effect(network(False), IMAGE), effect(network(True), IMAGE)
    for name, layer in plain.items():
        assert layer.magnitudes().max() > 0
        torch.testing.assert_close(in_place[name].maps(), layer.maps())
        torch.testing.assert_close(in_place[name].maps(), in_place[name].maps(), rtol=0, atol=0)  # again


class Scaled(nn.Module):
    """Multiplies by a transposed parameter, and by a buffer that changes in training."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(7, 7, generator=torch.Generator().manual_seed(0)))
        self.register_buffer("scale", torch.rand(7, generator=torch.Generator().manual_seed(1)))

    def forward(self, values: Tensor) -> Tensor:
        return (values @ self.weight.T).sin() * self.scale


@pytest.mark.parametrize("kind", ["linear", "convolutions", "mixed_pixels", "batch_norm"])
def test_training_on_does_not_change_a_canvas(kind: str) -> None:
    if kind == "convolutions":
        network, inputs = kernel_network((3, 4, 2, 3), (2, 1, 1), (3, 3, 3), "gelu")[0], IMAGE
    else:
        middle = {"linear": nn.Tanh(), "mixed_pixels": Scaled(), "batch_norm": nn.BatchNorm1d(7)}[kind]
        network, inputs = (
            written(
                lambda s, x: (s.b(s.m(s.a(x))) if kind == "linear" else s.b(s.m(s.a(x))).flip(0)),
                a=nn.Linear(2, 7), m=middle, b=nn.Linear(7, 3),
            ),
            COORDINATES.clone(),
        )  # fmt: skip
    expected = {name: layer.maps() for name, layer in effect(network, inputs).items()}
    canvas = effect(network, inputs)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point():
                tensor.mul_(1.5).add_(0.1)
        inputs.add_(1)
    for name, maps in expected.items():
        assert torch.equal(canvas[name].maps(), maps)
        assert not torch.allclose(effect(network, inputs)[name].maps(), maps, rtol=0.01, atol=1e-4)


def test_maps_of_all_neurons_add_up_to_the_derivative_along_all_of_them() -> None:
    network = kernel_network((3, 4, 2, 3), (2, 3, 1), (3, 3, 3), "gelu")[0].double()
    for path, layer in effect(network, IMAGE.double()).items():
        module: Any = network.get_submodule(path)

        def output(amount: Tensor, module: Any = module) -> Tensor:
            hook = module.register_forward_hook(
                lambda m, args, result: result + amount * (result - m.bias.view(1, -1, 1, 1)).detach()
            )
            result: Tensor = network(IMAGE.double())[0]
            hook.remove()
            return result

        with torch.no_grad():
            expected = (output(torch.tensor(1e-6)) - output(torch.tensor(-1e-6))) / 2e-6
        maps = layer.maps(per_output=True).double().sum(0)
        torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().mean()))


def test_neurons_without_input_have_no_effect() -> None:
    inputs = COORDINATES.clone()
    inputs[:, 1] = 0
    network, _ = dense_network((2, 9, 3), "sin")
    statistics = effect(network, inputs)["layers.0"].statistics()
    assert statistics.zero_input.tolist() == [False, True]
    assert statistics.zero_map.tolist() == [False, True]


def test_a_dead_network_has_zero_maps() -> None:
    network = written(lambda s, x: s.b(-s.a(x).relu().square()).relu(), a=nn.Linear(2, 7), b=nn.Linear(7, 3))
    with torch.no_grad():
        network.b.weight.abs_()
        network.b.bias.fill_(-1)
    for layer in effect(network, COORDINATES).values():
        assert layer.completeness_error == 0
        assert layer.statistics().zero_map.all()


# The self-check


def test_maps_that_do_not_add_up_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for rule, network, inputs in (
        (LinearEffect, dense_network((2, 9, 3), "sin")[0], COORDINATES),
        (ConvolutionEffect, kernel_network((3, 4, 3), (2, 1), (3, 3), "gelu")[0], IMAGE),
        (AnyEffect, NOT_CHAINS["pixels_change_places"][0](), COORDINATES),
    ):
        original = rule.per_output
        assert all(layer.completeness_error < 1e-5 for layer in effect(network, inputs).values())

        def distorted(self: Any, neurons: Tensor, original: Any = original) -> Tensor:
            maps: Tensor = original(self, neurons)
            return torch.where((neurons == 1)[:, None, None, None], 1.1 * maps, maps)

        with monkeypatch.context() as patch:
            patch.setattr(rule, "per_output", distorted)
            with pytest.raises(DissectionError, match="add up to something else"):
                effect(network, inputs)


@pytest.mark.parametrize("kind", ["linear", "convolutions", "pixels_change_places"])
def test_a_recording_that_was_tampered_with_is_noticed(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    network, inputs = {
        "linear": lambda: (dense_network((2, 9, 3), "tanh")[0], COORDINATES),
        "convolutions": lambda: (kernel_network((3, 4, 3), (2, 1), (3, 3), "tanh")[0], IMAGE),
        "pixels_change_places": lambda: (
            written(lambda s, x: s.b(torch.tanh(s.a(x))).flip(0), a=nn.Linear(2, 7), b=nn.Linear(7, 3)), COORDINATES
        ),
    }[kind]()  # fmt: skip
    effect(network, inputs)
    record = xinc_pl.canvas.canvas.record

    def tampered(network: nn.Module, inputs: Tensor) -> Any:
        result, calls = record(network, inputs)
        assert any(call.function is torch.tanh for call in calls)
        return result, [replace(call, function=torch.sin) if call.function is torch.tanh else call for call in calls]

    monkeypatch.setattr(xinc_pl.canvas.canvas, "record", tampered)
    with pytest.raises(DissectionError, match="add up to something else"):
        effect(network, inputs)


def test_maps_that_cancel_are_no_error() -> None:
    # Layer norm does not change when all of the layer's output grows: the two maps add up to zero.
    network = NOT_CHAINS["layer_norm"][0]()
    layer = effect(network, COORDINATES)["a"]
    maps = layer.maps(per_output=True)
    assert maps.sum(0).abs().max() < 0.01 * maps.abs().max()
    assert layer.completeness_error < 1e-5


def test_an_input_that_was_overwritten_is_noticed() -> None:
    def forward(s: Any, x: Tensor) -> Any:
        hidden = s.a(x)
        return s.b(hidden) + s.c(hidden.relu_())  # what b received is gone

    network = written(forward, a=nn.Linear(2, 7), b=nn.Linear(7, 3), c=nn.Linear(7, 3))
    with pytest.raises(DissectionError, match=r"in b add up.*in\s+place"):
        effect(network, COORDINATES)


def test_a_constant_that_is_changed_in_place_is_noticed() -> None:
    network = written(lambda s, x: s.b(x.repeat(1, 3).mul_(s.a(x).sin())), a=nn.Linear(2, 6), b=nn.Linear(6, 3))
    canvas = effect(network, COORDINATES)
    assert list(canvas) == ["b"]
    assert "mul_" in canvas.skipped["a"]


def test_a_buffer_that_is_filled_in_place_is_noticed() -> None:
    def forward(s: Any, x: Tensor) -> Any:
        buffer = torch.zeros(20, 9)
        buffer[:, :7], buffer[:, 7:] = s.a(x), x
        return s.b(buffer)

    with pytest.raises(DissectionError, match="leads from a to the output"):
        effect(written(forward, a=nn.Linear(2, 7), b=nn.Linear(9, 3)), COORDINATES)


def test_a_scripted_branch_is_noticed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        hidden = torch.jit.trace(torch.sin, torch.zeros(20, 7))
    network = written(
        lambda s, x: (lambda h: s.c(h + hidden(s.b(h))))(s.a(x)),
        a=nn.Linear(2, 7), b=nn.Linear(7, 7), c=nn.Linear(7, 3),
    )  # fmt: skip
    with pytest.raises(DissectionError, match=r"leads from b to .*scripted"):
        effect(network, COORDINATES)


# Samples


def test_large_layers_that_are_slow_are_sampled() -> None:
    torch.manual_seed(0)
    network = NeRV((8, 16), strides=(2, 2, 1), width=17, levels=4)
    canvas = effect(network, TIME)
    assert canvas["block_1"].num_neurons == 17 * 14 * 4 > 512
    assert len(canvas["block_1"].sample) == 512
    assert torch.equal(canvas["block_1"].sample, effect(network, TIME)["block_1"].sample)
    assert len(canvas["block_2"].sample) == 14 * 12 * 4 > 512  # two convolutions follow: quick
    statistics = canvas["block_1"].statistics()
    assert torch.equal(statistics.neurons, canvas["block_1"].sample)
    expected = canvas["block_1"].magnitudes(statistics.neurons).double().sum(0)
    torch.testing.assert_close(statistics.total, expected, rtol=1e-5, atol=1e-9)
    assert len(dissect(network, TIME)["block_1"].sample) == 952  # the other conventions are quick
    assert len(effect(network, TIME, max_neurons=1000)["block_1"].sample) == 952
    assert len(effect(network, TIME, max_neurons=20)["block_1"].sample) == 20


def test_large_linear_layers_are_sampled_where_every_neuron_needs_a_pass() -> None:
    torch.manual_seed(0)
    layers = {"a": nn.Linear(2, 600), "b": nn.Linear(600, 3)}
    plain = effect(written(lambda s, x: s.b(s.a(x).relu()), **layers), COORDINATES)
    mixed = effect(written(lambda s, x: s.b(s.a(x).relu()).flip(0), **layers), COORDINATES)
    assert [len(plain["b"].sample), len(mixed["b"].sample)] == [600, 512]


@pytest.mark.parametrize("chunk_values", [1, 100])
def test_the_size_of_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch, chunk_values: int) -> None:
    cases = [
        (kernel_network((3, 4, 2, 3), (2, 3, 1), (3, 3, 3), "gelu")[0], IMAGE),
        (dense_network((2, 9, 3), "sin")[0], COORDINATES),
        (NOT_CHAINS["pixels_change_places"][0](), COORDINATES),
    ]
    whole = [{name: layer.maps() for name, layer in effect(*case).items()} for case in cases]
    monkeypatch.setattr("xinc_pl.canvas.rules.CHUNK_VALUES", chunk_values)
    for case, maps in zip(cases, whole, strict=True):
        for name, layer in effect(*case).items():
            atol = 1e-6 * float(maps[name].abs().mean())
            torch.testing.assert_close(layer.maps(), maps[name], rtol=1e-4, atol=atol)
            torch.testing.assert_close(
                layer.statistics().total, layer.magnitudes().double().sum(0), rtol=1e-5, atol=1e-9
            )
