"""Small networks, written the way public code writes implicit neural representations."""

from typing import Any

import torch
from case_oracle import (
    COLUMNS_FIRST,
    COORDINATES,
    FEATURES,
    HEIGHT,
    PIXELS,
    PLACES,
    SIZE,
    WIDTH,
    Along,
    Case,
    Columns,
    Every,
    Formula,
    Inputs,
    Kernel,
    as_it_is,
    at_blocks,
    at_pixels,
    by_pixel,
    columns,
    rows,
)
from torch import Tensor, nn
from torch.nn import functional as F

L = nn.Linear
Parts = dict[str, nn.Module | nn.Parameter]


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * 0.5)


def perceptron() -> Parts:
    return {"m": nn.Sequential(L(2, 7), nn.SiLU(), L(7, 3))}


PERCEPTRON = {"m.0": columns("m.0.weight"), "m.2": columns("m.2.weight")}


def of_perceptron(received: Any = lambda s, i: i[0]) -> dict[str, Formula]:
    """Formulas of the two layers ``m.0`` and ``m.2``, of what the first receives, pixel by pixel of the image."""
    return {
        "m.0": lambda s, i: at_pixels(received(s, i), s.m[0].weight.T),
        "m.2": lambda s, i: at_pixels(s.m[:2](received(s, i)), s.m[2].weight.T),
    }


def convolved(**names: nn.Module) -> Parts:
    return {"a": nn.Conv2d(4, 3, 3, padding=1), **names, "o": nn.Conv2d(3, 3, 1)}


CONVOLVED = {"a": Kernel("a.weight"), "o": Kernel("o.weight")}


def kernel_outputs(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Z_io = x_i * w_io + b_o / C_in of a convolution that keeps the size: (C_in * C_out, h, w)."""
    pad = weight.shape[-1] // 2
    kernels = [
        F.conv2d(inputs[:, [i]], weight[[o]][:, [i]], padding=pad)[0, 0] + bias[o] / weight.shape[1]
        for i in range(weight.shape[1])
        for o in range(weight.shape[0])
    ]
    return torch.stack(kernels)


def of_convolutions(act: Any, received: Any = lambda s, i: i[0]) -> dict[str, Formula]:
    """Formulas of ``a`` and of ``o``, a convolution of one pixel, which has no box mean, behind it."""
    return {
        "a": lambda s, i: act(kernel_outputs(received(s, i), s.a.weight, s.a.bias)),
        "o": lambda s, i: kernel_outputs(act(s.a(received(s, i))), s.o.weight, s.o.bias),
    }


def write_in_place(s: Any, x: Tensor) -> Any:
    h = torch.sin(s.a(x))
    q = x.new_zeros(len(x), 8)
    q[:, :4] = 2 * h[:, :4]
    return s.b(torch.sin(h + q))


def write_output(s: Any, x: Tensor) -> Any:
    h = torch.sin(s.a(x))
    out = x.new_zeros(len(x), 4)
    out[:, :3], out[:, 3:] = s.rgb(h), s.density(h)
    return out


def divided_by_a_number(s: Any, x: Tensor) -> Any:
    h = s.a(x)
    return s.b(torch.sin(h / float(h.abs().max())))


def divided_by_its_maximum(s: Any, x: Tensor) -> Any:
    h = s.a(x)
    return s.b(torch.sin(h / h.max()))


def attended(s: Any, x: Tensor) -> Any:
    h = s.a(x)
    return s.b(h) + s.b(s.t(h[None], h[None], h[None])[0][0])


def of_matmul(s: Any, i: Inputs) -> Tensor:
    return torch.sin(30 * (i[0] @ s.w.T + s.b)) @ torch.eye(8).to(s.w)


PROJECTIONS = {f"t.layer_{3 + part}": Columns("t.in_proj_weight", 4 * part, 4 * part + 4) for part in range(3)}
CASES: dict[str, Case] = {
    "matmul": Case(
        lambda s, x: torch.sin(30 * (x.matmul(s.w.T) + s.b)).matmul(s.v.T),
        lambda: {"w": parameter(8, 2), "b": parameter(8), "v": parameter(3, 8)},
        {"layer_1": columns("w"), "layer_2": columns("v")},
        {
            "layer_1": lambda s, i: at_pixels(i[0], 30 * s.w.T),
            "layer_2": lambda s, i: at_pixels(of_matmul(s, i), s.v.T),
        },
    ),
    "matmul_in_the_middle": Case(
        lambda s, x: s.b(torch.sin(s.a(x).sin() @ s.w)),
        lambda: {"a": L(2, 8), "w": parameter(8, 8), "b": L(8, 3)},
        {"a": columns("a.weight"), "layer_2": rows("w"), "b": columns("b.weight")},
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "layer_2": lambda s, i: at_pixels(s.a(i[0]).sin(), s.w),
            "b": lambda s, i: at_pixels(torch.sin(s.a(i[0]).sin() @ s.w), s.b.weight.T),
        },
    ),
    "a_weight_per_block": Case(
        lambda s, x: torch.bmm(torch.relu(torch.bmm(x.view(4, -1, 2), s.w)), s.v).view(PIXELS, 3),
        lambda: {"w": parameter(4, 2, 6), "v": parameter(4, 6, 3)},
        {"layer_1": Along({"w": 1}), "layer_2": Along({"v": 1})},
        {
            "layer_1": lambda s, i: at_blocks(i[0].view(4, -1, 2), s.w),
            "layer_2": lambda s, i: at_blocks((i[0].view(4, -1, 2) @ s.w).relu(), s.v),
        },
    ),
    "a_weight_and_a_bias_per_block": Case(
        lambda s, x: torch.bmm(torch.relu(torch.bmm(x.view(4, -1, 2), s.w) + s.b), s.v).view(PIXELS, 3),
        lambda: {"w": parameter(4, 2, 6), "b": parameter(4, 1, 6), "v": parameter(4, 6, 3)},
        {"layer_1": Along({"w": 1}), "layer_2": Along({"v": 1})},
        "between layer_1 and layer_2: 'add'",
    ),
    "einsum": Case(
        lambda s, x: torch.einsum("pi,io->po", torch.sin(s.a(x)), s.w),
        lambda: {"a": L(2, 8), "w": parameter(8, 3)},
        {"a": columns("a.weight"), "layer_2": rows("w")},
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "layer_2": lambda s, i: at_pixels(torch.sin(s.a(i[0])), s.w),
        },
    ),
    "low_rank": Case(
        lambda s, x: s.b(torch.sin(s.a(x) + torch.linalg.multi_dot([x, s.u, s.v]))),
        lambda: {"a": L(2, 8), "u": parameter(2, 2), "v": parameter(2, 8), "b": L(8, 3)},
        {"a": columns("a.weight"), "layer_2": rows("u"), "layer_3": rows("v"), "b": columns("b.weight")},
        "between layer_3 and b: 'add' joins",
    ),
    "columns_first": Case(
        lambda s, x: s.m(x).view(WIDTH, HEIGHT, 3).transpose(0, 1), perceptron, PERCEPTRON,
        of_perceptron(lambda s, i: i[0].view(WIDTH, HEIGHT, 2).transpose(0, 1).reshape(PIXELS, 2)),
        (COLUMNS_FIRST,), lambda result: result.permute(2, 0, 1),
    ),
    "channels_first": Case(
        lambda s, x: s.m(x).T.reshape(3, *SIZE), perceptron, PERCEPTRON, of_perceptron(), show=lambda result: result
    ),
    "grey": Case(
        lambda s, x: s.m(x)[:, 0].view(SIZE), perceptron, PERCEPTRON, of_perceptron(), show=lambda result: result[None]
    ),
    "five_axes": Case(
        lambda s, x: s.m(x).T.reshape(1, 3, 1, *SIZE), perceptron, PERCEPTRON, of_perceptron(),
        show=lambda result: result[0, :, 0],
    ),
    "written_in_place": Case(
        write_in_place, lambda: {"a": L(2, 8), "b": L(8, 3)},
        {"a": columns("a.weight"), "b": columns("b.weight")}, "between a and b: 'add' joins",
    ),
    "output_written_in_place": Case(
        write_output, lambda: {"a": L(2, 8), "rgb": L(8, 3), "density": L(8, 1)},
        {"a": columns("a.weight"), "rgb": columns("rgb.weight"), "density": columns("density.weight")},
        "between density and the output: '__setitem__'",
    ),
    "number_from_a_tensor": Case(
        divided_by_a_number, lambda: {"a": L(2, 8), "b": L(8, 3)}, {"b": columns("b.weight")},
        "layer a cannot be followed to the image: a number is taken out", skipped={"a": "'float'"},
    ),
    "divided_by_its_maximum": Case(
        divided_by_its_maximum, lambda: {"a": L(2, 8), "b": L(8, 3)},
        {"a": columns("a.weight"), "b": columns("b.weight")}, "between a and b: 'div'",
    ),
    "complex": Case(
        lambda s, x: s.o(torch.exp(1j * s.a(x))).real, lambda: {"a": L(2, 8), "o": L(8, 3, dtype=torch.cfloat)},
        {"a": columns("a.weight"), "o": columns("o.weight")}, "weight of o is complex",
    ),
    "sampled_behind_a_layer": Case(
        lambda s, x: s.o(F.grid_sample(x[:, :1] + s.a(x), PLACES.to(x), align_corners=True)), convolved, CONVOLVED,
        "between a and o: 'grid_sample'", (FEATURES,), as_it_is,
    ),
    "sampled_grid": Case(
        lambda s, x: s.m(F.grid_sample(s.g, PLACES.to(x) + 0 * x.sum(), align_corners=True)[0].flatten(1).T),
        lambda: {"g": parameter(1, 2, 4, 4), **perceptron()},
        {"layer_1": Along({"g": 1}), **PERCEPTRON},
        of_perceptron(lambda s, i: F.grid_sample(s.g, PLACES.to(s.g), align_corners=True)[0].flatten(1).T),
    ),
    "embedding": Case(
        lambda s, x: s.m(s.e((x[:, 0] * 7 + 7).long())), lambda: {"e": nn.Embedding(16, 2), **perceptron()},
        {"e": columns("e.weight"), **PERCEPTRON},
        of_perceptron(lambda s, i: s.e.weight[(i[0][:, 0] * 7 + 7).long()]),
    ),
    "depthwise": Case(
        lambda s, x: s.o(F.gelu(s.d(F.gelu(s.a(x))))), lambda: convolved(d=nn.Conv2d(3, 3, 3, padding=1, groups=3)),
        {**CONVOLVED, "d": Kernel("d.weight")}, "convolution d has .*'groups': 3", (FEATURES,), as_it_is,
    ),
    "reflected_border": Case(
        lambda s, x: s.o(F.conv2d(F.pad(x, (1,) * 4, "reflect"), s.w)),
        lambda: {"w": parameter(3, 4, 3, 3), "o": nn.Conv2d(3, 3, 1)},
        {"layer_1": Kernel("w"), "o": Kernel("o.weight")}, "convolution layer_1 has", (FEATURES,), as_it_is,
    ),
    "chunks_of_pixels": Case(
        lambda s, x: torch.cat([s.m(part) for part in x.split(5)]), perceptron, PERCEPTRON,
        "between m.2 and the output: 'cat' joins",
    ),
    "vmap": Case(lambda s, x: torch.vmap(s.m)(x), perceptron, PERCEPTRON, of_perceptron()),
    "hard_gate": Case(
        lambda s, x: s.b(torch.sin(s.a(x))) * (s.g(x) > 0), lambda: {"a": L(2, 8), "b": L(8, 3), "g": L(2, 1)},
        {"a": columns("a.weight"), "b": columns("b.weight")}, "between g and the output: 'mul'",
        skipped={"g": "no derivative"},
    ),
    "hypernetwork": Case(
        lambda s, x: s.b(torch.sin(F.linear(x, s.h(s.z).view(8, 2)))),
        lambda: {"z": parameter(4), "h": L(4, 16), "b": L(8, 3)},
        {"h": columns("h.weight"), "layer_2": Every(("h.weight", "h.bias"), 2), "b": columns("b.weight")},
        {
            "layer_2": lambda s, i: at_pixels(i[0], s.h(s.z).view(8, 2).T),
            "b": lambda s, i: at_pixels(torch.sin(i[0] @ s.h(s.z).view(8, 2).T), s.b.weight.T),
        },
    ),
    "a_factor_per_pixel": Case(
        lambda s, x: s.m(x).view(1, PIXELS, 3) * torch.linspace(0, 1, PIXELS).to(x).view(1, PIXELS, 1),
        perceptron, PERCEPTRON, "between m.2 and the output: 'mul' mixes", show=lambda result: by_pixel(result[0]),
    ),
    "a_stem_before_the_image": Case(
        lambda s, t: s.o(torch.sin(s.a(s.b(torch.sin(s.z(t))).view(1, 4, *SIZE)))),
        lambda: {"z": L(1, 8), "b": L(8, 4 * PIXELS), **convolved()},
        {"z": columns("z.weight"), "b": columns("b.weight"), **CONVOLVED},
        of_convolutions(torch.sin, lambda s, i: s.b(torch.sin(s.z(i[0]))).view(1, 4, *SIZE)),
        (torch.tensor([[0.5]]),), as_it_is,
    ),
    "channels_last": Case(
        lambda s, x: s.o(torch.sin(s.a(x)).contiguous(memory_format=torch.channels_last)), convolved, CONVOLVED,
        of_convolutions(torch.sin), (FEATURES,), as_it_is,
    ),
    "attention": Case(
        attended, lambda: {"a": L(2, 4), "t": nn.MultiheadAttention(4, 2, batch_first=True), "b": L(4, 3)},
        {"a": columns("a.weight"), "b": columns("b.weight"), **PROJECTIONS, "t.layer_6": columns("t.out_proj.weight")},
        "'add' joins",
    ),
    "dictionaries": Case(
        lambda s, given: {"rgb": s.m(given["coords"])}, perceptron, PERCEPTRON,
        of_perceptron(lambda s, i: i[0]["coords"]), ({"coords": COORDINATES},),
        lambda result: by_pixel(result["rgb"]), options={"output": "rgb"},
    ),
    "two_inputs": Case(
        lambda s, x, t: s.m(x * t), perceptron, PERCEPTRON, of_perceptron(lambda s, i: i[0] * i[1]),
        (COORDINATES, torch.tensor(0.5)),
    ),
}  # fmt: skip
