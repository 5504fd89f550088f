"""Other ways to write the same kinds of layers."""

from typing import Any

import torch
from case_oracle import (
    COORDINATES,
    PIXELS,
    SIZE,
    Along,
    Case,
    Columns,
    Inside,
    at_blocks,
    at_pixels,
    columns,
    rows,
)
from cases import PERCEPTRON, L, Parts, of_perceptron, parameter, perceptron
from torch import Tensor, nn
from torch.nn import functional as F

AB = {"a": columns("a.weight"), "b": columns("b.weight")}
TABLE = {"layer_1": columns("table"), **PERCEPTRON}


def two_linear(hidden: int = 6) -> Parts:
    return {"a": L(2, hidden), "b": L(hidden, 3)}


def rows_of(x: Tensor) -> Tensor:
    """Which row of a table each pixel looks up."""
    return (x[:, 0] * 7 + 7).long()


def low_rank_update(s: Any) -> Tensor:
    weight: Tensor = s.w + s.up @ s.down
    return weight


def recurrent(s: Any, x: Tensor) -> Any:
    h = s.a(x)
    for _ in range(3):
        h = torch.sin(s.r(h))
    return s.b(h)


def gated(s: Any, x: Tensor) -> Any:
    h = x.new_zeros(len(x), 4)
    for _ in range(2):
        h = s.c(x, h)
    return s.b(h)


def with_memory(s: Any, x: Tensor) -> Any:
    state = (x.new_zeros(len(x), 4), x.new_ones(len(x), 4))
    for _ in range(2):
        state = s.c(x, state)
    return s.b(state[0])


def gabor(values: Tensor) -> Tensor:
    return torch.exp(3j * values - (2 * values).abs().square())


def planes(s: Any, x: Tensor) -> Any:
    third = x.prod(1, keepdim=True)
    pairs = (x, torch.cat([x[:, :1], third], 1), torch.cat([x[:, 1:], third], 1))
    found = [
        F.grid_sample(plane, pair.view(1, 1, -1, 2), align_corners=True)[0, :, 0].T
        for plane, pair in zip((s.p, s.q, s.r), pairs, strict=True)
    ]
    return s.m(found[0] * found[1] + found[2])


class Ensemble(nn.Module):
    """Small networks of one shape, each for its own pixels, run at once."""

    def __init__(self) -> None:
        super().__init__()
        networks = [nn.Sequential(L(2, 5), nn.SiLU(), L(5, 3)) for _ in range(4)]
        stacked, _ = torch.func.stack_module_state(networks)
        self.names = list(stacked)
        self.values = nn.ParameterList(each.detach() for each in stacked.values())
        self.template = [networks[0].to("meta")]  # in a list, for it is no part of the network

    def forward(self, x: Tensor) -> Tensor:
        def one(values: dict[str, Tensor], part: Tensor) -> Tensor:
            result: Tensor = torch.func.functional_call(self.template[0], values, (part,))
            return result

        stacked = dict(zip(self.names, self.values, strict=True))
        result: Tensor = torch.vmap(one)(stacked, x.view(4, -1, 2))
        return result.reshape(PIXELS, 3)


VARIATIONS: dict[str, Case] = {
    "einsum_with_dots": Case(
        lambda s, x: torch.einsum("...i,oi->...o", torch.sin(s.a(x.view(*SIZE, 2))), s.w),
        lambda: {"a": L(2, 6), "w": parameter(3, 6)}, {"a": columns("a.weight"), "layer_2": columns("w")},
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "layer_2": lambda s, i: at_pixels(torch.sin(s.a(i[0])), s.w.T),
        },
        show=lambda result: result.permute(2, 0, 1),
    ),
    "einsum_without_an_arrow": Case(
        lambda s, x: torch.einsum("pi, io", torch.sin(s.a(x)), s.w),
        lambda: {"a": L(2, 6), "w": parameter(6, 3)}, {"a": columns("a.weight"), "layer_2": rows("w")},
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "layer_2": lambda s, i: at_pixels(torch.sin(s.a(i[0])), s.w),
        },
        show=lambda result: result.view(3, *SIZE),  # axes are in the order of the alphabet
    ),
    "addmm": Case(
        lambda s, x: torch.addmm(s.b, torch.sin(s.a(x)), s.w, beta=0.5, alpha=2),
        lambda: {"a": L(2, 6), "w": parameter(6, 3), "b": parameter(3)},
        {"a": columns("a.weight"), "layer_2": rows("w")},
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "layer_2": lambda s, i: at_pixels(torch.sin(s.a(i[0])), 2 * s.w),
        },
    ),
    "baddbmm": Case(
        lambda s, x: torch.baddbmm(s.b, torch.sin(s.a(x)).view(4, -1, 6), s.w, beta=0.5, alpha=2).view(PIXELS, 3),
        lambda: {"a": L(2, 6), "w": parameter(4, 6, 3), "b": parameter(4, 1, 3)},
        {"a": columns("a.weight"), "layer_2": Along({"w": 1})},
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "layer_2": lambda s, i: at_blocks(torch.sin(s.a(i[0])).view(4, -1, 6), 2 * s.w),
        },
    ),
    "weight_on_the_left": Case(
        lambda s, x: s.v @ torch.sin(s.w @ x.T),
        lambda: {"w": parameter(6, 2), "v": parameter(3, 6)}, {"layer_1": columns("w"), "layer_2": columns("v")},
        {
            "layer_1": lambda s, i: at_pixels(i[0], s.w.T),
            "layer_2": lambda s, i: at_pixels(torch.sin(i[0] @ s.w.T), s.v.T),
        },
        show=lambda result: result.view(3, *SIZE),
    ),
    "tensordot": Case(
        lambda s, x: torch.tensordot(torch.sin(s.a(x.view(*SIZE, 2))), s.w, dims=([2], [1])),
        lambda: {"a": L(2, 6), "w": parameter(3, 6)}, {"a": columns("a.weight"), "layer_2": columns("w")},
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "layer_2": lambda s, i: at_pixels(torch.sin(s.a(i[0])), s.w.T),
        },
        show=lambda result: result.permute(2, 0, 1),
    ),
    "weight_of_one_axis": Case(
        lambda s, x: F.linear(torch.sin(s.a(x)), s.w), lambda: {"a": L(2, 6), "w": parameter(6)},
        {"a": columns("a.weight"), "layer_2": rows("w")},
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "layer_2": lambda s, i: at_pixels(torch.sin(s.a(i[0])), s.w[:, None]),
        },
        show=lambda result: result.view(1, *SIZE),
    ),
    "matrix_by_vector": Case(
        lambda s, x: torch.mv(torch.sin(s.a(x)), s.w), lambda: {"a": L(2, 6), "w": parameter(6)},
        {"a": columns("a.weight"), "layer_2": rows("w")},
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "layer_2": lambda s, i: at_pixels(torch.sin(s.a(i[0])), s.w[:, None]),
        },
        show=lambda result: result.view(1, *SIZE),
    ),
    "low_rank_update": Case(
        lambda s, x: s.b(torch.sin(F.linear(x, low_rank_update(s), s.shift))),
        lambda: {
            "w": parameter(6, 2), "up": parameter(6, 1), "down": parameter(1, 2), "shift": parameter(6), "b": L(6, 3)
        },
        {"layer_1": Along({"w": 1, "down": 1}), "b": columns("b.weight")},
        {
            "layer_1": lambda s, i: at_pixels(i[0], low_rank_update(s).T),
            "b": lambda s, i: at_pixels(torch.sin(F.linear(i[0], low_rank_update(s), s.shift)), s.b.weight.T),
        },
    ),
    "weight_norm": Case(
        lambda s, x: s.b(torch.sin(s.a(x))),
        lambda: {"a": nn.utils.parametrizations.weight_norm(L(2, 6)), "b": L(6, 3)},
        {"a": Inside("a"), "b": columns("b.weight")},
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "b": lambda s, i: at_pixels(torch.sin(s.a(i[0])), s.b.weight.T),
        },
    ),
    "handed_on_as_it_is": Case(
        lambda s, x: F.dropout(s.b(F.dropout(s.a(x), training=False).contiguous().sin()), training=False).to(x),
        two_linear, AB,
        {
            "a": lambda s, i: at_pixels(i[0], s.a.weight.T),
            "b": lambda s, i: at_pixels(s.a(i[0]).sin(), s.b.weight.T),
        },
    ),
    "recurrence": Case(
        recurrent, lambda: {**two_linear(), "r": L(6, 6)}, {**AB, "r": columns("r.weight")},
        "layer r is used more than once",
    ),
    "gated_cell": Case(
        gated, lambda: {"c": nn.GRUCell(2, 4), "b": L(4, 3)},
        {"c.layer_1": columns("c.weight_ih"), "c.layer_2": columns("c.weight_hh"), "b": columns("b.weight")},
        "breaks between c.layer_2 and b",
    ),
    "cell_with_a_memory": Case(
        with_memory, lambda: {"c": nn.LSTMCell(2, 4), "b": L(4, 3)},
        {"c.layer_1": columns("c.weight_ih"), "c.layer_2": columns("c.weight_hh"), "b": columns("b.weight")},
        "breaks between c.layer_2 and b",
    ),
    "attention_by_hand": Case(
        lambda s, x: (s.q(x) @ s.k(x).T).softmax(-1) @ s.v(x), lambda: {"q": L(2, 4), "k": L(2, 4), "v": L(2, 3)},
        {"q": columns("q.weight"), "k": columns("k.weight"), "v": columns("v.weight")},
        "breaks between v and the output: 'matmul' joins",
    ),
    "packed_projections": Case(
        lambda s, x: s.b(s.t(x[None], x[None], x[None], need_weights=False)[0][0]),
        lambda: {"t": nn.MultiheadAttention(2, 1, batch_first=True), "b": L(2, 3)},
        {
            **{f"t.layer_{1 + part}": Columns("t.in_proj_weight", 2 * part, 2 * part + 2) for part in range(3)},
            "t.layer_4": columns("t.out_proj.weight"), "b": columns("b.weight"),
        },
        "'scaled_dot_product_attention' joins",
    ),
    "complex_gabor": Case(
        lambda s, x: s.o(gabor(s.b(gabor(s.a(x))))).real,
        lambda: {"a": L(2, 5), "b": L(5, 4, dtype=torch.cfloat), "o": L(4, 3, dtype=torch.cfloat)},
        {**AB, "o": columns("o.weight")}, "weight of o is complex",
    ),
    "one_network_for_each_block": Case(
        lambda s, x: s.e(x), lambda: {"e": Ensemble()},
        {"e.layer_1": Along({"e.values.0": 2}), "e.layer_2": Along({"e.values.2": 2})},
        {
            "e.layer_1": lambda s, i: at_blocks(i[0].view(4, -1, 2), s.e.values[0].transpose(1, 2)),
            "e.layer_2": lambda s, i: at_blocks(
                F.silu(i[0].view(4, -1, 2) @ s.e.values[0].transpose(1, 2) + s.e.values[1][:, None]),
                s.e.values[2].transpose(1, 2),
            ),
        },
    ),
    "index_table": Case(
        lambda s, x: s.m(s.table[rows_of(x)]), lambda: {"table": parameter(16, 2), **perceptron()}, TABLE,
        of_perceptron(lambda s, i: s.table[rows_of(i[0])]),
    ),
    "index_select": Case(
        lambda s, x: s.m(s.table.index_select(0, rows_of(x))), lambda: {"table": parameter(16, 2), **perceptron()},
        TABLE, of_perceptron(lambda s, i: s.table[rows_of(i[0])]),
    ),
    "tables_of_several_levels": Case(
        lambda s, x: s.m(torch.cat([s.table[0, rows_of(x)], s.table[1, rows_of(x) // 2]], -1)),
        lambda: {"table": parameter(2, 16, 1), **perceptron()},
        {"layer_1": Along({"table": 2}), **PERCEPTRON},
        of_perceptron(lambda s, i: torch.cat([s.table[0, rows_of(i[0])], s.table[1, rows_of(i[0]) // 2]], -1)),
    ),
    "three_planes": Case(
        planes, lambda: {**{name: parameter(1, 2, 3, 3) for name in "pqr"}, **perceptron()},
        {f"layer_{at}": Along({name: 1}) for at, name in enumerate("pqr", 1)} | PERCEPTRON,
        of_perceptron(lambda s, i: planes(_WithoutLayers(s), i[0])), (0.9 * COORDINATES,),
    ),
}  # fmt: skip


class _WithoutLayers:
    """What planes are sampled, without the layers behind."""

    def __init__(self, network: Any) -> None:
        self.p, self.q, self.r = network.p, network.q, network.r

    def m(self, values: Tensor) -> Tensor:
        return values
