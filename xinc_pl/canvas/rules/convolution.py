"""Contributions in a convolution: its neurons are its kernels, one per input and output channel."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.backends import Backend
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.activation import Activation
from xinc_pl.canvas.layers.convolution import kernel_outputs
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.patches import patches_of, products
from xinc_pl.canvas.layers.placement import Placement
from xinc_pl.canvas.layers.steps import SPATIAL, Step, StepKind
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.rules.operators import (
    AxisOperator,
    AxisStep,
    axis_operator,
    box_mean,
    interpolated,
    repeated,
    stuffed,
    transposed_mean,
)
from xinc_pl.canvas.rules.plain import plain_map
from xinc_pl.canvas.rules.rule import ContributionRule, Convention, Plain

_MOST_PLAIN = 1 << 22
"""Values up to which the self-check looks at each output apart."""
_MOST_CHECKED = 1 << 12
"""Values of maps up to which more neurons than usual are checked."""


Span = tuple[int, int]
"""The first row or column, and the one after the last."""


class ConvolutionRule(ContributionRule):
    """Z_io = x_i * w_io + b_o / C_in, carried to the image (Eq. 3 to 5).

    A kernel of output channel o = c r**2 + p feeds the pixels of phase p after a pixel shuffle by r: Z_io stands
    there and zero at the others. Then the activation; then for each later layer its box mean, its nearest
    upsampling and its activation, without the activation of the last layer.

    Beyond the paper:
        Interpolations are applied as they are, in their recorded order with the activations.
        A transposed convolution's kernel x_i (*)^T w_io feeds every pixel of the finer grid, without phases. As a
        later layer its box mean is the mean of the pixels that its taps bring to a pixel, those outside the image
        being zero: nearest upsampling where the kernel is as large as the stride.
        An activation with parameters per channel is that of the kernel's own channel; a later layer's is the mean
        over its channels, since maps do not tell them apart.
    """

    takes_threads = True
    window: Window | None = None
    """The part of the image that maps are wanted of; None for the whole."""

    def __init__(self, layer: Layer, later: Sequence[Layer], placement: Placement, convention: Convention) -> None:
        super().__init__(layer, later, placement, convention)
        for each in (layer, *later):
            check_supported(each)
        if layer.input.ndim != 4 or len(layer.input) != 1:
            raise DissectionError(
                f"the layer {layer.name} received a tensor of shape {tuple(layer.input.shape)}; convolutions are "
                "dissected one frame at a time, with a batch of one"
            )
        self.reached = _image_size_after(self.layers[-1])
        height, width = self.size
        if placement.pixels is None and self.reached != self.size:
            raise DissectionError(
                f"the output of {layer.name} reaches {self.reached[0]}x{self.reached[1]} pixels, but the size is "
                f"{height}x{width}"
            )
        self.grid = (layer.output.shape[-2], layer.output.shape[-1])
        stages = layer.stages
        # A pixel shuffle that comes first only spreads the results of the activation after it.
        self.shuffles_first = bool(stages) and isinstance(stages[0], Step) and stages[0].kind is StepKind.PIXEL_SHUFFLE
        self.path = _path(self.layers)[self.shuffles_first :]
        self.activations = [stage for stage in self.path if isinstance(stage, Activation)]
        self.num_own = sum(isinstance(stage, Activation) for stage in stages) if later else 0
        if not (self.path and isinstance(self.path[0], Activation)):
            self.activations.insert(0, Activation())
            self.num_own += 1
        self.zeros = [activation.at_zero(layer.weight) for activation in self.activations]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layer and those after it."""
        return (self.layer, *self.later)

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group per phase of the pixel shuffle, and per channel where the activation tells channels apart."""
        num_channels = max(activation.num_channels for activation in self.activations[: self.num_own])
        outputs = neurons % self.neuron_shape[1]
        channels = outputs * num_channels // self.neuron_shape[1]
        phases = outputs % self.layer.upscale**2
        for channel in range(num_channels):
            rule = self if num_channels == 1 else self._of_channel(channel, num_channels)
            for phase in range(self.layer.upscale**2):
                yield rule._group(neurons[(phases == phase) & (channels == channel)], phase)

    def per_output(self, neurons: Tensor) -> Tensor:
        """Z_io on its own output channel, zero on the others: (n, outputs, H, W)."""
        if self.later or self.layer.upscale > 1:
            raise DissectionError(
                f"the outputs of {self.layer.name} are not the image's channels; contributions per output are "
                "defined for the last layer"
            )
        maps = self.layer.weight.new_zeros(len(neurons), self.neuron_shape[1], *self.size)
        group = self._group(neurons, 0)
        maps[torch.arange(len(neurons)), neurons % self.neuron_shape[1]] = group.spread(group.signed(neurons)).to(maps)
        return maps

    def plain(self, neurons: Tensor) -> Plain:
        """Repeat, re-arrange, mask, and box means: as the text has it, kernel by kernel."""
        maps = [plain_map(self.layer, self.later, neuron).flatten() for neuron in neurons.tolist()]
        placed = self.placement.placed(torch.stack(maps))
        num_outputs = self.neuron_shape[1]
        if self.later or self.layer.upscale > 1 or placed.numel() * num_outputs > _MOST_PLAIN:
            return Plain(placed, placed.abs())
        per_output = placed.new_zeros(len(neurons), num_outputs, *self.size)
        per_output[torch.arange(len(neurons)), neurons % num_outputs] = placed
        return Plain(placed, placed.abs(), per_output)

    @property
    def num_checked(self) -> int:
        """More where maps are small."""
        return max(min(_MOST_CHECKED // (self.size[0] * self.size[1]), 8), super().num_checked)

    def within(self, window: Window) -> ContributionRule:
        """From the places that the window's pixels come from alone."""
        # A rule that builds on this one may make maps of its own.
        if type(self) is not ConvolutionRule or self.placement.pixels is not None:
            return super().within(window)
        rule = copy.copy(self)
        rule.size, rule.window = window.size, window
        rule._forget_operators()
        return rule

    def kernel_outputs(self, neurons: Tensor, with_bias: bool = True) -> Tensor:
        """Z of kernels ``neurons``: (n, h, w)."""
        bias = self._bias_of(neurons) if with_bias else None
        if self._patches is None:
            return kernel_outputs(self.layer.operands, neurons, bias)[0]
        return products(self.layer.operands, self._patches, neurons, bias).view(len(neurons), *self.grid)

    @cached_property
    def _patches(self) -> Tensor | None:
        return patches_of(self.layer.operands, self.grid)

    def _outputs_within(self, neurons: Tensor, rows: Span, columns: Span) -> Tensor:
        """Some rows and columns of Z."""
        operands, bias = self.layer.operands, self._bias_of(neurons)
        if self.layer.function is not F.conv2d:
            return kernel_outputs(operands, neurons, bias)[0, :, slice(*rows), slice(*columns)]
        around = _around(self.layer.input, (rows, columns), self.layer.weight.shape[-1] // 2)
        operands = replace(operands, input=around, options={**operands.options, "padding": 0})
        return kernel_outputs(operands, neurons, bias)[0]

    def _bias_of(self, neurons: Tensor) -> Tensor | None:
        """Each kernel's share of its output channel's bias."""
        bias = self.layer.bias
        return None if bias is None else bias[neurons % self.neuron_shape[1]] / self.neuron_shape[0]

    def _group(self, neurons: Tensor, phase: int) -> MapGroup:
        """Kernels of one pixel-shuffle phase."""
        rows = self._operators[0][phase // self.layer.upscale]
        columns = self._operators[1][phase % self.layer.upscale]
        pairs = list(zip(rows.matrices, columns.matrices, strict=True))
        sizes = [len(row) * len(column) for row, column in pairs]
        place = phase, self.backend
        if place not in self._prepared:
            self._prepared[place] = [self.backend.separable(row, column) for row, column in pairs]
        stages = self._prepared[place]

        def maps(part: Tensor) -> Tensor:
            if rows.span is None or columns.span is None:
                outputs = self.kernel_outputs(part)
            else:
                outputs = self._outputs_within(part, rows.span, columns.span)
            return self._carry(outputs, stages).float()

        (top, bottom), (left, right) = rows.span or (0, self.grid[0]), columns.span or (0, self.grid[1])
        largest = max(*sizes, (bottom - top) * (right - left))
        group = MapGroup(neurons, maps, largest, rows.classes, columns.classes)
        if self.placement.pixels is None:
            return group
        return MapGroup(
            neurons,
            lambda part: self.placement.placed(group.spread(maps(part)).flatten(1)),
            max(group.values_per_neuron, self.size[0] * self.size[1]),
        )

    def _carry(self, values: Tensor, stages: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
        """Kernel outputs (n, h, w) to the classes of the image's values (n, R, C)."""
        for index, stage in enumerate(stages):
            values = self.activations[index](values)
            if index == 0 and self._zero_is_live:
                values = F.pad(values, (0, 1, 0, 1), value=self.zeros[0])
            values = stage(values)
        return values

    @cached_property
    def _prepared(self) -> dict[tuple[int, Backend], Sequence[Callable[[Tensor], Tensor]]]:
        """The linear steps of a pixel-shuffle phase, one after another, as a backend does them."""
        return {}

    def _forget_operators(self) -> None:
        for name in ("_operators", "_prepared"):
            self.__dict__.pop(name, None)

    @property
    def _zero_is_live(self) -> bool:
        """Whether the places that a kernel does not feed hold something else than zero: the activation of zero."""
        return self.shuffles_first and self.zeros[0] != 0

    def _of_channel(self, channel: int, num_channels: int) -> "ConvolutionRule":
        """The rule for kernels of one output channel, whose activation has parameters of its own."""
        rule = copy.copy(self)
        rule._forget_operators()  # they depend on the activation of zero
        own = [activation.of_channel(channel, num_channels) for activation in self.activations[: self.num_own]]
        rule.activations = [*own, *self.activations[self.num_own :]]
        rule.zeros = [activation.at_zero(self.layer.weight) for activation in rule.activations]
        return rule

    @cached_property
    def _operators(self) -> tuple[list[AxisOperator], list[AxisOperator]]:
        """Operators of the rows and of the columns, one for each position in a pixel-shuffle cell."""
        rows, columns = (
            [self._operator(axis, position).like(self.layer.weight) for position in range(self.layer.upscale)]
            for axis in (0, 1)
        )
        return rows, columns

    def _operator(self, axis: int, position: int) -> AxisOperator:
        segments: list[list[AxisStep]] = [[]]
        for index, stage in enumerate(self.path):
            if not isinstance(stage, Activation):
                segments[-1].append(stage(axis, position))
            elif index:
                segments.append([])
        stride, phase = (self.layer.upscale, position) if self.shuffles_first else (1, 0)
        operator = axis_operator(self.grid[axis], stride, phase, segments, self._zero_is_live)
        if self.window is None:
            return operator
        return operator.within(*(self.window.rows, self.window.columns)[axis], self.grid[axis])


Spatial = Callable[[int, int], AxisStep]
"""A linear step of the path to the image: by axis (0: rows) and position of the kernel in a pixel-shuffle cell."""


def _around(image: Tensor, window: tuple[Span, Span], margin: int) -> Tensor:
    """A window of an image (1, C, h, w) with a margin, zero beyond the image's edges."""
    for axis, (start, stop) in zip((2, 3), window, strict=True):
        first, last = max(start - margin, 0), min(stop + margin, image.shape[axis])
        missing = (first - (start - margin), stop + margin - last)
        image = image.narrow(axis, first, last - first)
        image = F.pad(image, (0, 0, *missing) if axis == 2 else missing)
    return image


def _path(layers: Sequence[Layer]) -> list[Activation | Spatial]:
    """The way of the first layer's kernel outputs to the image."""
    path: list[Activation | Spatial] = []
    for number, layer in enumerate(layers):
        if number:
            path.append(_mean(layer))
        for stage in layer.stages:
            if isinstance(stage, Step):
                path.append(_spatial(stage, is_own=number == 0))
            # The last layer's activation is not part of any map (h(z) - h(0) would be, and only if asked for).
            elif number < len(layers) - 1:
                path.append(stage)
    return path


def _mean(layer: Layer) -> Spatial:
    """What a layer does to maps that come from before it."""
    sizes = layer.weight.shape[-2:]
    if layer.function is F.conv2d:
        return lambda axis, position: box_mean(sizes[axis])
    lengths = layer.output.shape[-2:]
    strides, paddings, dilations = (
        _pair(layer.options.get(option, default))
        for option, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    return lambda axis, position: transposed_mean(
        sizes[axis], int(strides[axis]), int(paddings[axis]), int(dilations[axis]), lengths[axis]
    )


def _spatial(step: Step, is_own: bool) -> Spatial:
    if step.kind is StepKind.RESAMPLING:
        return lambda axis, position: interpolated(step, axis)
    factor = step.upscale_factor
    return (lambda axis, position: stuffed(factor, position)) if is_own else (lambda axis, position: repeated(factor))


def _image_size_after(layer: Layer) -> tuple[int, int]:
    spatial = [step.result for step in layer.steps if step.kind in SPATIAL]
    height, width = (spatial[-1] if spatial else layer.output).shape[-2:]
    return height, width


def check_supported(layer: Layer) -> None:
    """Refuse what the formulas do not cover."""
    if layer.function not in (F.conv2d, F.conv_transpose2d):
        raise DissectionError(
            f"the layer {layer.name} is a {layer.function.__name__}; there is no contribution rule for convolutions "
            "that come before one"
        )
    if sum(step.kind is StepKind.PIXEL_SHUFFLE for step in layer.steps) > 1:
        raise DissectionError(f"two pixel shuffles follow the layer {layer.name}; contribution maps cover one")
    if layer.function is F.conv_transpose2d:
        if layer.options.get("groups", 1) != 1:
            raise DissectionError(f"the transposed convolution {layer.name} has groups; contribution maps cover one")
        return
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
