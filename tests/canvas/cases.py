"""Small networks, written the way public code writes them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

torch.manual_seed(0)
H, W = 8, 6
P = H * W
L = nn.Linear
ys, xs = torch.meshgrid(torch.linspace(-1, 1, H), torch.linspace(-1, 1, W), indexing="ij")
xy = torch.stack([ys, xs], -1).view(P, 2)
cols = xy.view(H, W, 2).transpose(0, 1).reshape(P, 2)
z = torch.randn(1, 4, H, W)
mlp = nn.Sequential(L(2, 16), nn.SiLU(), L(16, 3))


def par(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * 0.3)


class Net(nn.Module):
    """A forward pass and what it uses."""

    def __init__(self, function: Callable[..., Any], **members: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = function
        for name, member in members.items():
            setattr(self, name, member)

    def forward(self, *args: Any) -> Any:
        return self.function(self, *args)


def write_in_place(s: Any, x: Tensor) -> Tensor:
    h = torch.sin(s.a(x))
    q = torch.zeros(len(x), 16)
    q[:, :8] = 2 * h[:, :8]
    return s.b(torch.sin(h + q))


def write_output(s: Any, x: Tensor) -> Tensor:
    h = torch.relu(s.a(x))
    out = torch.zeros(len(x), 4)
    out[:, :3], out[:, 3:] = s.rgb(h), s.density(h)
    return out


stem = {"a": L(1, 8), "b": L(8, 4 * P), "c": nn.Conv2d(4, 8, 3, padding=1), "o": nn.Conv2d(8, 3, 1)}
grid = xy.view(1, H, W, 2).flip(-1)
NETWORKS: dict[str, tuple[nn.Module, Any]] = {
    "matmul": (
        Net(lambda s, x: torch.sin(30 * (x.matmul(s.w.T) + s.b)).matmul(s.v.T), w=par(16, 2), b=par(16), v=par(3, 16)),
        xy,
    ),
    "matmul in the middle": (
        Net(lambda s, x: s.b(torch.sin(s.a(x).sin() @ s.w)), a=L(2, 16), w=par(16, 16), b=L(16, 3)),
        xy,
    ),
    "bmm, a weight per block": (
        Net(
            lambda s, x: torch.bmm(torch.relu(torch.bmm(x.view(4, -1, 2), s.w) + s.b), s.v).view(P, 3),
            w=par(4, 2, 8),
            b=par(4, 1, 8),
            v=par(4, 8, 3),
        ),
        xy,
    ),
    "einsum": (Net(lambda s, x: torch.einsum("pi,io->po", torch.sin(s.a(x)), s.w), a=L(2, 16), w=par(16, 3)), xy),
    "low rank": (
        Net(
            lambda s, x: s.b(torch.relu(s.a(x) + torch.linalg.multi_dot([x, s.u, s.v]))),
            a=L(2, 16),
            u=par(2, 2),
            v=par(2, 16),
            b=L(16, 3),
        ),
        xy,
    ),
    "columns first": (Net(lambda s, x: s.m(x).view(W, H, 3).transpose(0, 1), m=mlp), cols),
    "channels first (3, H, W)": (Net(lambda s, x: s.m(x).T.reshape(3, H, W), m=mlp), xy),
    "grey (H, W)": (Net(lambda s, x: s.m(x)[:, 0].view(H, W), m=mlp), xy),
    "five axes": (Net(lambda s, x: s.m(x).T.reshape(1, 3, 1, H, W), m=mlp), xy),
    "written in place": (Net(write_in_place, a=L(2, 16), b=L(16, 3)), xy),
    "output written in place": (Net(write_output, a=L(2, 16), rgb=L(16, 3), density=L(16, 1)), xy),
    "number from a tensor": (
        Net(lambda s, x: (lambda h: s.b(torch.sin(h / float(h.abs().max()))))(s.a(x)), a=L(2, 16), b=L(16, 3)),
        xy,
    ),
    "divided by its maximum": (
        Net(lambda s, x: (lambda h: s.b(torch.sin(h / h.max())))(s.a(x)), a=L(2, 16), b=L(16, 3)),
        xy,
    ),
    "complex": (Net(lambda s, x: s.o(torch.exp(1j * s.a(x))).real, a=L(2, 16), o=L(16, 3, dtype=torch.cfloat)), xy),
    "grid_sample behind a layer": (
        Net(
            lambda s, x: s.o(F.grid_sample(x[:, :1] + s.a(x), grid, align_corners=True)),
            a=nn.Conv2d(4, 8, 3, padding=1),
            o=nn.Conv2d(8, 3, 1),
        ),
        z,
    ),
    "sampled parameter grid": (
        Net(lambda s, x: s.m(F.grid_sample(s.g, grid, align_corners=True)[0].flatten(1).T), g=par(1, 2, 4, 4), m=mlp),
        xy,
    ),
    "embedding table": (Net(lambda s, x: s.m(s.e((x[:, 0] * 7 + 7).long())), e=nn.Embedding(16, 2), m=mlp), xy),
    "depthwise in a chain": (
        nn.Sequential(
            nn.Conv2d(4, 8, 3, padding=1), nn.GELU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 3, 1)
        ),
        z,
    ),
    "reflected border": (
        Net(lambda s, x: s.o(F.conv2d(F.pad(x, (1,) * 4, "reflect"), s.w)), w=par(8, 4, 3, 3), o=nn.Conv2d(8, 3, 1)),
        z,
    ),
    "chunks of pixels": (Net(lambda s, x: torch.cat([s.m(p) for p in x.split(20)]), m=mlp), xy),
    "vmap": (Net(lambda s, x: torch.vmap(s.m)(x), m=mlp), xy),
    "hard gate": (Net(lambda s, x: s.b(torch.sin(s.a(x))) * (s.g(x) > 0), a=L(2, 16), b=L(16, 3), g=L(2, 1)), xy),
    "hypernetwork": (
        Net(lambda s, x: s.b(torch.sin(F.linear(x, s.h(s.z).view(16, 2)))), z=par(4), h=L(4, 32), b=L(16, 3)),
        xy,
    ),
    "a factor per pixel": (Net(lambda s, x: s.m(x).view(1, P, 3) * torch.linspace(0, 1, P).view(1, P, 1), m=mlp), xy),
    "a stem before the image": (
        Net(lambda s, t: s.o(torch.relu(s.c(s.b(torch.relu(s.a(t))).view(1, 4, H, W)))), **stem),
        torch.tensor([[0.5]]),
    ),
    "channels last": (
        Net(
            lambda s, x: s.o(torch.relu(s.c(x)).contiguous(memory_format=torch.channels_last)),
            c=nn.Conv2d(4, 8, 3, padding=1),
            o=nn.Conv2d(8, 3, 1),
        ),
        z,
    ),
    "attention": (
        Net(
            lambda s, x: s.b(x_ := s.a(x)) + s.b(s.t(x_[None], x_[None], x_[None])[0][0]),
            a=L(2, 16),
            t=nn.MultiheadAttention(16, 2, batch_first=True),
            b=L(16, 3),
        ),
        xy,
    ),
    "dict in, dict out": (Net(lambda s, d: {"rgb": s.m(d["coords"])}, m=mlp), {"coords": xy}),
    "two inputs": (Net(lambda s, x, t: s.m(x * t), m=mlp), (xy, torch.tensor(0.5))),
}
