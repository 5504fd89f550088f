"""Shapes, wrappers and new kinds of layers."""

from collections.abc import Callable

import pytest
import torch
from decoders import COORDINATES, FEATURES, SIZE, convolution
from networks import Written, three_linear
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.canvas import dissect

# Shapes, names and wrappers


def test_moves_that_cancel_between_convolutions() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(convolution(3, 8), nn.PixelShuffle(2), nn.GELU(), convolution(2, 3))
    moved = Written(
        lambda self, x: self.b(
            F.gelu(
                F.pixel_shuffle(F.dropout2d(self.a(x).flatten(2).view(1, 8, 3, 4), training=False), 2).permute(
                    0, 2, 3, 1
                )
            )
            .permute(0, 3, 1, 2)
            .reshape(1, 2, 6, 8)
        ),
        a=plain[0],
        b=plain[3],
    )
    canvas, expected = dissect(moved, FEATURES), dissect(plain, FEATURES)
    assert list(canvas) == ["a", "b"]
    for layer, other in zip(canvas.values(), expected.values(), strict=True):
        torch.testing.assert_close(layer.maps(), other.maps())


@pytest.mark.parametrize(
    "rearranged",
    [
        lambda image: image.permute(0, 1, 3, 2),
        lambda image: image.flip(3).view(1, 4, 4, 3),
        lambda image: image.reshape(1, 3, 4, 4).permute(0, 2, 1, 3) + 1,
        lambda image: (image.flatten(1).softmax(1) * image.flatten(1)).view(1, 4, 4, 3),
    ],
)
def test_whatever_stands_between_stem_and_blocks(rearranged: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    network = Written(
        lambda self, x: self.head(self.block(rearranged(self.stem(x)).relu()).relu()),
        stem=nn.Conv2d(3, 4, 1), block=convolution(4, 3), head=convolution(3, 3),
    )  # fmt: skip
    canvas = dissect(network, FEATURES)
    assert list(canvas) == ["block", "head"]
    assert "into space" in canvas.skipped["stem"]


def test_what_moves_pixels_before_the_last_layer_ends_the_chain() -> None:
    network = Written(
        lambda self, x: self.head(self.stem(x).view(1, 4, 4, 3).flip(3)),
        stem=nn.Conv2d(3, 4, 1),
        head=convolution(4, 3),
    )
    canvas = dissect(network, FEATURES)
    assert list(canvas) == ["head"]
    assert "into space" in canvas.skipped["stem"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", ["whole", "middle"])
def test_compiled_modules(part: str) -> None:
    network, expected = three_linear(torch.relu), dissect(three_linear(torch.relu), COORDINATES, size=SIZE)
    network.layer_names = {"c": "last"}
    if part == "middle":
        network.b = torch.compile(network.b, backend="eager")
    canvas = dissect(torch.compile(network, backend="eager") if part == "whole" else network, COORDINATES, size=SIZE)
    assert list(canvas) == ["a", "b", "last"]
    for layer, other in zip(canvas.values(), expected.values(), strict=True):
        torch.testing.assert_close(layer.maps(), other.maps())
