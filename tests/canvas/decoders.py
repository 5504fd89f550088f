"""Decoders to dissect, their description for the oracle, and the comparison."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from oracle import (
    Block,
    Function,
    PerChannel,
    Resize,
    Shuffle,
    assert_maps_close,
    bilinear,
    block_maps,
    box_mean,
    repeat,
    transposed,
)
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.canvas import Canvas, dissect

FEATURES = torch.randn(1, 3, 3, 4, generator=torch.Generator().manual_seed(5))
SIZE = (4, 5)
COORDINATES = torch.rand(20, 2, generator=torch.Generator().manual_seed(3))


def convolution(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def block(layer: nn.Conv2d | nn.ConvTranspose2d, *after: Shuffle | Resize | PerChannel) -> Block:
    """The oracle's description of a layer."""
    weight, bias = layer.weight.detach(), layer.bias.detach()  # type: ignore[union-attr]
    if isinstance(layer, nn.ConvTranspose2d):
        stride, padding, extra = layer.stride[0], int(layer.padding[0]), layer.output_padding[0]
        convolve = partial(transposed, stride=stride, padding=padding, extra=extra)
        ones = torch.ones(layer.kernel_size, dtype=torch.float64)
        mean = partial(transposed, kernel=ones, stride=stride, padding=padding, extra=extra, mean=True)
        return Block(weight.transpose(0, 1), bias, convolve, mean, after)
    size = layer.kernel_size[0]

    def convolve_plainly(image: Tensor, kernel: Tensor) -> Tensor:
        return F.conv2d(image[None, None], kernel[None, None], padding=size // 2)[0, 0]

    return Block(weight, bias, convolve_plainly, partial(box_mean, size=size), after)


def shared(function: Function, channels: int) -> PerChannel:
    return PerChannel([function] * channels)


def check(network: nn.Module, blocks: Sequence[Block]) -> Canvas:
    """Maps of all layers and their self-check, against the oracle."""
    canvas = dissect(network.eval(), FEATURES)
    assert len(canvas) == len(blocks)
    for index, layer in enumerate(canvas.values()):
        assert layer.completeness_error < 1e-5
        assert_maps_close(layer.maps(), block_maps(blocks, index, FEATURES[0]))
    return canvas


def randomised(norm: Any) -> Any:
    """A batch norm as if trained."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.copy_(torch.randn(tensor.shape, generator=generator))
        norm.running_var.copy_(torch.rand(norm.running_var.shape, generator=generator) + 0.5)
    return norm.eval()


def upsample(factor: int, mode: str, align_corners: bool | None = None) -> tuple[nn.Module, Resize]:
    def naive(image: Tensor) -> Tensor:
        if mode == "nearest":
            return repeat(image, factor)
        height, width = image.shape
        return bilinear(image, height * factor, width * factor, bool(align_corners))

    return nn.Upsample(scale_factor=factor, mode=mode, align_corners=align_corners), Resize(naive)
