"""Statistics of the frames of a video: in lock-step, and what changes between them."""

import weakref
from collections.abc import Callable, Iterator

import pytest
import torch
from networks import dense_network, kernel_network
from statistics_checks import (
    MASSES,
    SIZE,
    assert_same,
    count_everything_in_a_third_pass,
    generator,
    partitions_for,
    video,
)
from tiny import tiny_clip, tiny_video

import xinc_pl.canvas.statistics.lock_step
import xinc_pl.canvas.statistics.thresholds
from xinc_pl.canvas import LayerCanvas, MapGroup, dissect, stream_change, stream_statistics

pytestmark = pytest.mark.usefixtures("no_warnings")
NETWORK = tiny_video().network
FRAMES = tiny_clip().frames


@pytest.mark.parametrize("third_pass", [False, True])
def test_frames_in_lock_step(monkeypatch: pytest.MonkeyPatch, third_pass: bool) -> None:
    if third_pass:
        count_everything_in_a_third_pass(monkeypatch)
    canvases = [video(frame=frame) for frame in range(3)]
    for name in canvases[0]:
        layers = [canvas[name] for canvas in canvases]
        partitions = [partitions_for(layer.size, seed) for seed, layer in enumerate(layers)]
        together = list(stream_statistics(layers, partitions, MASSES))
        assert together[0].change is None
        for layer, frame, statistics in zip(layers, partitions, together, strict=True):
            assert_same(statistics, layer.statistics(frame, MASSES))
        for before, layer, statistics in zip(layers[:-1], layers[1:], together[1:], strict=True):
            expected = (layer.magnitudes().double() - before.magnitudes().double()).abs().sum(0)
            assert statistics.change is not None
            assert statistics.change.dtype == torch.float64
            torch.testing.assert_close(statistics.change, expected, rtol=1e-5, atol=1e-6 * float(expected.mean()))


def test_canvases_are_let_go_of_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xinc_pl.canvas.statistics.lock_step, "_MAX_FRAMES", 2)
    alive: weakref.WeakSet[LayerCanvas] = weakref.WeakSet()
    most = 0

    def canvases() -> Iterator[LayerCanvas]:
        nonlocal most
        for frame in range(9):
            layer = video(frame=frame)["layers.0"]
            alive.add(layer)
            most = max(most, len(alive))
            yield layer
            del layer

    assert len(list(stream_statistics(canvases()))) == 9
    assert most == 3, "two frames and the one before them"


def test_frames_that_are_equal_do_not_change() -> None:
    statistics = list(stream_statistics([video()["layers.0"]] * 2))
    assert statistics[1].change is not None
    assert not statistics[1].change.any()
    assert video()["layers.0"].statistics().change is None


def test_frames_of_a_sample() -> None:
    layers = [video(max_neurons=5, frame=frame)["layers.0"] for frame in range(2)]
    _, statistics = stream_statistics(layers)
    first, second = (layer.magnitudes(layer.sample).double() for layer in layers)
    assert statistics.change is not None
    torch.testing.assert_close(statistics.change, (second - first).abs().sum(0), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("max_neurons", [None, 5])
@pytest.mark.parametrize("frames_at_once", [1, 2, 8])
def test_only_the_change(monkeypatch: pytest.MonkeyPatch, max_neurons: int | None, frames_at_once: int) -> None:
    canvases = [video(max_neurons=max_neurons, frame=frame) for frame in range(5)]
    for name in canvases[0]:
        layers = [canvas[name] for canvas in canvases]
        with monkeypatch.context() as patch:
            patch.setattr(xinc_pl.canvas.statistics.lock_step, "_MAX_FRAMES", frames_at_once)
            changes = list(stream_change(layers))
        assert len(changes) == 4
        for change, statistics in zip(changes, list(stream_statistics(layers))[1:], strict=True):
            assert statistics.change is not None
            assert torch.equal(change, statistics.change)


@pytest.mark.parametrize("frames_at_once", [1, 8])
def test_one_frame_does_not_change_and_nothing_is_computed(
    monkeypatch: pytest.MonkeyPatch, frames_at_once: int
) -> None:
    monkeypatch.setattr(xinc_pl.canvas.statistics.lock_step, "_MAX_FRAMES", frames_at_once)
    layer = video()["layers.0"]
    monkeypatch.setattr(MapGroup, "magnitudes", lambda *_: pytest.fail("maps were made"))
    assert list(stream_change([layer])) == []


@pytest.mark.parametrize("frames_at_once", [1, 2, 3])
def test_how_many_frames_go_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch, frames_at_once: int) -> None:
    layers = [video(frame=frame)["layers.0"] for frame in range(5)]
    partitions = [partitions_for(layers[0].size, seed) for seed in range(5)]
    expected = list(stream_statistics(layers, partitions))
    monkeypatch.setattr(xinc_pl.canvas.statistics.lock_step, "_MAX_FRAMES", frames_at_once)
    for one, other in zip(stream_statistics(layers, partitions), expected, strict=True):
        assert_same(one, other)
        assert (one.change is None) == (other.change is None)
        assert one.change is None or torch.equal(one.change, other.change)


@pytest.mark.parametrize("stream", [stream_statistics, stream_change])
def test_no_frames_are_refused(stream: Callable[[list[LayerCanvas]], Iterator[object]]) -> None:
    with pytest.raises(ValueError, match="no canvases"):
        list(stream([]))


def test_frames_of_different_layers_are_refused() -> None:
    canvas = video()
    with pytest.raises(ValueError, match=r"layers\.0.*layers\.1"):
        list(stream_statistics([canvas["layers.0"], canvas["layers.1"]]))


def test_frames_of_different_weights_are_refused() -> None:
    inputs = torch.randn(1, 2, 3, 4, generator=generator())
    layers = [dissect(kernel_network((2, 3), (2,), (3,), "relu", seed=seed)[0], inputs) for seed in (0, 1)]
    with pytest.raises(ValueError, match="different weights"):
        list(stream_statistics(canvas["layers.0"] for canvas in layers))


def test_frames_of_different_conventions_are_refused() -> None:
    network, _ = dense_network((4, 9, 3), "relu")
    inputs = torch.randn(12, 4, generator=generator())
    layers = [dissect(network, inputs, size=SIZE, convention=c)["layers.0"] for c in ("paper", "released")]
    with pytest.raises(ValueError, match=r"paper.*released"):
        list(stream_statistics(layers))


@pytest.mark.parametrize("stream", [stream_statistics, stream_change])
def test_frames_of_different_samples_are_refused(stream: Callable[[list[LayerCanvas]], Iterator[object]]) -> None:
    with pytest.raises(ValueError, match="sample"):
        list(stream([video(max_neurons=5, seed=seed)["layers.0"] for seed in (0, 1)]))


def test_as_many_partitions_as_frames_are_asked_for() -> None:
    partitions = partitions_for(video()["layers.0"].size)
    with pytest.raises(ValueError, match=r"for 1 frames, but at least 2 canvases"):
        list(stream_statistics([video()["layers.0"]] * 2, [partitions]))
    with pytest.raises(ValueError, match=r"2 canvases, but partitions for more"):
        list(stream_statistics([video()["layers.0"]] * 2, [partitions] * 3))


@pytest.mark.parametrize("backend", ["torch", "numba"])
@pytest.mark.parametrize("layer", ["block_1", "block_2", "head"])
def test_change_is_that_of_the_maps_and_of_the_statistics(backend: str, layer: str) -> None:
    canvases = [dissect(NETWORK, frame.inputs, backend=backend)[layer] for frame in FRAMES[:3]]  # type: ignore[arg-type]
    changes = list(stream_change(canvases))
    statistics = list(stream_statistics(canvases))
    maps = [canvas.magnitudes().double() for canvas in canvases]
    assert len(changes) == 2
    for index, change in enumerate(changes):
        assert change.dtype == torch.float64
        torch.testing.assert_close(change, (maps[index + 1] - maps[index]).abs().sum(0), rtol=1e-5, atol=1e-9)
        torch.testing.assert_close(change, statistics[index + 1].change, rtol=1e-12, atol=0)


def test_one_frame_has_no_change_and_different_layers_are_refused() -> None:
    canvas = dissect(NETWORK, FRAMES[0].inputs)
    assert list(stream_change([canvas["head"]])) == []
    with pytest.raises(ValueError, match="different layers"):
        list(stream_change([canvas["head"], canvas["block_1"]]))
