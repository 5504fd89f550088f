"""What a case is; and its oracles: the real network in float64, a neuron's weights scaled, and a layer's formula."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

HEIGHT, WIDTH = SIZE = (4, 3)
PIXELS = HEIGHT * WIDTH
ROWS, COLUMNS = torch.meshgrid(torch.linspace(-0.9, 1, HEIGHT), torch.linspace(-1, 0.8, WIDTH), indexing="ij")
COORDINATES = torch.stack([ROWS, COLUMNS], -1).view(PIXELS, 2)
COLUMNS_FIRST = COORDINATES.view(HEIGHT, WIDTH, 2).transpose(0, 1).reshape(PIXELS, 2)
FEATURES = torch.randn(1, 4, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(4))
PLACES = COORDINATES.view(1, HEIGHT, WIDTH, 2).flip(-1)

Inputs = tuple[Any, ...]
Forward = Callable[..., Any]
Show = Callable[[Any], Tensor]
Formula = Callable[[nn.Module, Inputs], Tensor]


@dataclass(frozen=True)
class Along:
    """A neuron's weights are one index of an axis of each of some parameters. Scaling them scales the neuron's term."""

    axes: Mapping[str, int]

    def count(self, network: nn.Module) -> int:
        path, axis = next(iter(self.axes.items()))
        return network.get_parameter(path).shape[axis]

    def scale(self, network: nn.Module, neuron: int, factor: float) -> None:
        for path, axis in self.axes.items():
            network.get_parameter(path).select(axis, neuron).mul_(factor)


@dataclass(frozen=True)
class Kernel:
    """A neuron is a kernel: (input, output) of a weight (output, input, ...), or (input, output, ...) if transposed."""

    path: str
    transposed: bool = False

    def count(self, network: nn.Module) -> int:
        return network.get_parameter(self.path).shape[:2].numel()

    def scale(self, network: nn.Module, neuron: int, factor: float) -> None:
        weight = network.get_parameter(self.path)
        inputs_first = weight if self.transposed else weight.transpose(0, 1)
        inputs_first[neuron // inputs_first.shape[1], neuron % inputs_first.shape[1]].mul_(factor)


@dataclass(frozen=True)
class Columns:
    """A neuron is a column of some rows of a weight that holds several, such as those of queries, keys and values."""

    path: str
    start: int
    stop: int

    def count(self, network: nn.Module) -> int:
        return network.get_parameter(self.path).shape[1]

    def scale(self, network: nn.Module, neuron: int, factor: float) -> None:
        network.get_parameter(self.path)[self.start : self.stop, neuron].mul_(factor)


@dataclass(frozen=True)
class Every:
    """A neuron's weights are every so manieth row of a parameter: the rows of one that computes a weight."""

    paths: Sequence[str]
    number: int

    def count(self, network: nn.Module) -> int:
        del network
        return self.number

    def scale(self, network: nn.Module, neuron: int, factor: float) -> None:
        for path in self.paths:
            network.get_parameter(path)[neuron :: self.number].mul_(factor)


@dataclass(frozen=True)
class Inside:
    """A neuron is a column of the weight that a module computes, and applies to what it receives."""

    path: str

    def count(self, network: nn.Module) -> int:
        weight: Any = network.get_submodule(self.path).weight
        return int(weight.shape[1])

    def scale(self, network: nn.Module, neuron: int, factor: float) -> None:
        module: Any = network.get_submodule(self.path)
        module.register_forward_hook(
            lambda m, args, result: result + (factor - 1) * args[0][..., neuron, None] * m.weight[:, neuron]
        )


Scaled = Along | Kernel | Columns | Every | Inside


def columns(*paths: str) -> Along:
    """Of a weight (outputs, inputs), the inputs."""
    return Along(dict.fromkeys(paths, 1))


def rows(*paths: str) -> Along:
    """Of a weight (inputs, outputs), the inputs."""
    return Along(dict.fromkeys(paths, 0))


def by_pixel(result: Any) -> Tensor:
    """An output (P, C) as an image."""
    return torch.as_tensor(result).T.reshape(-1, *SIZE)


def as_it_is(result: Any) -> Tensor:
    """An output (1, C, H, W) as an image."""
    return torch.as_tensor(result)[0]


@dataclass(frozen=True)
class Case:
    """A network, what it is called with, and what is known of it.

    Attributes:
        forward: Its forward pass, of itself and the inputs.
        parts: Makes its modules and parameters.
        layers: Which weights belong to a layer's neurons, by the layer's name. No other layers are to be found.
        paper: The formula of each layer's maps (N, H, W), input side first; or words of the refusal.
        inputs: Positional arguments.
        show: What makes an image (C, H, W) of the result.
        skipped: Words of the reason for each layer that is left out of ``effect``.
        options: For ``dissect``.
    """

    forward: Forward
    parts: Callable[[], dict[str, nn.Module | nn.Parameter]]
    layers: Mapping[str, Scaled]
    paper: Mapping[str, Formula] | str
    inputs: Inputs = (COORDINATES,)
    show: Show = by_pixel
    skipped: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def network(self) -> nn.Module:
        """In evaluation mode, with weights that do not depend on other tests."""
        torch.manual_seed(0)
        return CaseNetwork(self.forward, self.parts()).eval()


class CaseNetwork(nn.Module):
    """A network whose forward pass is a function of it and its inputs."""

    def __init__(self, forward: Forward, parts: dict[str, nn.Module | nn.Parameter]) -> None:
        super().__init__()
        self._function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(self, *args, **kwargs)


def doubled(inputs: Any) -> Any:
    """Inputs in double precision."""
    if isinstance(inputs, Tensor):
        return inputs.double() if inputs.is_floating_point() else inputs
    if isinstance(inputs, dict):
        return {key: doubled(each) for key, each in inputs.items()}
    return type(inputs)(map(doubled, inputs)) if isinstance(inputs, list | tuple) else inputs


def finite_difference(case: Case, network: nn.Module, scaled: Scaled, neuron: int, step: float = 1e-5) -> Tensor:
    """How the image of the real network, in float64, moves with a neuron's weights: (C, H, W).

    The term is linear in them, so that this is the derivative along it, whatever the rest of the network does.
    """
    images = []
    for factor in (1 + step, 1 - step):
        changed = in_double_precision(network)
        with torch.no_grad():
            scaled.scale(changed, neuron, factor)
            images.append(case.show(changed(*doubled(case.inputs))))
    return (images[0] - images[1]) / (2 * step)


def in_double_precision(network: nn.Module) -> nn.Module:
    """A copy."""
    return copy.deepcopy(network)._apply(lambda each: each.to(WIDER.get(each.dtype, each.dtype)))


WIDER = {torch.float32: torch.float64, torch.complex64: torch.complex128}


def at_pixels(inputs: Tensor, weights: Tensor) -> Tensor:
    """o_i(p) sum_j w_ij of inputs (P, N) and weights (N, outputs), pixel by pixel: (N, H, W)."""
    maps = torch.empty(inputs.shape[1], PIXELS, dtype=torch.float64)
    for neuron in range(inputs.shape[1]):
        for pixel in range(PIXELS):
            maps[neuron, pixel] = inputs[pixel, neuron] * sum(weights[neuron].tolist())
    return maps.view(-1, *SIZE)


def at_blocks(inputs: Tensor, weights: Tensor) -> Tensor:
    """The same of blocks of pixels (B, P / B, N), each with weights of its own (B, N, outputs)."""
    blocks = [inputs[block] * weights[block].sum(1) for block in range(len(inputs))]
    return torch.cat(blocks).T.reshape(-1, *SIZE)


def assert_close(maps: Tensor, expected: Tensor) -> None:
    """Of single precision, against an oracle in double precision."""
    scale = float(expected.detach().abs().mean())
    assert torch.isfinite(expected).all()
    torch.testing.assert_close(maps.double(), expected.detach(), rtol=1e-3, atol=1e-4 * scale + 1e-7)
