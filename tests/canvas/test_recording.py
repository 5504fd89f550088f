"""What is recorded: any activation however it is written, and the names of layers."""

from collections.abc import Callable

import pytest
import torch
from networks import Written, three_linear
from oracle import Dense, assert_maps_close, dense_maps, identity
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.canvas import dissect
from xinc_pl.models import FFN, NeRV

SIZE = (4, 5)
COORDINATES = torch.rand(20, 2, generator=torch.Generator().manual_seed(3))


class Sine(torch.autograd.Function):
    @staticmethod
    def forward(_: object, values: Tensor) -> Tensor:
        return torch.sin(values)


class Snake(nn.Module):
    """An activation with a learned number."""

    def __init__(self) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.tensor([1.5]))

    def forward(self, values: Tensor) -> Tensor:
        return (self.frequency * values).sin().square() / 2


WRITTEN: dict[str, Callable[[Tensor], Tensor]] = {
    "module": nn.Tanh(),
    "function": F.gelu,
    "torch_function": torch.sigmoid,
    "method": lambda values: values.sin(),
    "method_in_place": lambda values: values.relu_(),
    "function_in_place": lambda values: F.relu(values, inplace=True),
    "module_in_place": nn.LeakyReLU(0.1, inplace=True),
    "composed": lambda values: torch.tanh(values) * 0.5 + 0.5,
    "scaled_sine": lambda values: torch.sin(10 * values),
    "gauss": lambda values: torch.exp(-values.square() / 0.5),
    "operators_in_place": lambda values: values.tanh_().mul_(2.0).add_(1.0),
    "clamp": lambda values: values.clamp(min=-0.1, max=0.2),
    "product_with_itself": lambda values: values * values,
    "autograd_function": Sine.apply,
    "learned_number": Snake(),
    "learned_slope": nn.PReLU(),
    "dropout": nn.Sequential(nn.ELU(), nn.Dropout(0.5)),
    "swish_by_hand": lambda values: values * torch.sigmoid(values),
    "swish_in_place": lambda values: values.mul_(2).mul_(torch.sigmoid(values)),
    "product_of_branches": lambda values: torch.sin(values) * torch.cos(2 * values),
    "leaky_by_hand": lambda values: torch.where(values > 0, values, 0.1 * values),
    "finer": lambda values: torch.sin(3 * (values.abs() + 1) * values),
    "gelu_by_hand": lambda values: 0.5 * values * (1 + torch.erf(values / 2**0.5)),
    "none": lambda values: values,
    "double_and_back": lambda values: values.double().cos().to(values.dtype),
    # These round the values at the end of a tensor otherwise than the others.
    "silu": F.silu,
    "softplus": F.softplus,
    "mish": nn.Mish(),
    "gelu_tanh": nn.GELU("tanh"),
    "celu": F.celu,
}


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_activation(written: str, dtype: torch.dtype) -> None:
    activation = WRITTEN[written]
    network = three_linear(activation).to(dtype).eval()
    if isinstance(activation, nn.Module):
        network.activation = activation.to(dtype)
        activation.eval()

    def exact(values: Tensor) -> Tensor:
        with torch.no_grad():
            return activation(values.clone().to(dtype)).double()

    canvas = dissect(network, COORDINATES.to(dtype), size=SIZE, convention="released")
    description = [
        Dense(layer.weight.detach(), layer.bias.detach(), function)
        for layer, function in ((network.a, exact), (network.b, exact), (network.c, identity))
    ]
    for index, layer in enumerate(canvas.values()):
        assert layer.completeness_error < 1e-4
        assert_maps_close(layer.maps(), dense_maps(description, index, COORDINATES, SIZE, "released", per_output=False))


@pytest.mark.parametrize("shape", [(20, 2), (1, 20, 2), (4, 5, 2)])
@pytest.mark.parametrize("activation", [F.silu, F.gelu, F.elu, F.mish, F.softplus, torch.sigmoid])
def test_activations_of_any_width(activation: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> None:
    for width in (1, 2, 3, 4, 5, 8, 13):
        network = Written(
            lambda self, values: self.b(activation(self.a(values))), a=nn.Linear(2, width), b=nn.Linear(width, 3)
        )
        assert list(dissect(network, COORDINATES.view(shape), size=SIZE)) == ["a", "b"]


def test_the_papers_networks_have_the_papers_names() -> None:
    ffn = FFN(num_frequencies=3, widths=(5, 4))
    assert list(dissect(ffn, COORDINATES, size=SIZE)) == ["layer_1", "layer_2", "layer_3"]
    nerv = NeRV((8, 16), strides=(2, 2), width=7, levels=4)
    canvas = dissect(nerv, torch.tensor([0.3], dtype=torch.float64))
    assert list(canvas) == ["block_1", "block_2", "head"]
    assert list(canvas.skipped) == ["stem"]
    assert "rearranged into space" in canvas.skipped["stem"]


def test_layers_are_named_for_their_modules() -> None:
    network = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 5), nn.ReLU()), nn.Linear(5, 3))
    assert list(dissect(network, COORDINATES, size=SIZE)) == ["0", "2.0", "3"]
    network.layer_names = {"0": "first", "2.0": "second"}
    assert list(dissect(network, COORDINATES, size=SIZE)) == ["first", "second", "3"]
    assert list(dissect(nn.Linear(2, 3), COORDINATES, size=SIZE)) == ["layer_1"]


def test_layers_without_modules_are_numbered() -> None:
    weights = nn.ParameterList([torch.randn(4, 2), torch.randn(5, 4), torch.randn(3, 5)])

    def forward(self: Written, values: Tensor) -> Tensor:
        values = F.linear(values, self.weights[0]).relu()
        return F.linear(F.linear(input=values, weight=self.weights[1]).relu(), bias=None, weight=self.weights[2])

    network = Written(forward, weights=weights)
    canvas = dissect(network, COORDINATES, size=SIZE)
    assert list(canvas) == ["layer_1", "layer_2", "layer_3"]
    torch.testing.assert_close(canvas["layer_1"].maps(), (COORDINATES * weights[0].sum(0)).T.reshape(2, *SIZE).detach())
    inner = nn.Sequential(network, nn.Sigmoid(), nn.Linear(3, 1))
    assert list(dissect(inner, COORDINATES, size=SIZE)) == ["0.layer_1", "0.layer_2", "0.layer_3", "2"]


def test_reparametrised_weights_are_recorded_as_used() -> None:
    plain = three_linear(torch.relu)
    expected = dissect(plain, COORDINATES, size=SIZE)
    nn.utils.parametrizations.weight_norm(plain.b)
    canvas = dissect(plain, COORDINATES, size=SIZE)
    torch.testing.assert_close(canvas["b"].maps(), expected["b"].maps())


def test_a_canvas_is_a_mapping() -> None:
    canvas = dissect(three_linear(torch.relu), COORDINATES, size=SIZE)
    assert len(canvas) == 3
    assert [layer.num_neurons for layer in canvas.values()] == [2, 7, 6]
    assert canvas.output.shape == (20, 3)
    assert not canvas.output.requires_grad
    with pytest.raises(KeyError, match=r"'d'.* a, b, c"):
        canvas["d"]
