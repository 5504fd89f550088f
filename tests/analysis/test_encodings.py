from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from xinc_pl import FFN, NeRV, dissect
from xinc_pl.analysis.encodings import encodings
from xinc_pl.canvas import Recording, record
from xinc_pl.frames import pixel_coordinates

SIZE = (6, 8)
COORDINATES = pixel_coordinates(SIZE)


def ffn(seed: int) -> FFN:
    torch.manual_seed(seed)
    return FFN(num_frequencies=5, widths=(6, 4))


class Modulated(nn.Module):
    """Hidden values, and a weight, are multiplied by something fixed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 7), nn.Linear(7, 3)
        self.register_buffer("fixed", torch.rand(7))

    def forward(self, coordinates: Tensor) -> Tensor:
        """Colours."""
        hidden = self.first(coordinates).relu() * self.fixed
        return nn.functional.linear(hidden, self.last.weight * self.fixed, self.last.bias)


def test_the_first_layer_of_an_ffn_receives_its_fourier_features() -> None:
    network = ffn(0)
    canvas = dissect(network, COORDINATES, size=SIZE)
    (name,) = found = encodings(canvas)
    assert name == "layer_1"
    torch.testing.assert_close(found[name], network.encoding(COORDINATES))
    torch.testing.assert_close(found[name], encodings(dissect(ffn(0), COORDINATES, size=SIZE))[name])
    other = encodings(dissect(ffn(1), COORDINATES, size=SIZE))[name]
    assert not torch.allclose(found[name], other)


@pytest.mark.parametrize("convention", ["paper", "effect"])
def test_from_a_file_it_is_the_same(tmp_path: Path, convention: str) -> None:
    file = tmp_path / "recording.safetensors"
    recording = record(ffn(0), COORDINATES, size=SIZE)
    recording.save(file)
    (now,) = encodings(recording.dissect(convention=convention)).values()  # type: ignore[arg-type] # one of them
    (then,) = encodings(Recording.load(file).dissect(convention=convention)).values()  # type: ignore[arg-type]
    assert torch.equal(now, then)


def test_coordinates_are_an_encoding_even_where_a_weight_is_computed() -> None:
    network = nn.Sequential(weight_norm(nn.Linear(2, 5)), nn.ReLU(), nn.Linear(5, 3))
    (name,) = found = encodings(dissect(network, COORDINATES, size=SIZE))
    assert name == "0"
    assert torch.equal(found[name], COORDINATES)


def test_what_is_fixed_but_no_input_is_none() -> None:
    assert list(encodings(dissect(Modulated(), COORDINATES, size=SIZE))) == ["first"]


@pytest.mark.parametrize("convention", ["paper", "effect"])
def test_the_time_alone_is_none(convention: str) -> None:
    """All pixels have the same, and what differs are the weights."""
    network = NeRV((16, 32), strides=(2, 2), width=7, levels=6)
    canvas = dissect(network, torch.tensor([0.25], dtype=torch.float64), convention=convention)  # type: ignore[arg-type] # one of them
    assert not encodings(canvas)
