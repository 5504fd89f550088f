"""Networks whose weights are taken away by hand, for tests of removal: an oracle that knows nothing of recordings."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from networks import Written
from torch import Tensor, nn

from xinc_pl.canvas import Canvas, dissect
from xinc_pl.models import NeRV

SIZE = (6, 8)
Make = Callable[[], tuple[nn.Module, Tensor]]


def perceptron() -> tuple[nn.Module, Tensor]:
    """Linear layers in a row."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(inplace=True), nn.Linear(7, 3)), (
        torch.rand(SIZE[0] * SIZE[1], 2)
    )


def nerv() -> tuple[nn.Module, Tensor]:
    """A chain of convolutions."""
    torch.manual_seed(0)
    return NeRV((16, 32), strides=(2, 2), width=7, levels=6).eval(), torch.tensor([0.3])


def transposed() -> tuple[nn.Module, Tensor]:
    """A convolution that is transposed before another."""
    torch.manual_seed(0)
    layers = (nn.ConvTranspose2d(4, 5, 4, stride=2, padding=1), nn.SiLU(), nn.Conv2d(5, 3, 3, padding=1))
    return nn.Sequential(*layers), torch.randn(1, 4, 3, 4)


def normalised() -> tuple[nn.Module, Tensor]:
    """A skip connection and a normalisation: no chain."""
    torch.manual_seed(0)

    def forward(self: Any, inputs: Tensor) -> Tensor:
        hidden = self.a(inputs).tanh()
        result: Tensor = self.c(self.norm(self.b(hidden) + hidden))
        return result

    parts = {"a": nn.Linear(2, 6), "b": nn.Linear(6, 6), "c": nn.Linear(6, 3), "norm": nn.LayerNorm(6)}
    return Written(forward, **parts), torch.rand(SIZE[0] * SIZE[1], 2)


NETWORKS = [perceptron, nerv, transposed, normalised]


def canvas_of(network: nn.Module, inputs: Tensor) -> Canvas:
    """Under the convention that can do without neurons."""
    size = (16, 32) if isinstance(network, NeRV) else SIZE
    return dissect(network, inputs, size=size, convention="effect")


def image(network: nn.Module, inputs: Tensor) -> Tensor:
    """What the network shows: (C, H, W)."""
    with torch.no_grad():
        output = network(inputs)
    return output[0] if output.ndim == 4 else output.T.reshape(-1, *SIZE)


def module_of(network: nn.Module, name: str) -> Any:
    """A layer's module."""
    path = {"block_1": "blocks.0.conv", "block_2": "blocks.1.conv"}.get(name, name)
    return network.get_submodule(path)


def zeroed(network: nn.Module, neurons: Mapping[str, Sequence[int]], amount: float = 1.0) -> nn.Module:
    """A copy of the network in which the weights of these neurons are zero; or have lost a part of themselves."""
    changed = copy.deepcopy(network)
    for name, some in neurons.items():
        layer = module_of(changed, name)
        for neuron in some:
            with torch.no_grad():
                kernel_of(layer, neuron).mul_(1 - amount)
    return changed


def averaged(
    network: nn.Module, inputs: Tensor, neurons: Mapping[str, Sequence[int]], amount: float = 1.0
) -> nn.Module:
    """The same, with what they have added on average in the intact network's biases instead."""
    added = {name: [mean_of(network, inputs, name, neuron) for neuron in some] for name, some in neurons.items()}
    changed = zeroed(network, neurons, amount)
    for name, means in added.items():
        with torch.no_grad():
            module_of(changed, name).bias.add_(amount * torch.stack(means).sum(0))
    return changed


def mean_of(network: nn.Module, inputs: Tensor, name: str, neuron: int) -> Tensor:
    """What a neuron adds to its layer's outputs on average over pixels: how the mean output changes without it."""

    def mean(of: nn.Module) -> Tensor:
        outputs: list[Tensor] = []
        layer = module_of(of, name)
        hook = layer.register_forward_hook(lambda module, args, result: outputs.append(result.detach().clone()))
        image(of, inputs)
        hook.remove()
        (output,) = outputs
        return output.mean(0) if isinstance(layer, nn.Linear) else output.mean((0, 2, 3))

    return mean(network) - mean(zeroed(network, {name: [neuron]}))


def kernel_of(layer: Any, neuron: int) -> Tensor:
    """A view of a neuron's weights."""
    if isinstance(layer, nn.Linear):
        return layer.weight[:, neuron]
    row, column = neuron // layer.out_channels, neuron % layer.out_channels
    kernel: Tensor = layer.weight[row, column] if isinstance(layer, nn.ConvTranspose2d) else layer.weight[column, row]
    return kernel
