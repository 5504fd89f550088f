"""What tests of the effect share: the network itself, with a hook on one layer, as the oracle."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from networks import Written
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.canvas import Canvas, dissect

SIZE = (4, 5)
COORDINATES = torch.rand(20, 2, generator=torch.Generator().manual_seed(3)) + 0.1
IMAGE = torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(4))
TIME = torch.tensor([0.3], dtype=torch.float64)
Network = Callable[[], nn.Module]


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
