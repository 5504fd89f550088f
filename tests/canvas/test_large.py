"""Images too large to be kept: tile by tile, what the recording of all pixels gives, in bounded memory."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from statistics_checks import count_everything_in_a_third_pass
from torch import Tensor, nn

import xinc_pl.canvas.recording.large as large
from xinc_pl import FFN, dissect
from xinc_pl.analysis.encodings import encodings
from xinc_pl.canvas import Canvas, Inputs, Recording, RecordingFileError, record, stream_change, stream_statistics
from xinc_pl.canvas.recording.large import in_full
from xinc_pl.canvas.recording.recording import Recording as Recorded
from xinc_pl.canvas.rules.rule import CONVENTIONS, Convention
from xinc_pl.frames import pixel_coordinates
from xinc_pl.models import SIREN, WIRE, HashGrid

SIZE = (60, 71)
NUM_PIXELS = 60 * 71

pytestmark = pytest.mark.usefixtures("no_warnings")


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some ten tiles to an image; ``plainly`` takes it back."""
    monkeypatch.setattr(large, "MOST_BYTES", 0)
    monkeypatch.setattr(large, "FEWEST_PIXELS", 1)
    monkeypatch.setattr(large, "TILE_BYTES", 1 << 20)


def plainly(network: nn.Module, inputs: Any = None, **options: Any) -> Canvas:
    """The canvas of a recording that keeps all pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large, "FEWEST_PIXELS", 1 << 60)
        canvas = dissect(network, pixel_coordinates(SIZE) if inputs is None else inputs, size=SIZE, **options)
    assert canvas.recording.sample is None
    return canvas


def by_tiles(network: nn.Module, inputs: Any = None, **options: Any) -> Canvas:
    canvas = dissect(network, pixel_coordinates(SIZE) if inputs is None else inputs, size=SIZE, **options)
    assert canvas.recording.sample is not None
    assert not canvas.recording.calls
    return canvas


def small_ffn(seed: int = 0) -> FFN:
    torch.manual_seed(seed)
    return FFN(num_frequencies=40, widths=(24, 24))


def partitions() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(3, *SIZE, generator=generator) > 0.5
    return {"labels": torch.randint(0, 4, SIZE, generator=generator), "masks": masks}


def assert_same_layers(plain: Canvas, tiled: Canvas) -> None:
    assert list(plain) == list(tiled)
    assert plain.main_layers == tiled.main_layers
    assert plain.skipped == tiled.skipped
    torch.testing.assert_close(tiled.image, plain.image, rtol=1e-6, atol=1e-6)
    for name, layer in plain.items():
        other = tiled[name]
        assert other.size == layer.size
        assert other.num_neurons == layer.num_neurons
        assert other.completeness_error < 1e-5
        neurons = sorted({layer.num_neurons - 1, 0, layer.num_neurons // 2})
        close = {"rtol": 1e-5, "atol": 1e-5 * float(layer.magnitudes(neurons).max())}
        torch.testing.assert_close(other.maps(neurons), layer.maps(neurons), **close)
        torch.testing.assert_close(other.magnitudes(neurons), layer.magnitudes(neurons), **close)
        for window in (np.s_[:1, :1], np.s_[3:50, 1:-1]):
            made = other.maps(neurons, window=window)
            torch.testing.assert_close(made, layer.maps(neurons, window=window), **close)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_maps_have_the_same_bits(convention: Convention) -> None:
    plain, tiled = (make(small_ffn(), convention=convention) for make in (plainly, by_tiles))
    assert_same_layers(plain, tiled)
    for name, layer in plain.items():
        assert torch.equal(tiled[name].maps(), layer.maps())
        made, meant = tiled[name].maps([1, 0], per_output=True), layer.maps([1, 0], per_output=True)
        torch.testing.assert_close(made, meant, rtol=1e-5, atol=1e-6)
        streamed = list(tiled[name].stream())
        neurons, maps = torch.cat([part for part, _ in streamed]), torch.cat([each for _, each in streamed])
        assert torch.equal(maps[neurons.argsort()], layer.magnitudes())


@pytest.mark.parametrize("third_pass", [False, True])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_statistics_are_those_of_the_whole(
    convention: Convention, third_pass: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if third_pass:
        count_everything_in_a_third_pass(monkeypatch)
    plain, tiled = (make(small_ffn(), convention=convention) for make in (plainly, by_tiles))
    for name, layer in plain.items():
        one, other = layer.statistics(partitions()), tiled[name].statistics(partitions())
        assert other.size == SIZE
        assert other.thresholds == one.thresholds
        for mass, counts in one.neurons_per_pixel.items():
            assert torch.equal(other.neurons_per_pixel[mass], counts)
        for exact in ("minimum", "maximum", "zero_map", "zero_input"):
            assert torch.equal(getattr(other, exact), getattr(one, exact))
        assert all(map(torch.equal, other.histogram, one.histogram))
        for close in ("total", "sum"):
            torch.testing.assert_close(getattr(other, close), getattr(one, close), rtol=1e-6, atol=1e-6)
        # The mean of all neurons at a pixel may be rounded otherwise, and a value lie between the two.
        assert int((other.pixels_per_neuron - one.pixels_per_neuron).abs().max()) <= 1
        for partition in one.partitions:
            torch.testing.assert_close(other.partitions[partition], one.partitions[partition], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_top_neurons_are_the_same(convention: Convention) -> None:
    plain, tiled = (make(small_ffn(), convention=convention) for make in (plainly, by_tiles))
    for where in ((10, 20), partitions()["masks"][0]):
        for by in ("magnitude", "negative"):
            one, other = plain["layer_2"].top(where, by=by), tiled["layer_2"].top(where, by=by)
            assert torch.equal(one.neurons, other.neurons)
            # A single pixel's phases, hundreds, are rounded otherwise than those of many.
            torch.testing.assert_close(other.values, one.values, rtol=1e-4, atol=1e-5 * float(one.values.max()))
            assert other.total == pytest.approx(one.total, rel=1e-4)


class Transposed(nn.Module):
    """(1, C, P) of (1, 2, P), and a time that is no pixel's."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.time, self.last = nn.Linear(2, 16), nn.Linear(1, 16), nn.Linear(16, 3)

    def forward(self, at: Tensor, time: Tensor) -> dict[str, Tensor]:
        values = (self.first(at[0].T) + self.time(time)).sin()
        return {"image": self.last(values).T[None]}


NETWORKS: dict[str, Any] = {
    "SIREN": lambda: (SIREN(widths=(32, 32)), pixel_coordinates(SIZE), {}),
    "WIRE": lambda: (WIRE(widths=(16, 16)), pixel_coordinates(SIZE), {"convention": "effect"}),
    "HashGrid": lambda: (HashGrid(levels=3, widths=(16, 16)), pixel_coordinates(SIZE), {"convention": "effect"}),
    "half precision": lambda: (small_ffn().half(), pixel_coordinates(SIZE).half(), {}),
    "another axis": lambda: (
        Transposed(),
        Inputs(pixel_coordinates(SIZE).T[None], time=torch.ones(1)),
        {"convention": "effect", "output": "image"},
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_other_networks_of_pixels(name: str) -> None:
    torch.manual_seed(0)
    network, inputs, options = NETWORKS[name]()
    network = network.eval()
    assert_same_layers(plainly(network, inputs, **options), by_tiles(network, inputs, **options))


def test_rows_wider_than_a_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = plainly(small_ffn())
    monkeypatch.setattr(large, "TILE_BYTES", 1 << 14)
    tiled = by_tiles(small_ffn())
    assert len(tiled["layer_2"]._rule.tiles()) > SIZE[0]
    assert torch.equal(tiled["layer_2"].maps([3]), plain["layer_2"].maps([3]))
    one, other = (each["layer_2"].statistics(partitions(), (0.5,)) for each in (plain, tiled))
    assert one.thresholds == other.thresholds
    torch.testing.assert_close(other.partitions["masks"].sum, one.partitions["masks"].sum, rtol=1e-6, atol=1e-6)


def test_removal_and_gram() -> None:
    plain, tiled = (make(small_ffn(), convention="effect") for make in (plainly, by_tiles))
    neurons = {"layer_1": [3, 1, 40], "layer_3": [5, 0]}
    close = {"rtol": 1e-4, "atol": 1e-5}
    means = {name: plain.removal.means(name, some) for name, some in neurons.items()}
    for name, some in neurons.items():
        torch.testing.assert_close(tiled.removal.means(name, some), means[name], **close)
        torch.testing.assert_close(tiled.removal.input_rms(name), plain.removal.input_rms(name), **close)
        for own in (None, means[name]):
            one, other = (
                torch.cat([made for _, made in each.removal.each(name, some, own)]) for each in (plain, tiled)
            )
            torch.testing.assert_close(other, one, **close)
    for ablated in (None, means):
        one, other = (each.removal.together(neurons, ablated) for each in (plain, tiled))
        torch.testing.assert_close(other, one, **close)
        gram = plain.gram(neurons, ablated)
        torch.testing.assert_close(tiled.gram(neurons, ablated), gram, rtol=1e-4, atol=1e-5 * float(gram.max()))


def test_frames_in_lock_step() -> None:
    frames = [pixel_coordinates(SIZE) * scale for scale in (1.0, 0.9, 0.7)]

    def changes(make: Any) -> Iterator[Tensor | None]:
        yield from (each.change for each in stream_statistics(make(small_ffn(), at)["layer_2"] for at in frames))
        yield from stream_change(make(small_ffn(), at)["layer_2"] for at in frames)

    for one, other in zip(changes(plainly), changes(by_tiles), strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)


def test_the_whole_recording_can_be_had() -> None:
    plain, tiled = plainly(small_ffn()).recording, in_full(by_tiles(small_ffn()).recording)
    assert [call.name for call in plain.calls] == [call.name for call in tiled.calls]
    assert torch.equal(plain.output, tiled.output)
    assert tiled.size == SIZE


def test_what_it_was_called_with_may_change_later() -> None:
    network, at = small_ffn(), pixel_coordinates(SIZE)
    canvas = by_tiles(network, at)
    before = canvas["layer_2"].maps([0])
    at.zero_()
    nn.init.zeros_(network.linear_layers[0].weight)
    assert torch.equal(canvas["layer_2"].maps([0]), before)


def test_encodings_are_those_of_the_sample() -> None:
    one, other = (encodings(by_tiles(small_ffn(seed)))["layer_1"] for seed in (0, 1))
    assert torch.equal(one, encodings(by_tiles(small_ffn()))["layer_1"])
    assert not torch.equal(one, other)


class Scaled(nn.Module):
    """Values that depend on more than the pixel's own place."""

    def __init__(self, scale: Any) -> None:
        super().__init__()
        self.scale, self.layer = scale, nn.Linear(2, 3)

    def forward(self, at: Tensor) -> Tensor:
        out: Tensor = self.layer(self.scale(at))
        return out


def only_the_whole(at: Tensor) -> Tensor:
    return at.view(60, 71, 2).flip(0).reshape(-1, 2)


NOT_APART = {
    "the mean of all": lambda at: at - at.mean(0),
    "the largest of all": lambda at: at / at.abs().max(),
    "the largest of all, in one call": lambda at: torch.nn.functional.normalize(at, p=torch.inf, dim=0),
    "neighbours": lambda at: at + at.roll(1, 0),
    "sums": lambda at: at.cumsum(0),
    "how many there are": lambda at: at * len(at),
    "a shape": only_the_whole,
    "a constant of each": lambda at: at * torch.linspace(1, 2, NUM_PIXELS)[:, None],
    "a number": lambda at: at * float(at.sum()),
}


@pytest.mark.parametrize("name", NOT_APART)
def test_pixels_that_are_not_apart_are_kept_all(name: str) -> None:
    torch.manual_seed(0)
    network = Scaled(NOT_APART[name])
    recording = record(network, pixel_coordinates(SIZE), size=SIZE)
    assert recording.sample is None
    assert torch.equal(recording.output, network(pixel_coordinates(SIZE)))


def test_small_recordings_are_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "MOST_BYTES", 1 << 29)
    assert record(small_ffn(), pixel_coordinates(SIZE), size=SIZE).sample is None


def test_a_rule_that_knows_no_other_pixels_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = plainly(small_ffn())
    monkeypatch.setattr("xinc_pl.canvas.rules.linear.LinearRule.on", lambda self, some: None)
    canvas = dissect(small_ffn(), pixel_coordinates(SIZE), size=SIZE)
    assert canvas.recording.sample is None
    assert torch.equal(canvas["layer_2"].maps(), plain["layer_2"].maps())


def test_a_file_gives_the_same_bits(tmp_path: Path) -> None:
    live = record(small_ffn(), pixel_coordinates(SIZE), size=SIZE)
    live.save(tmp_path / "a.safetensors")
    again = Recording.load(tmp_path / "a.safetensors")
    assert again.sample is not None
    assert again.size == SIZE
    assert again.layer_names() == live.layer_names()
    assert torch.equal(again.output, live.output)
    for name, layer in live.dissect().items():
        assert torch.equal(again.dissect()[name].maps([0, 1]), layer.maps([0, 1]))


def test_a_file_has_all_pixels_and_a_sample_that_is_apart(tmp_path: Path) -> None:
    good = record(small_ffn(), pixel_coordinates(SIZE), size=SIZE)
    mixed = record(Scaled(NOT_APART["the mean of all"]), pixel_coordinates((1, 100)), size=(1, 100))
    too_few = (good.inputs[0][:-1],)
    for sample, inputs, message in (
        (good.sample, too_few, "an input of"),
        (mixed, good.inputs, "not apart"),
        (in_full(good), good.inputs, "no sample of pixels"),
    ):
        bad = Recorded((), inputs, good.parameters, good.returned, good.output, SIZE, {}, (), sample)
        with pytest.raises(RecordingFileError, match=message):
            Recording.of(bad).save(tmp_path / "a.safetensors")
        assert not (tmp_path / "a.safetensors").exists()


PROGRAM = """
import resource, sys, torch
from xinc_pl import FFN, dissect
from xinc_pl.frames import pixel_coordinates
torch.set_num_threads(1)
size, convention = (int(sys.argv[1]), int(sys.argv[2])), sys.argv[3]
def run(size):
    canvas = dissect(FFN(), pixel_coordinates(size), size=size, convention=convention)
    layer = canvas["layer_3"]
    assert layer.completeness_error < 1e-5
    layer.statistics()
    layer.maps([0])
    layer.top((1, 1))
run((16, 16))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run(size)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("convention", ["paper", "effect"])
def test_memory_does_not_grow_with_the_image(convention: str) -> None:
    def added(*size: int) -> int:
        words = [sys.executable, "-c", PROGRAM, *map(str, size), convention]
        return int(subprocess.run(words, check=True, capture_output=True, text=True, timeout=300).stdout)

    one, twice = added(512, 512), added(512, 1024)
    num_pixels = 512 * 512
    assert one < 500  # megabytes; a recording of all pixels takes 900
    assert twice - one < num_pixels * 300 / 2**20  # what is known of each pixel, which is not what led to it
