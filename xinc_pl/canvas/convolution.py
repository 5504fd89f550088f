"""Contributions in a convolution: its neurons are its kernels, one per input and output channel."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.chain import Layer
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.operators import AxisOperator, axis_operator
from xinc_pl.canvas.rules import CHUNK_VALUES, ContributionRule, Convention, MapGroup, contribution_rule
from xinc_pl.canvas.steps import StepKind


@contribution_rule(F.conv2d)
class ConvolutionRule(ContributionRule):
    """Z_io = x_i * w_io + b_o / C_in, carried to the image (Eq. 3 to 5).

    A kernel of output channel o = c r**2 + p feeds the pixels of phase p after a pixel shuffle by r: Z_io stands
    there and zero at the others. Then the activation; then for each later layer its box mean, its nearest
    upsampling and its activation, without the activation of the last layer.
    """

    takes_threads = True

    def __init__(self, layer: Layer, later: Sequence[Layer], size: tuple[int, int], convention: Convention) -> None:
        super().__init__(layer, later, size, convention)
        for each in (layer, *later):
            check_supported(each)
        height, width = layer.output.shape[-2:]
        if layer.input.ndim != 4 or len(layer.input) != 1:
            raise DissectionError(
                f"the layer {layer.name} received a tensor of shape {tuple(layer.input.shape)}; convolutions are "
                "dissected one frame at a time, with a batch of one"
            )
        scale = layer.upscale * _product(each.upscale for each in later)
        if (height * scale, width * scale) != tuple(size):
            raise DissectionError(
                f"the output of {layer.name} reaches {height * scale}x{width * scale} pixels, but the size is "
                f"{size[0]}x{size[1]}"
            )
        self.neuron_shape = (layer.weight.shape[1], layer.weight.shape[0])
        self.grid = (height, width)
        # The last layer's activation is not part of any map (SPEC: h(z) - h(0) would be, and only if asked for).
        self.activations = [each.activation for each in (layer, *later)][:-1]
        self.zeros = [activation.at_zero(layer.weight) for activation in self.activations]
        # Whether the places that a kernel does not feed hold something else than zero: the activation of zero.
        self._zero_is_live = layer.upscale > 1 and bool(self.activations) and self.zeros[0] != 0

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group per phase of the pixel shuffle."""
        stride = self.layer.upscale
        phases = neurons % self.neuron_shape[1] % stride**2
        for phase in range(stride**2):
            rows, columns = self._operators[0][phase // stride], self._operators[1][phase % stride]
            pairs = list(zip(rows.matrices, columns.matrices, strict=True))
            sizes = [len(row) * len(column) for row, column in pairs]
            stages = [self.backend.separable(row, column) for row, column in pairs]

            def maps(part: Tensor, stages: Sequence[Callable[[Tensor], Tensor]] = stages) -> Tensor:
                return self._carry(self.kernel_outputs(part), stages).float()

            yield MapGroup(
                neurons[phases == phase],
                maps,
                max(*sizes, self.grid[0] * self.grid[1]),
                rows.classes,
                columns.classes,
            )

    def per_output(self, neurons: Tensor) -> Tensor:
        """Z_io on its own output channel, zero on the others: (n, outputs, H, W)."""
        if self.later or self.layer.upscale > 1:
            raise DissectionError(
                f"the outputs of {self.layer.name} are not the image's channels; contributions per output are "
                "defined for the last layer"
            )
        maps = self.layer.weight.new_zeros(len(neurons), self.neuron_shape[1], *self.size)
        maps[torch.arange(len(neurons)), neurons % self.neuron_shape[1]] = self.kernel_outputs(neurons)
        return maps

    def output_sum(self) -> Tensor:
        """sum_i Z_io for every o, kernel by kernel."""
        outputs = self.neuron_shape[1]
        total = self.layer.weight.new_zeros(outputs, *self.grid, dtype=torch.float64)
        num_kernels = max(CHUNK_VALUES // (self.grid[0] * self.grid[1]), 1)
        for part in self.all_neurons().split(num_kernels):
            total.index_add_(0, part % outputs, self.kernel_outputs(part).double())
        return total[None].to(self.layer.weight.dtype)

    def zero_inputs(self) -> Tensor:
        """Whether x_i is zero everywhere."""
        return (self.layer.input[0] == 0).flatten(1).all(1).repeat_interleave(self.neuron_shape[1])

    def kernel_outputs(self, neurons: Tensor, with_bias: bool = True) -> Tensor:
        """Z of kernels ``neurons``: (n, h, w)."""
        channel, output = neurons // self.neuron_shape[1], neurons % self.neuron_shape[1]
        weight = self.layer.weight
        bias = None if self.layer.bias is None or not with_bias else self.layer.bias[output] / self.neuron_shape[0]
        return F.conv2d(
            self.layer.input[:, channel],
            weight[output, channel][:, None],
            bias,
            padding=weight.shape[-1] // 2,
            groups=len(neurons),
        )[0]

    def _carry(self, values: Tensor, stages: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        """Kernel outputs (n, h, w) to the classes of the image's values (n, R, C)."""
        if self.activations:
            values = self.activations[0](values)
            if self._zero_is_live:
                values = F.pad(values, (0, 1, 0, 1), value=self.zeros[0])
        for index, stage in enumerate(stages):
            if index:
                values = self.activations[index](values)
            values = stage(values)
        return values

    @cached_property
    def _operators(self) -> tuple[list[AxisOperator], list[AxisOperator]]:
        """Operators of the rows and of the columns, one for each position in a pixel-shuffle cell."""
        boxes = [layer.weight.shape[-1] for layer in self.later]
        strides = [layer.upscale for layer in self.later]
        rows, columns = (
            [
                axis_operator(length, self.layer.upscale, position, boxes, strides, self._zero_is_live).like(
                    self.layer.weight
                )
                for position in range(self.layer.upscale)
            ]
            for length in self.grid
        )
        return rows, columns


def check_supported(layer: Layer) -> None:
    """Refuse what the formulas do not cover."""
    if layer.function is not F.conv2d:
        raise DissectionError(
            f"the layer {layer.name} is a {layer.function.__name__}; there is no contribution rule for convolutions "
            "that come before one"
        )
    if sum(step.kind is StepKind.PIXEL_SHUFFLE for step in layer.steps) > 1:
        raise DissectionError(f"two pixel shuffles follow the layer {layer.name}; contribution maps cover one")
    kernel = layer.weight.shape[-2:]
    padding = layer.options.get("padding", 0)
    same = padding == "same" or ((0, 0) if padding == "valid" else _pair(padding)) == (kernel[0] // 2, kernel[1] // 2)
    plain = all(_pair(layer.options.get(option, 1)) == (1, 1) for option in ("stride", "dilation", "groups"))
    if not (plain and same and kernel[0] == kernel[1] and kernel[0] % 2):
        raise DissectionError(
            f"the convolution {layer.name} has kernel size {tuple(kernel)} and {dict(layer.options)}; contribution "
            "maps cover square odd kernels with stride, dilation and groups of 1 and padding that keeps the size"
        )


def _pair(value: int | Sequence[int] | str) -> tuple[int, ...] | str:
    if isinstance(value, str):
        return value
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * 2 if len(values) == 1 else values


def _product(values: Iterator[int]) -> int:
    result = 1
    for value in values:
        result *= value
    return result
