"""Convolutions of all kinds, and networks around them."""

import torch
from case_oracle import COORDINATES, FEATURES, HEIGHT, SIZE, WIDTH, Along, Case, Kernel, as_it_is
from cases import kernel_outputs
from torch import nn
from torch.nn import functional as F

LARGE = torch.randn(1, 4, 2 * HEIGHT, 2 * WIDTH, generator=torch.Generator().manual_seed(6))


def before_a_head(layer: nn.Module, refusal: str, inputs: torch.Tensor = FEATURES, transposed: bool = False) -> Case:
    """A convolution ``a`` and a head of one pixel."""
    return Case(
        lambda s, x: s.o(torch.sin(s.a(x))),
        lambda: {"a": layer, "o": nn.Conv2d(4, 3, 1)},
        {"a": Kernel("a.weight", transposed), "o": Kernel("o.weight")},
        refusal,
        (inputs,),
        as_it_is,
    )


CONVOLUTIONS: dict[str, Case] = {
    "grouped": before_a_head(nn.Conv2d(4, 4, 3, padding=1, groups=2), "convolution a .*'groups': 2"),
    "strided": before_a_head(nn.Conv2d(4, 4, 3, padding=1, stride=2), r"convolution a .*'stride': \(2, 2\)", LARGE),
    "dilated": before_a_head(nn.Conv2d(4, 4, 3, padding=2, dilation=2), r"convolution a .*'dilation': \(2, 2\)"),
    "oblong": before_a_head(nn.Conv2d(4, 4, (3, 1), padding=(1, 0)), r"convolution a has kernel size \(3, 1\)"),
    "even": before_a_head(
        nn.Conv2d(4, 4, 2), r"convolution a has kernel size \(2, 2\)", LARGE[:, :, : HEIGHT + 1, : WIDTH + 1]
    ),
    "grouped_strided_dilated": before_a_head(
        nn.Conv2d(4, 4, 2, stride=2, dilation=3, padding=1, groups=4, bias=False), "convolution a", LARGE
    ),
    "circular": before_a_head(nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), "convolution a"),
    "grouped_transposed": before_a_head(
        nn.ConvTranspose2d(4, 4, 3, padding=1, groups=2), "transposed convolution a has groups", transposed=True
    ),
    "strided_grouped_transposed": before_a_head(
        nn.ConvTranspose2d(4, 4, (2, 3), stride=(2, 3), groups=2),
        "transposed convolution a has groups",
        LARGE[:, :, : HEIGHT // 2, : WIDTH // 3],
        transposed=True,
    ),
    "without_a_batch": Case(
        lambda s, x: s.o(torch.sin(s.a(x))),
        lambda: {"a": nn.Conv2d(4, 4, 3, padding=1), "o": nn.Conv2d(4, 3, 1)},
        {"a": Kernel("a.weight"), "o": Kernel("o.weight")},
        r"layer a received a tensor of shape \(4, 4, 3\)",
        (FEATURES[0],),
        lambda result: result,
    ),
    "one_dimension": Case(
        lambda s, x: s.o(torch.sin(s.a(x.T[None])))[0].T,
        lambda: {"a": nn.Conv1d(2, 4, 3, padding=1), "o": nn.Conv1d(4, 3, 1)},
        {"a": Kernel("a.weight"), "o": Kernel("o.weight")},
        "layer [ao] is a conv1d",
        (COORDINATES,),
    ),
    "three_dimensions": Case(
        lambda s, x: s.o(torch.sin(s.a(x[:, :, None]))[:, :, 0]),
        lambda: {"a": nn.Conv3d(4, 4, (1, 3, 3), padding=(0, 1, 1)), "o": nn.Conv2d(4, 3, 1)},
        {"a": Kernel("a.weight"), "o": Kernel("o.weight")},
        {"o": lambda s, i: kernel_outputs(torch.sin(s.a(i[0][:, :, None]))[:, :, 0], s.o.weight, s.o.bias)},
        (FEATURES,),
        as_it_is,
    ),
    "transposed_in_one_dimension": Case(
        lambda s, x: s.a(torch.sin(x).T[None])[0].T,
        lambda: {"a": nn.ConvTranspose1d(2, 3, 3, padding=1)},
        {"a": Kernel("a.weight", transposed=True)},
        "layer a is a conv_transpose1d",
        (COORDINATES,),
    ),
    "kernels_that_are_computed": Case(
        lambda s, x: s.o(torch.sin(F.conv2d(x, s.w * s.gain[:, None, None, None], s.b, padding=1))),
        lambda: {
            "w": nn.Parameter(torch.randn(4, 4, 3, 3) / 3), "gain": nn.Parameter(torch.rand(4) + 0.5),
            "b": nn.Parameter(torch.randn(4)), "o": nn.Conv2d(4, 3, 1),
        },
        {"layer_1": Kernel("w"), "o": Kernel("o.weight")},
        {
            "layer_1": lambda s, i: torch.sin(kernel_outputs(i[0], s.w * s.gain[:, None, None, None], s.b)),
            "o": lambda s, i: kernel_outputs(
                torch.sin(F.conv2d(i[0], s.w * s.gain[:, None, None, None], s.b, padding=1)), s.o.weight, s.o.bias
            ),
        },
        (FEATURES,), as_it_is,
    ),
    "a_latent_grid_that_is_enlarged": Case(
        lambda s, x: s.o(F.interpolate(s.g, size=SIZE, mode="bilinear") * x.mean()),
        lambda: {"g": nn.Parameter(torch.randn(1, 4, 2, 2)), "o": nn.Conv2d(4, 3, 1)},
        {"layer_1": Along({"g": 1}), "o": Kernel("o.weight")},
        {
            "o": lambda s, i: kernel_outputs(
                F.interpolate(s.g, size=SIZE, mode="bilinear") * i[0].mean(), s.o.weight, s.o.bias
            )
        },
        (FEATURES + 1,), as_it_is,
    ),
    "tokens_to_pixels": Case(
        lambda s, x: F.pixel_shuffle(s.a(s.t(x).T.reshape(1, 4, *SIZE)), 1),
        lambda: {"t": nn.Linear(2, 4), "a": nn.Conv2d(4, 3, 3, padding=1)},
        {"t": Along({"t.weight": 1}), "a": Kernel("a.weight")},
        {"a": lambda s, i: kernel_outputs(s.t(i[0]).T.reshape(1, 4, *SIZE), s.a.weight, s.a.bias)},
        (COORDINATES,), as_it_is,
    ),
}  # fmt: skip
