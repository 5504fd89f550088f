"""One layer on the frames of a video: its maps on frame after frame, and how they change between them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from xinc_pl.canvas.layer_canvas import LayerCanvas
from xinc_pl.canvas.recording.undisturbed import undisturbed
from xinc_pl.canvas.statistics.change import change_of_layers
from xinc_pl.canvas.statistics.lock_step import check_same_layer, frames_at_once
from xinc_pl.canvas.statistics.results import LayerStatistics
from xinc_pl.canvas.statistics.streaming import Partitions, stream_layers


def stream_statistics(
    canvases: Iterable[LayerCanvas],
    partitions: Iterable[Partitions] | None = None,
    mass: Sequence[float] = (0.1, 0.5),
) -> Iterator[LayerStatistics]:
    """Statistics of one layer on consecutive frames of a video, some frames in lock-step at a time.

    The same as ``statistics`` of each canvas, and ``change`` against the frame before, without ever holding the maps
    of a frame. Canvases are taken as they are needed and let go of, so that memory does not grow with the video if
    they are made on the way: ``stream_statistics(dissect(network, time)["block_1"] for time in times)``.

    Args:
        canvases: The layer's canvas on each frame.
        partitions: Of each frame.
        mass: For which shares x of the whole a threshold is wanted.

    Yields:
        The statistics of each frame.

    Raises:
        ValueError: The canvases are of different layers, weights or samples, or there are none; there are not as many
            partitions; otherwise as ``statistics``.
    """
    remaining = None if partitions is None else iter(partitions)
    num_done = 0
    for window in _windows(canvases):
        rules = [canvas._rule for canvas in window]
        num_frames = len(rules) - (num_done > 0)  # all but the first window begin with the frame before them
        own = [{}] * num_frames if remaining is None else list(islice(remaining, num_frames))
        if len(own) < num_frames:
            raise ValueError(
                f"there are partitions for {num_done + len(own)} frames, but at least {num_done + num_frames} "
                "canvases; give one of each for every frame"
            )
        with undisturbed():
            statistics = stream_layers(rules, window[0].sample, own, mass)
        del rules
        num_done += num_frames
        yield from statistics
    if remaining is not None and next(remaining, None) is not None:
        raise ValueError(
            f"there are {num_done} canvases, but partitions for more frames; give one of each for every frame"
        )


def stream_change(canvases: Iterable[LayerCanvas]) -> Iterator[Tensor]:
    """Only the change between consecutive frames, in one pass instead of the two or three of ``stream_statistics``.

    Args:
        canvases: The layer's canvas on each frame.

    Yields:
        For every frame but the first, float64 (H, W) on the CPU: the sum over neurons (of the ``sample``) of how much
        their magnitudes differ from those in the frame before.

    Raises:
        ValueError: As ``stream_statistics``.
    """
    for window in _windows(canvases):
        if len(window) == 1:  # nothing to compare it with yet
            continue
        with undisturbed():
            changes = change_of_layers([canvas._rule for canvas in window], window[0].sample)
        yield from changes


def _windows(canvases: Iterable[LayerCanvas]) -> Iterator[list[LayerCanvas]]:
    """Frames that go in lock-step; all but the first of these windows begin with the last frame of the one before.

    It is one list, which changes: nothing else holds on to canvases that have been seen.
    """
    remaining = iter(canvases)
    window = list(islice(remaining, 1))
    if not window:
        raise ValueError("no canvases were given; give that of at least one frame")
    length = frames_at_once(window[0].size)
    window += islice(remaining, length - 1)
    while True:
        _check_comparable(window)
        yield window
        del window[:-1]
        window += islice(remaining, length)
        if len(window) == 1:
            return


def _check_comparable(canvases: Sequence[LayerCanvas]) -> None:
    check_same_layer([canvas._rule for canvas in canvases])
    if not all(torch.equal(canvas.sample, canvases[0].sample) for canvas in canvases[1:]):
        raise ValueError(f"the canvases of {canvases[0].name} have different samples of neurons; use one seed for all")
