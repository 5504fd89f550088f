"""Networks that were not written for this package, and unusual shapes of those that were."""

from typing import Literal

import pytest
import siren_pytorch
import torch
from networks import Written
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.canvas import DissectionError, dissect, stream_statistics
from xinc_pl.models import FFN, NeRV

Convention = Literal["paper", "released", "effect"]
CONVENTIONS: tuple[Convention, ...] = ("paper", "released", "effect")
SIZE = (6, 8)


def coordinates(size: tuple[int, int] = SIZE) -> Tensor:
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, size[0]), torch.linspace(-1, 1, size[1]), indexing="ij")
    return torch.stack([rows, columns], -1).reshape(-1, 2)


def siren(**options: object) -> nn.Module:
    torch.manual_seed(0)
    network: nn.Module = siren_pytorch.SirenNet(
        dim_in=2, dim_hidden=16, dim_out=3, num_layers=3, w0_initial=30.0, **options
    )
    return network.eval()


@pytest.mark.parametrize("final_activation", [None, nn.Sigmoid()], ids=["identity", "sigmoid"])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_siren_pytorch_unchanged(convention: Convention, final_activation: nn.Module | None) -> None:
    network = siren(final_activation=final_activation)
    canvas = dissect(network, coordinates(), size=SIZE, convention=convention)
    assert [layer.num_neurons for layer in canvas.values()] == [2, 16, 16, 16]
    assert len(set(canvas)) == 4
    assert all(layer.completeness_error < 1e-4 for layer in canvas.values())
    with torch.no_grad():
        torch.testing.assert_close(canvas.output, network(coordinates()))


def sine_layers(network: nn.Module) -> tuple[list[Tensor], list[Tensor], list[float], list[Tensor]]:
    """Weights, biases and frequencies of siren-pytorch's layers, and what each receives, in float64."""
    layers = [module for module in network.modules() if isinstance(module, siren_pytorch.Siren)]
    weights = [layer.weight.detach().double() for layer in layers]
    biases = [layer.bias.detach().double() for layer in layers]
    frequencies = [layer.activation.w0 if hasattr(layer.activation, "w0") else 0.0 for layer in layers]
    received = [coordinates().double()]
    for weight, bias, frequency in zip(weights, biases, frequencies, strict=True):
        values = received[-1] @ weight.T + bias
        received.append(torch.sin(frequency * values) if frequency else values)
    return weights, biases, frequencies, received


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_maps_of_siren_pytorch(convention: Convention) -> None:
    network = siren()
    weights, biases, frequencies, received = sine_layers(network)
    assert frequencies == [30.0, 1.0, 1.0, 0.0]
    canvas = dissect(network, coordinates(), size=SIZE, convention=convention)
    for index, layer in enumerate(canvas.values()):
        inputs, weight, bias, frequency = received[index], weights[index], biases[index], frequencies[index]
        if convention == "effect":
            jacobian = torch.eye(3).double().expand(len(inputs), 3, 3)
            for later in range(3, index - 1, -1):
                if frequencies[later]:
                    phase = frequencies[later] * (received[later] @ weights[later].T + biases[later])
                    jacobian = jacobian * (frequencies[later] * phase.cos())[:, None]
                jacobian = jacobian @ weights[later]
            expected = (jacobian.sum(1) * inputs).T
        else:
            # The frequency is part of the weights.
            expected = (frequency or 1) * (inputs * weight.sum(0)).T
            if convention == "released":
                expected = expected + (frequency or 1) * bias.sum() / len(expected)
                expected = torch.sin(expected) if frequency else expected
        expected = expected.reshape(-1, *SIZE)
        atol = 1e-4 * float(expected.abs().mean())
        torch.testing.assert_close(layer.maps().double(), expected, rtol=1e-3, atol=atol)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_an_image_network_of_five_layers(convention: Convention) -> None:
    torch.manual_seed(0)
    network = FFN(num_frequencies=5, widths=(9, 8, 7, 6))
    canvas = dissect(network, coordinates(), size=SIZE, convention=convention)
    assert list(canvas) == [f"layer_{number}" for number in range(1, 6)]
    assert [layer.num_neurons for layer in canvas.values()] == [10, 9, 8, 7, 6]
    for layer in canvas.values():
        statistics = layer.statistics({"columns": torch.arange(8).expand(SIZE)})
        assert statistics.total.shape == SIZE
        assert torch.isfinite(statistics.delta_variance("columns")[~statistics.zero_map]).all()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_video_network_of_unusual_strides_and_kernels(convention: Convention) -> None:
    torch.manual_seed(0)
    network = NeRV((20, 40), strides=(5, 2, 2, 1), kernel_sizes=(1, 5, 3, 3), width=7, levels=4)
    canvases = [
        dissect(network, torch.tensor([time], dtype=torch.float64), convention=convention, max_neurons=40)
        for time in (0.1, 0.6)
    ]
    in_place = ["block_1", "block_2", "block_3", "block_4", "head"]
    assert list(canvases[0]) == (["stem", *in_place] if convention == "effect" else in_place)
    assert list(canvases[0].skipped) == ([] if convention == "effect" else ["stem"])
    for name, layer in canvases[0].items():
        assert layer.size == (20, 40)
        statistics = list(stream_statistics(canvas[name] for canvas in canvases))
        assert statistics[1].change is not None
        assert statistics[1].change.max() > 0
        assert all(each.total.min() >= 0 and each.total.max() > 0 for each in statistics)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_functional_network(convention: Convention) -> None:
    generator = torch.Generator().manual_seed(0)
    parameters = nn.ParameterList(
        nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((7, 2), (7,), (5, 7), (3, 5), (3,))
    )

    def forward(self: Written, x: Tensor) -> Tensor:
        first, bias, second, last, last_bias = self.parameters_
        hidden = F.linear(x, first, bias)
        hidden = torch.exp(-0.5 * hidden**2)  # a Gaussian, as nobody's module
        return F.linear(F.linear(hidden, second).clamp(-1, 1), last, last_bias)

    canvas = dissect(Written(forward, parameters_=parameters), coordinates(), size=SIZE, convention=convention)
    assert list(canvas) == ["layer_1", "layer_2", "layer_3"]
    first, bias, second, last, _ = (parameter.detach() for parameter in parameters)
    x = coordinates()
    hidden = torch.exp(-0.5 * (x @ first.T + bias) ** 2)
    if convention == "effect":
        alive = ((hidden @ second.T).abs() < 1).float()
        expected = hidden * ((alive * last.sum(0)) @ second)
    else:
        expected = hidden * second.sum(0)
        expected = expected.clamp(-1, 1) if convention == "released" else expected  # a hidden layer without a bias
    torch.testing.assert_close(canvas["layer_2"].maps(), expected.T.reshape(7, *SIZE), rtol=1e-4, atol=1e-6)


class DeepSDF(nn.Module):
    """The coordinates join again in the middle, with a latent code, behind weight normalisation and layer norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.code = nn.Parameter(torch.randn(4))
        self.first = nn.utils.parametrizations.weight_norm(nn.Linear(6, 12))
        self.second = nn.utils.parametrizations.weight_norm(nn.Linear(12, 6))
        self.norm = nn.LayerNorm(6)
        self.third = nn.Linear(12, 8)
        self.last = nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        inputs = torch.cat([self.code.expand(len(x), -1), x], 1)
        hidden = F.relu(self.norm(self.second(F.relu(self.first(inputs)))))
        hidden = F.relu(self.third(torch.cat([hidden, inputs], 1)))
        return torch.tanh(self.last(hidden))


def test_a_network_whose_inputs_join_again() -> None:
    network = DeepSDF().eval()
    for convention in ("paper", "released"):
        with pytest.raises(DissectionError, match="convention='effect'"):
            dissect(network, coordinates(), size=SIZE, convention=convention)
    canvas = dissect(network, coordinates(), size=SIZE, convention="effect")
    assert list(canvas) == ["first", "second", "third", "last"]
    # The joining inputs are neurons of the third layer: what it does to a coordinate is what its own term does.
    third = canvas["third"].maps()
    x = coordinates().requires_grad_()
    inputs = torch.cat([network.code.expand(len(x), -1), x.detach()], 1)
    hidden = F.relu(network.norm(network.second(F.relu(network.first(inputs)))))
    joined = torch.cat([hidden, inputs], 1).detach().requires_grad_()
    torch.tanh(network.last(F.relu(network.third(joined)))).sum().backward()
    assert joined.grad is not None
    expected = (joined.grad * joined.detach()).T.reshape(12, *SIZE)
    torch.testing.assert_close(third, expected, rtol=1e-4, atol=1e-6)
