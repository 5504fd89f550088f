"""The effect where other conventions refuse, and what must hold for it everywhere."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from effect_oracle import COORDINATES, IMAGE, SIZE, check, effect, written
from networks import dense_network, kernel_network
from not_chains import NOT_CHAINS
from torch import Tensor, nn

from xinc_pl.canvas import DissectionError, dissect

pytestmark = pytest.mark.usefixtures("no_warnings")


# What the other conventions refuse


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


def test_of_a_layer_that_is_used_twice_the_terms_add_up() -> None:
    network = written(
        lambda s, x: s.c(s.b(s.b(s.a(x)).sin()).sin()), a=nn.Linear(2, 7), b=nn.Linear(7, 7), c=nn.Linear(7, 3)
    )
    canvas = check(network, COORDINATES, layers=3)
    assert canvas["b"].num_neurons == 7
    assert not canvas.skipped


def test_a_convolution_without_a_batch() -> None:
    parts = {"a": nn.Conv2d(3, 4, 3, padding=1), "b": nn.Conv2d(4, 3, 3, padding=1)}
    plain = check(written(lambda s, x: s.b(s.a(x)), **parts), IMAGE, layers=2)
    canvas = effect(written(lambda s, x: s.b(s.a(x[0])[None]), **parts), IMAGE)
    for name, layer in plain.items():
        torch.testing.assert_close(canvas[name].maps(), layer.maps())


def test_what_has_no_derivative_is_skipped_and_listed() -> None:
    network = written(lambda s, x: s.b(s.a(x)) * (s.c(x) > 0), a=nn.Linear(2, 7), b=nn.Linear(7, 3), c=nn.Linear(2, 1))
    canvas = effect(network, COORDINATES)
    assert list(canvas) == ["a", "b"]
    assert "no derivative" in canvas.skipped["c"]


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
        assert layer.completeness_error < 1e-6
        assert layer.statistics().zero_map.all()


def test_every_number_that_comes_back_is_followed_to_its_layers() -> None:
    def forward(s: Any, x: Tensor) -> Tensor:
        gate = s.gate(x)
        hidden = torch.sin(s.a(x)) / float(gate.abs().max())
        result: Tensor = s.b(hidden / float(hidden.abs().max())) + gate
        return result

    canvas = effect(written(forward, gate=nn.Linear(2, 3), a=nn.Linear(2, 7), b=nn.Linear(7, 3)), COORDINATES)
    assert list(canvas) == ["b"]
    assert set(canvas.skipped) == {"gate", "a"}
