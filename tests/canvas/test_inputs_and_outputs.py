"""What a network is called with, which part of its result is the image, and what nothing is known of."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from case_oracle import COORDINATES, SIZE
from networks import Written
from torch import Tensor, nn

from xinc_pl.canvas import Canvas, DissectionError, dissect
from xinc_pl.canvas.recording.recording import Inputs

TIME = torch.tensor(2.0)


class Timed(nn.Module):
    """Takes coordinates and a time, in some nest of tensors."""

    def __init__(self, taken: Callable[..., tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(2, 6), nn.Linear(6, 3)
        self.taken = taken

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        coordinates, time = self.taken(*args, **kwargs)
        result: Tensor = self.b(torch.sin(self.a(coordinates * time)))
        return result


CALLED: dict[str, tuple[Callable[..., tuple[Tensor, Tensor]], Any]] = {
    "tuple": (lambda x, t: (x, t), (COORDINATES, TIME)),
    "list": (lambda both: (both[0], both[1]), [COORDINATES, TIME]),
    "dictionary": (lambda both: (both["x"], both["t"]), {"x": COORDINATES, "t": TIME}),
    "names": (lambda *, x, t: (x, t), Inputs(x=COORDINATES, t=TIME)),
    "both": (lambda x, *, t: (x, t), Inputs(COORDINATES, t=TIME)),
    "nest": (lambda x, more: (x, more["times"][0][1]), (COORDINATES, {"times": [(None, TIME, "s")]})),
    "a_number": (lambda x, t: (x, t), (COORDINATES, 2.0)),
}


@pytest.mark.parametrize("convention", ["paper", "effect"])
@pytest.mark.parametrize("how", CALLED)
def test_inputs_of_any_nest(how: str, convention: Any) -> None:
    taken, inputs = CALLED[how]
    expected = dissect(Timed(lambda x: (x, TIME)), COORDINATES, size=SIZE, convention=convention)
    before = COORDINATES.clone()
    canvas = dissect(Timed(taken), inputs, size=SIZE, convention=convention)
    assert list(canvas) == list(expected) == ["a", "b"]
    for name, layer in expected.items():
        torch.testing.assert_close(canvas[name].maps(), layer.maps())
    assert torch.equal(COORDINATES, before)


RESULTS: dict[str, tuple[Callable[[Tensor], Any], Any]] = {
    "key": (lambda image: {"rgb": image, "depth": image[:, :1]}, "rgb"),
    "index": (lambda image: (None, image), 1),
    "path": (lambda image: {"levels": [None, {"rgb": image}]}, ("levels", 1, "rgb")),
    "attribute": (lambda image: SimpleNamespace(sample=image), "sample"),
    "function": (lambda image: {"levels": [None, {"rgb": image}]}, lambda result: result["levels"][1]["rgb"]),
}


def with_result(made: Callable[[Tensor], Any], output: Any, convention: Any) -> Canvas:
    torch.manual_seed(0)
    network = Written(lambda s, x: made(s.b(torch.sin(s.a(x)))), a=nn.Linear(2, 6), b=nn.Linear(6, 3))
    return dissect(network, COORDINATES, size=SIZE, output=output, convention=convention)


@pytest.mark.parametrize("convention", ["paper", "effect"])
@pytest.mark.parametrize("how", RESULTS)
def test_the_image_in_any_result(how: str, convention: Any) -> None:
    expected = with_result(lambda image: image, None, convention)
    canvas = with_result(*RESULTS[how], convention)
    for name, layer in expected.items():
        assert torch.equal(canvas[name].maps(), layer.maps())


def test_what_the_function_computes_belongs_to_the_image() -> None:
    plain = with_result(lambda image: image, lambda image: image, "effect")
    dark = with_result(lambda image: {"rgb": image}, lambda result: 0.5 * result["rgb"], "effect")
    for name, layer in plain.items():
        torch.testing.assert_close(dark[name].maps(), 0.5 * layer.maps())


# What nothing is known of

UNKNOWN: dict[str, tuple[Callable[[Any, Tensor], Tensor], Callable[[], nn.Module]]] = {
    "gru": (lambda s, x: s.u(x[None])[0][0], lambda: nn.GRU(2, 4, batch_first=True)),
    "lstm": (lambda s, x: s.u(x[None])[0][0], lambda: nn.LSTM(2, 4, batch_first=True)),
    "bilinear": (lambda s, x: s.u(x, x.flip(1)), lambda: nn.Bilinear(2, 2, 4)),
    "embedding_bag": (lambda s, x: s.u((x[:, :1] * 7 + 7).long()), lambda: nn.EmbeddingBag(16, 4)),
}


@pytest.mark.parametrize("convention", ["paper", "effect"])
@pytest.mark.parametrize("what", UNKNOWN)
def test_layers_of_no_known_kind_are_named(what: str, convention: Any) -> None:
    forward, make = UNKNOWN[what]
    torch.manual_seed(0)
    network = Written(lambda s, x: s.b(torch.sin(forward(s, x))), u=make(), b=nn.Linear(4, 3)).eval()
    canvas = dissect(network, COORDINATES, size=SIZE, convention=convention)
    assert list(canvas) == ["b"]
    assert what in canvas.skipped["u"]
    assert "no kind of layer covers" in canvas.skipped["u"]


def test_a_network_of_such_layers_alone_is_refused() -> None:
    network = Written(lambda s, x: s.u(x[None])[0][0], u=nn.GRU(2, 3, batch_first=True))
    with pytest.raises(DissectionError, match="'gru' uses weights in a way that no kind of layer covers"):
        dissect(network, COORDINATES, size=SIZE, convention="effect")
