"""Networks that write into tensors, in all the ways that there are."""

from typing import Any

import torch
from case_oracle import FEATURES, PIXELS, SIZE, Case, Kernel, at_pixels, columns, rows
from cases import L, Parts, parameter
from torch import Tensor, nn

AB = {"a": columns("a.weight"), "b": columns("b.weight")}


def two_linear() -> Parts:
    return {"a": L(2, 6), "b": L(6, 3)}


def into_a_buffer(s: Any, x: Tensor) -> Any:
    h = s.a(x)
    buffer = torch.empty_like(h)
    torch.sin(h, out=buffer)
    return s.b(buffer)


def product_into_a_buffer(s: Any, x: Tensor) -> Any:
    h = torch.sin(s.a(x))
    out = x.new_empty(len(x), 3)
    torch.mm(h, s.w, out=out)
    return out.sigmoid()


def index_put(s: Any, x: Tensor) -> Any:
    h = torch.sin(s.a(x))
    q = torch.zeros_like(h)
    q.index_put_((torch.arange(0, PIXELS, 2),), 3 * h[::2], accumulate=True)
    return s.b(h + q)


def scatter(s: Any, x: Tensor) -> Any:
    h = torch.sin(s.a(x))
    order = torch.arange(PIXELS - 1, -1, -1)[:, None].expand(-1, 6)
    return s.b(torch.zeros_like(h).scatter_(0, order, h) + h)


def masked_fill(s: Any, x: Tensor) -> Any:
    h = s.a(x)
    h.masked_fill_(h < 0, 0.25)
    return s.b(h)


def through_a_view(s: Any, x: Tensor) -> Any:
    h = torch.sin(s.a(x))
    part = h.view(PIXELS, 2, 3)[:, 0]
    part.mul_(2)
    part[:, 1:] += h[:, 3:5]
    return s.b(h)


def before_and_after(s: Any, x: Tensor) -> Any:
    h = s.a(x)
    early = s.b(h)
    h.sin_()
    h[:, :2] *= h[:, 2:4].clone()
    return early + s.c(h)


def copied(s: Any, x: Tensor) -> Any:
    q = x.new_zeros(2, PIXELS, 6)
    q[0].copy_(torch.sin(s.a(x)))
    q[1].copy_(q[0]).mul_(0.5)
    return s.b(q.sum(0))


def appended(s: Any, x: Tensor) -> Any:
    out = x.new_zeros(3, *SIZE)
    image = s.o(torch.sin(s.a(x)))[0]
    for channel in range(3):
        out[channel] = image[2 - channel]
    return out


SINES = {
    "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
    "b": lambda s, i: at_pixels(torch.sin(s.a(i[0])), s.b.weight.T),
}
WRITTEN: dict[str, Case] = {
    "out": Case(into_a_buffer, two_linear, AB, SINES),
    "out_without_a_size": Case(
        lambda s, x: s.b(torch.sin(s.a(x), out=x.new_empty(0))), two_linear, AB, SINES
    ),
    "a_product_into_out": Case(
        product_into_a_buffer, lambda: {"a": L(2, 6), "w": parameter(6, 3)},
        {"a": columns("a.weight"), "layer_2": rows("w")}, "breaks between",
    ),
    "a_product_by_hand": Case(
        lambda s, x: s.b(torch.sin((s.a(x)[..., None] * s.w).sum(1))),
        lambda: {"a": L(2, 5), "w": parameter(5, 6), "b": L(6, 3)}, AB, "between a and b",
        skipped={"sum": "write that as a matmul"},
    ),
    "an_outer_product": Case(
        lambda s, x: s.b(torch.sin(torch.outer(s.a(x)[:, 0], s.w))),
        lambda: {"a": L(2, 1), "w": parameter(6), "b": L(6, 3)}, AB, "between a and b",
        skipped={"outer": "no kind of layer covers"},
    ),
    "index_put": Case(index_put, two_linear, AB, "between a and b: 'add' joins"),
    "scatter": Case(scatter, two_linear, AB, "between a and b: 'add' joins"),
    "masked_fill": Case(
        masked_fill, two_linear, AB,
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "b": lambda s, i: at_pixels(torch.where(s.a(i[0]) < 0, 0.25, s.a(i[0])), s.b.weight.T),
        },
    ),
    "a_view": Case(through_a_view, two_linear, AB, "between a and b"),
    "what_has_been_read": Case(
        before_and_after, lambda: {**two_linear(), "c": L(6, 3)}, {**AB, "c": columns("c.weight")},
        "between c and the output: 'add' joins",
    ),
    "copied": Case(copied, two_linear, AB, "between a and b"),
    "channel_by_channel": Case(
        appended, lambda: {"a": nn.Conv2d(4, 3, 3, padding=1), "o": nn.Conv2d(3, 3, 1)},
        {"a": Kernel("a.weight"), "o": Kernel("o.weight")}, "between o and the output", (FEATURES,),
        lambda result: result,
    ),
    "a_scale_in_place": Case(
        lambda s, x: s.b(s.a(x).mul_(2).sin_()), two_linear, AB,
        {
            "a": lambda s, i: at_pixels(i[0], 2 * s.a.weight.T),
            "b": lambda s, i: at_pixels(torch.sin(2 * s.a(i[0])), s.b.weight.T),
        },
    ),
}  # fmt: skip
