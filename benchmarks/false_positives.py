"""How often an untrained network passes each test: the tool's own false-positive rate.

A network that has learnt nothing knows nothing of the picture, so that of all tests on it one in twenty has p <= 0.05
if the null is right, fewer if it is careful. Every try has another network and another part of the default clip.

    python benchmarks/false_positives.py                # 200 tries, some minutes
    python benchmarks/false_positives.py --tries 40
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from xinc_pl import FFN, Collage, Frame, NeRV, dissect
from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.contribution_vs_intensity import compare_with_intensity, frame_features
from xinc_pl.analysis.grouping_variance import compared_magnitudes, movable, variance_nulls
from xinc_pl.analysis.motion import compare_with_motion, difference_between
from xinc_pl.analysis.nulls import shift_offsets
from xinc_pl.analysis.object_contributions import (
    MIN_AREA,
    concentration,
    mean_contributions,
    object_contributions,
    objects_of,
)
from xinc_pl.analysis.partitions import Partition, PartitionName, PartitionUnavailableError, labels_of
from xinc_pl.analysis.place_or_content import content_path, place_or_content
from xinc_pl.analysis.top_neurons import ratio_null
from xinc_pl.canvas import Canvas, stream_change
from xinc_pl.frames import frame_time, pixel_coordinates

SIZE = (64, 128)
WHOLE = (128, 256)
NUM_FRAMES, NUM_BACK = 30, 8
PARTITIONS: tuple[PartitionName, ...] = ("instances", "rgb", "gabor", "superpixels")
Found = Iterator[tuple[str, str, float]]
"""Which number, which layer, and p."""


def window_of(frames: Sequence[Frame], generator: np.random.Generator) -> list[Frame]:
    """The same random part of all frames, perhaps mirrored."""
    top, left = (int(generator.integers(0, whole - part + 1)) for whole, part in zip(WHOLE, SIZE, strict=True))
    flips = [axis for axis in (-2, -1) if generator.random() < 0.5]

    def part(values: Tensor) -> Tensor:
        return values[..., top : top + SIZE[0], left : left + SIZE[1]].flip(flips)

    found = []
    for frame in frames:
        instances = tuple(replace(each, mask=part(each.mask)) for each in frame.instances)
        flow = None if frame.flow is None else part(frame.flow)
        for axis in flips if flow is not None else ():
            assert flow is not None
            flow[{-1: 0, -2: 1}[axis]] *= -1
        assert frame.target is not None
        found.append(Frame(frame.index, frame.inputs, SIZE, part(frame.target), instances, flow))
    return found


def of_one_frame(canvas: Canvas, frame: Frame, seed: int) -> Found:
    """Grouping variance, intensity, edges."""
    labels = {}
    for name in PARTITIONS:
        try:
            partition = Partition(name, num_clusters=16)
            labels[partition] = labels_of(partition, frame)
        except PartitionUnavailableError:
            continue
    assert frame.target is not None
    features = frame_features(frame.target)
    clusters = movable(labels)
    for layer in canvas:
        magnitudes = compared_magnitudes(canvas[layer], seed=seed)
        for partition, null in variance_nulls(magnitudes, clusters, seed=seed).items():
            yield f"grouping variance, {partition.name}", layer, null.p
        for partition in (each for each in labels if each.name in ("instances", "rgb")):
            top = ratio_null(canvas[layer], labels[partition], 3, 24, seed)
            yield f"top neurons, {partition.name}", layer, top.p
        found = compare_with_intensity(layer, canvas[layer].totals().total, features)
        yield "correlation with intensity", layer, found.with_intensity.p
        yield "correlation with edges", layer, found.with_edges.p


def of_a_clip(network: nn.Module, frames: Sequence[Frame], whole: Frame, now: int, seed: int) -> Found:
    """Motion, place or content; and objects, those of the whole frame, for a part hardly holds two of a kind."""
    canvases = {index: dissect(network, frames[index].inputs) for index in (now - NUM_BACK, now - 1, now)}
    last, flow = frames[now], frames[now].flow
    assert flow is not None
    difference = difference_between(frames[now - 1], last)
    flows = [each.flow.double().numpy() for each in frames[now - NUM_BACK + 1 : now + 1] if each.flow is not None]
    before = frames[now - NUM_BACK].target
    assert before is not None
    assert last.target is not None
    path = content_path(flows, before, last.target, min_motion=4)
    objects = objects_of([whole], MIN_AREA)
    offsets = shift_offsets(SIZE, 24, seed)
    for layer in canvases[now]:
        earlier, previous, here = (canvases[index][layer] for index in (now - NUM_BACK, now - 1, now))
        (change,) = stream_change([previous, here])
        moved = compare_with_motion(layer, change, flow.double().numpy(), difference, None, 0.5)
        yield "correlation with motion", layer, moved.correlation.p
        yield "correlation with motion, given the difference", layer, moved.given_difference.p
        yield "change, moving over still", layer, moved.moving_over_still.p
        neurons = torch.from_numpy(sample_neurons(here.num_neurons, 64, seed))
        now_maps, before_maps = here.magnitudes(neurons), earlier.magnitudes(neurons)
        yield "along content", layer, place_or_content(layer, before_maps, now_maps, path, None, offsets).null.p
        means = mean_contributions(now_maps, whole, objects, MIN_AREA)
        of_objects = concentration(object_contributions(layer, neurons.numpy(), objects, [means]), seed)
        yield "concentration of categories", layer, float("nan") if of_objects is None else of_objects.null.p


def one_try(frames: Sequence[Frame], seed: int) -> Found:
    """All numbers of one network of each kind."""
    generator = np.random.default_rng(seed)
    window = window_of(frames, generator)
    now = int(generator.integers(NUM_BACK, NUM_FRAMES))
    torch.manual_seed(seed)
    nerv, ffn = NeRV(SIZE, strides=(4, 2, 2), model_size=1e5).eval(), FFN().eval()
    yield from of_one_frame(dissect(nerv, window[now].inputs), window[now], seed)
    masks = tuple(replace(each, mask=each.mask[::2, ::2]) for each in frames[now].instances)
    whole = Frame(now, frames[now].inputs, SIZE, None, masks)
    yield from of_a_clip(nerv, window, whole, now, seed)
    yield from of_one_frame(dissect(ffn, pixel_coordinates(SIZE), size=SIZE), window[now], seed)


def table(found: Mapping[tuple[str, str], Sequence[float]]) -> str:
    """A line per number and layer: how many tries pass, and what two standard errors above one in twenty are."""
    lines = ["| number | layer | p <= 0.05 | share | 5 % and twice its error |", "|---|---|---|---|---|"]
    for (name, layer), values in found.items():
        known = np.array(values)[np.isfinite(values)]
        if not len(known):
            continue
        passed, tries = int((known <= 0.05).sum()), len(known)
        most = 0.05 + 2 * np.sqrt(0.05 * 0.95 / tries)
        lines.append(f"| {name} | {layer} | {passed} of {tries} | {passed / tries:.3f} | {most:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Try, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first try")
    options = parser.parse_args()
    times = frame_time(torch.arange(NUM_FRAMES), NUM_FRAMES)
    clip = [replace(frame, inputs=times[frame.index, None]) for frame in Collage(WHOLE, num_frames=NUM_FRAMES).frames]
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for seed in range(options.first, options.first + options.tries):
        for name, layer, p in one_try(clip, seed):
            found[name, layer].append(p)
        if (seed + 1 - options.first) % 20 == 0:
            print(f"after {seed + 1 - options.first} tries:\n\n{table(found)}\n", flush=True)


if __name__ == "__main__":
    main()
