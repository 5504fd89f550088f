"""The formulas of contribution maps, naively in float64: explicit copies and masks, nothing of the package's code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Function = Callable[[Tensor], Tensor]


@dataclass
class Dense:
    """A linear layer: weight (outputs, inputs), bias (outputs,), and the activation after it."""

    weight: Tensor
    bias: Tensor | None
    activation: Function


@dataclass
class Kernels:
    """A convolution: weight (outputs, inputs, k, k), bias, the pixel shuffle and the activation after it."""

    weight: Tensor
    bias: Tensor | None
    stride: int
    activation: Function


def identity(values: Tensor) -> Tensor:
    return values


def dense_inputs(layers: Sequence[Dense], encoded: Tensor) -> list[Tensor]:
    """What each layer receives, float64 (pixels, inputs), and last the output."""
    received = [encoded.double()]
    for layer in layers:
        values = received[-1] @ layer.weight.double().T
        if layer.bias is not None:
            values = values + layer.bias.double()
        received.append(layer.activation(values))
    return received


def dense_maps(
    layers: Sequence[Dense], index: int, encoded: Tensor, size: tuple[int, int], convention: str, per_output: bool
) -> Tensor:
    """Maps of all neurons of one linear layer: (inputs, H, W), or (inputs, outputs, H, W)."""
    layer, inputs = layers[index], dense_inputs(layers, encoded)[index]
    num_outputs, num_inputs = layer.weight.shape
    is_last = index == len(layers) - 1
    bias = torch.zeros(num_outputs).double() if layer.bias is None else layer.bias.double()
    maps = []
    for i in range(num_inputs):
        products = [inputs[:, i] * layer.weight[j, i].double() for j in range(num_outputs)]
        shares = [bias[j] / num_inputs for j in range(num_outputs)]
        if not per_output:
            products, shares = [sum(products, torch.zeros(()))], [sum(shares, torch.zeros(()))]
        if convention == "released":
            products = [product + share for product, share in zip(products, shares, strict=True)]
            products = products if is_last else [layer.activation(product) for product in products]
        images = [product.reshape(size) for product in products]
        maps.append(torch.stack(images) if per_output else images[0])
    return torch.stack(maps)


def kernel_inputs(layers: Sequence[Kernels], features: Tensor) -> list[Tensor]:
    """What each convolution receives, float64 (channels, h, w), and last the output."""
    received = [features.double()]
    for layer in layers:
        bias = None if layer.bias is None else layer.bias.double()
        values = F.conv2d(received[-1][None], layer.weight.double(), bias, padding=layer.weight.shape[-1] // 2)
        received.append(layer.activation(F.pixel_shuffle(values, layer.stride))[0])
    return received


def kernel_output(layer: Kernels, inputs: Tensor, i: int, o: int) -> Tensor:
    """Z_io = x_i * w_io + b_o / C_in, pixel by pixel: (h, w)."""
    kernel = layer.weight[o, i].double()
    pad = len(kernel) // 2
    padded = F.pad(inputs[i], (pad, pad, pad, pad))
    total = torch.zeros_like(inputs[i])
    height, width = total.shape
    for row in range(len(kernel)):
        for column in range(len(kernel)):
            total += kernel[row, column] * padded[row : row + height, column : column + width]
    if layer.bias is not None:
        total += layer.bias[o].double() / layer.weight.shape[1]
    return total


def repeat(image: Tensor, stride: int) -> Tensor:
    """Nearest upsampling."""
    return image.repeat_interleave(stride, 0).repeat_interleave(stride, 1)


def box_mean(image: Tensor, size: int) -> Tensor:
    """Mean over size x size pixels, those outside of the image being zero."""
    return F.avg_pool2d(image[None, None], size, stride=1, padding=size // 2, count_include_pad=True)[0, 0]


def kernel_maps(layers: Sequence[Kernels], index: int, features: Tensor) -> Tensor:
    """Maps of all kernels of one convolution, input channel first: (inputs * outputs, H, W)."""
    layer, inputs = layers[index], kernel_inputs(layers, features)[index]
    num_outputs, num_inputs = layer.weight.shape[:2]
    last = len(layers) - 1
    maps = []
    for i in range(num_inputs):
        for o in range(num_outputs):
            values = repeat(kernel_output(layer, inputs, i, o), layer.stride)
            row, column = divmod(o % layer.stride**2, layer.stride)
            mask = torch.zeros_like(values)
            mask[row :: layer.stride, column :: layer.stride] = 1
            values = values * mask
            if index < last:
                values = layer.activation(values)
            for position in range(index + 1, len(layers)):
                later = layers[position]
                values = repeat(box_mean(values, later.weight.shape[-1]), later.stride)
                if position < last:
                    values = later.activation(values)
            maps.append(values)
    return torch.stack(maps)


@dataclass
class Shuffle:
    """A pixel shuffle."""

    factor: int


@dataclass
class Resize:
    """What an interpolation does to one image (h, w)."""

    function: Function


@dataclass
class PerChannel:
    """An activation: what it does to one image of a channel, for each channel."""

    functions: Sequence[Function]


@dataclass
class Block:
    """A convolution of any kind, and what follows it, in order.

    Weight (outputs, inputs, k, k); ``convolve`` passes one image through one kernel, ``mean`` one map through the
    layer, where it is not that map's own.
    """

    weight: Tensor
    bias: Tensor
    convolve: Callable[[Tensor, Tensor], Tensor]
    mean: Function
    after: Sequence[Shuffle | Resize | PerChannel]


def block_inputs(blocks: Sequence[Block], features: Tensor) -> list[list[Tensor]]:
    """What each layer receives, and last the output, as lists of channels, float64."""
    received = [list(features.double())]
    for block in blocks:
        images = [
            sum((block.convolve(x, w) for x, w in zip(received[-1], kernels, strict=True)), bias)
            for kernels, bias in zip(block.weight.double(), block.bias.double(), strict=True)
        ]
        for stage in block.after:
            if isinstance(stage, Shuffle):
                images = list(F.pixel_shuffle(torch.stack(images), stage.factor))
            elif isinstance(stage, Resize):
                images = [stage.function(image) for image in images]
            else:
                images = [function(image) for function, image in zip(stage.functions, images, strict=True)]
        received.append(images)
    return received


def block_maps(blocks: Sequence[Block], index: int, features: Tensor) -> Tensor:
    """Maps of all kernels of one layer, input channel first: (inputs * outputs, H, W)."""
    block, inputs = blocks[index], block_inputs(blocks, features)[index]
    num_outputs, num_inputs = block.weight.shape[:2]
    maps = []
    for i in range(num_inputs):
        for o in range(num_outputs):
            channel = o
            values = block.convolve(inputs[i], block.weight[o, i].double()) + block.bias[o].double() / num_inputs
            for stage in block.after:
                if isinstance(stage, Shuffle):
                    row, column = divmod(channel % stage.factor**2, stage.factor)
                    spread = torch.zeros([side * stage.factor for side in values.shape], dtype=torch.float64)
                    spread[row :: stage.factor, column :: stage.factor] = values
                    values, channel = spread, channel // stage.factor**2
                elif isinstance(stage, Resize):
                    values = stage.function(values)
                elif index < len(blocks) - 1:
                    values = stage.functions[channel](values)
            for position in range(index + 1, len(blocks)):
                values = blocks[position].mean(values)
                for stage in blocks[position].after:
                    if isinstance(stage, Shuffle):
                        values = repeat(values, stage.factor)
                    elif isinstance(stage, Resize):
                        values = stage.function(values)
                    elif position < len(blocks) - 1:
                        values = torch.stack([function(values) for function in stage.functions]).mean(0)
            maps.append(values)
    return torch.stack(maps)


def bilinear(image: Tensor, height: int, width: int, align_corners: bool) -> Tensor:
    """Bilinear interpolation, each pixel from its two neighbours along each axis."""

    def weights(before: int, after: int) -> Tensor:
        result = torch.zeros(after, before, dtype=torch.float64)
        for index in range(after):
            place = index * (before - 1) / (after - 1) if align_corners else (index + 0.5) * before / after - 0.5
            place = min(max(place, 0), before - 1)
            low = int(place)
            result[index, low] += 1 - (place - low)
            result[index, min(low + 1, before - 1)] += place - low
        return result

    return weights(image.shape[0], height) @ image @ weights(image.shape[1], width).T


def transposed(image: Tensor, kernel: Tensor, stride: int, padding: int, extra: int, mean: bool = False) -> Tensor:
    """Transposed convolution of one image with one kernel, tap by tap.

    With ``mean`` each pixel is divided by the number of taps that fall on it, those of pixels outside included.
    """
    sides = [(side - 1) * stride - 2 * padding + len(kernel) + extra for side in image.shape]
    result, taps = torch.zeros(sides, dtype=torch.float64), torch.zeros(sides, dtype=torch.float64)
    far = len(kernel) + padding
    for y in range(-far, image.shape[0] + far):
        for x in range(-far, image.shape[1] + far):
            for row in range(len(kernel)):
                for column in range(len(kernel)):
                    to = (y * stride - padding + row, x * stride - padding + column)
                    if 0 <= to[0] < sides[0] and 0 <= to[1] < sides[1]:
                        taps[to] += 1
                        if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                            result[to] += kernel[row, column] * image[y, x]
    return result / taps.clamp_min(1) if mean else result


def assert_maps_close(maps: Tensor, expected: Tensor) -> None:
    """Tolerances for float32 against float64."""
    atol = 1e-4 * float(expected.abs().mean())
    torch.testing.assert_close(maps.double(), expected.double(), rtol=1e-4, atol=atol, check_device=False)
