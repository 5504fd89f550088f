"""Networks that are no chains of layers: only their effect can be dissected."""

import torch
from effect_oracle import COORDINATES, IMAGE, Network, written
from torch import Tensor, nn
from torch.nn import functional as F

NOT_CHAINS: dict[str, tuple[Network, Tensor, int]] = {
    "skip_connection": (
        lambda: written(
            lambda s, x: (lambda h: s.c(h + s.b(h).relu()))(s.a(x).relu()),
            a=nn.Linear(2, 7), b=nn.Linear(7, 7), c=nn.Linear(7, 3),
        ),
        COORDINATES, 3,
    ),
    "concatenation": (
        lambda: written(
            lambda s, x: s.c(torch.cat([s.b(s.a(x).relu()).relu(), x], -1)),
            a=nn.Linear(2, 7), b=nn.Linear(7, 5), c=nn.Linear(7, 3),
        ),
        COORDINATES, 3,
    ),
    "layer_norm": (
        lambda: written(
            lambda s, x: s.b(s.n(s.a(x)).relu()), a=nn.Linear(2, 7, bias=False), n=nn.LayerNorm(7), b=nn.Linear(7, 3)
        ),
        COORDINATES, 2,
    ),
    "batch_norm": (
        lambda: written(
            lambda s, x: s.b(s.n(s.a(x)).relu()), a=nn.Linear(2, 7), n=nn.BatchNorm1d(7), b=nn.Linear(7, 3)
        ),
        COORDINATES, 2,
    ),
    "softmax_over_neurons": (
        lambda: written(lambda s, x: s.b(s.a(x).softmax(-1)), a=nn.Linear(2, 7), b=nn.Linear(7, 3)), COORDINATES, 2
    ),
    "softmax_attention": (
        lambda: written(
            lambda s, x: (s.q(x) @ s.k(x).T).softmax(-1) @ s.v(x),
            q=nn.Linear(2, 4), k=nn.Linear(2, 4), v=nn.Linear(2, 3),
        ),
        COORDINATES, 3,
    ),
    "fused_attention": (
        lambda: written(
            lambda s, x: s.b(F.scaled_dot_product_attention(*(s.a(x)[None, None],) * 3)[0, 0]),
            a=nn.Linear(2, 8), b=nn.Linear(8, 3),
        ),
        COORDINATES, 2,
    ),
    "gate": (
        lambda: written(
            lambda s, x: s.c(torch.sin(s.a(x)) * s.b(x).sigmoid()),
            a=nn.Linear(2, 7), b=nn.Linear(2, 7), c=nn.Linear(7, 3),
        ),
        COORDINATES, 3,
    ),
    "chunks": (
        lambda: written(
            lambda s, x: (lambda parts: s.b(parts[0] * parts[1].tanh()))(s.a(x).chunk(2, -1)),
            a=nn.Linear(2, 14), b=nn.Linear(7, 3),
        ),
        COORDINATES, 2,
    ),
    "pixels_change_places": (
        lambda: written(lambda s, x: s.b(s.a(x).relu()).flip(0), a=nn.Linear(2, 7), b=nn.Linear(7, 3)), COORDINATES, 2
    ),
    "stopped_gradient": (
        lambda: written(
            lambda s, x: s.b(s.a(x).detach().sin()) + s.c(x), a=nn.Linear(2, 7), b=nn.Linear(7, 3), c=nn.Linear(2, 3)
        ),
        COORDINATES, 3,
    ),
    "convolutions_with_a_skip_connection": (
        lambda: written(
            lambda s, x: (lambda h: s.c(F.gelu(h + s.b(F.gelu(h)))))(s.a(x)),
            a=nn.Conv2d(3, 2, 3, padding=1), b=nn.Conv2d(2, 2, 5, padding=2), c=nn.Conv2d(2, 3, 1),
        ),
        IMAGE, 3,
    ),
    "convolutions_with_group_norm": (
        lambda: written(
            lambda s, x: torch.sigmoid(s.b(s.n(F.pixel_shuffle(s.a(x), 2)))),
            a=nn.Conv2d(3, 16, 3, padding=1, bias=False), n=nn.GroupNorm(2, 4), b=nn.Conv2d(4, 3, 3, padding=1),
        ),
        IMAGE, 2,
    ),
    "convolutions_with_bilinear_upsampling": (
        lambda: written(
            lambda s, x: s.b(F.interpolate(s.a(x), scale_factor=2, mode="bilinear").relu()),
            a=nn.Conv2d(3, 4, 3, padding=1), b=nn.Conv2d(4, 3, 3, padding=1),
        ),
        IMAGE, 2,
    ),
}  # fmt: skip
