"""What ``claims.py`` measures of one run: each number beside its null, from the run's recordings."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
import torch

from xinc_pl import Canvas, Frame, LayerCanvas, RecordedRun
from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.comparison import match_neurons, sampled
from xinc_pl.analysis.contribution_vs_intensity import compare_with_intensity, frame_features
from xinc_pl.analysis.faithfulness import agreements
from xinc_pl.analysis.grouping_variance import compared_magnitudes, explained, movable, variance_nulls
from xinc_pl.analysis.motion import compare_with_motion, difference_between, flow_between
from xinc_pl.analysis.nulls import Null, shift_offsets
from xinc_pl.analysis.object_contributions import (
    MIN_AREA,
    concentration,
    mean_contributions,
    object_contributions,
    objects_of,
)
from xinc_pl.analysis.partitions import Partition, PartitionUnavailableError, labels_of
from xinc_pl.analysis.place_or_content import ContentPath, content_path, place_or_content, quartiles
from xinc_pl.canvas import Convention, stream_change
from xinc_pl.canvas.dissect import dissect_recording

CONVENTIONS: tuple[Convention, ...] = ("paper", "effect")
NUM_SHIFTS, NUM_COMPARED, NUM_PLACED, NUM_REMOVED, MAX_NEURONS = 199, 128, 64, 64, 512
ALONG_CONTENT, SAME_PLACE = "like its earlier map along content", "like its earlier map at the same place"
MIN_MOTION = 0.5
"""Pixels from a frame to the next."""
_GABOR = Partition("gabor")


@dataclass(frozen=True)
class Measured:
    """One number of one run.

    Attributes:
        claim: What it is about.
        convention: Of the maps.
        layer: The layer.
        value: The number.
        null: What it has to beat; NaN where nothing is known.
        p: Of the null; NaN where there is none.
        epoch: Completed epochs.
    """

    claim: str
    convention: str
    layer: str
    value: float
    null: float
    p: float
    epoch: int

    def written(self) -> Mapping[str, object]:
        """For JSON, which has no NaN."""
        return {
            key: None if isinstance(it, float) and not math.isfinite(it) else it for key, it in asdict(self).items()
        }

    @classmethod
    def read(cls, written: Mapping[str, object]) -> "Measured":
        """From JSON."""
        return cls(**{key: math.nan if it is None else it for key, it in written.items()})  # type: ignore[arg-type] # our own


@dataclass(frozen=True)
class Moment:
    """A run at one epoch.

    Args:
        run: With recordings of the frames.
        epoch: Completed epochs.
        frames: Indices of what is looked at: of an image (0,); of a clip the earlier frame, the previous and the last.
        clip: All frames of the clip.
    """

    run: RecordedRun
    epoch: int
    frames: tuple[int, ...]
    clip: tuple[Frame, ...]

    def canvas(self, index: int, convention: Convention) -> Canvas:
        """Of one frame; statistics are about a sample of large layers."""
        return dissect_recording(self.run.recording(self.epoch, index), convention=convention, max_neurons=MAX_NEURONS)


def measured(moment: Moment, path: ContentPath | None, seed: int = 0) -> Iterator[Measured]:
    """All numbers of a run at one epoch, under both conventions.

    Args:
        moment: Which.
        path: Where content was, of a clip in which something moves.
        seed: Of neurons and shifts.
    """
    for convention in CONVENTIONS:
        canvases = {index: moment.canvas(index, convention) for index in moment.frames}
        for layer in canvases[moment.frames[-1]].main_layers:
            layers = {index: canvas[layer] for index, canvas in canvases.items()}
            for claim, value, null, p in _of_layer(moment, layers, path, seed):
                yield Measured(claim, convention, layer, value, null, p, moment.epoch)
    yield from _of_removal(moment, seed)
    if len(moment.frames) == 1:
        yield from _of_zero_maps(moment)


Found = tuple[str, float, float, float]


def _of_layer(
    moment: Moment, layers: Mapping[int, LayerCanvas], path: ContentPath | None, seed: int
) -> Iterator[Found]:
    now, frame = layers[moment.frames[-1]], moment.clip[moment.frames[-1]]
    yield from _groups(now, frame, seed)
    assert frame.target is not None, "data have targets"
    compared = compare_with_intensity(now.name, now.totals().total, frame_features(frame.target))
    for name, null in (("intensity", compared.with_intensity), ("edges", compared.with_edges)):
        yield f"correlation with {name}, absolute", abs(null.actual), _mean_size(null), null.p
    yield from _categories(moment, layers, seed)
    if len(moment.frames) > 1:
        yield from _motion(moment, layers)
    if path is not None:
        yield from _place(layers[moment.frames[0]], now, path, seed)


def _groups(canvas: LayerCanvas, frame: Frame, seed: int) -> Iterator[Found]:
    """Variance of deltas over that of shifted clusters; of objects also over what colour and place leave."""
    labels = {}
    for name in ("rgb", "gabor", "instances"):
        try:
            labels[Partition(name)] = labels_of(Partition(name), frame)  # type: ignore[arg-type] # a name
        except PartitionUnavailableError:
            continue
    clusters = movable(labels)
    magnitudes = compared_magnitudes(canvas, NUM_COMPARED, seed)
    nulls = variance_nulls(magnitudes, clusters, NUM_SHIFTS, seed)
    for partition, null in nulls.items():
        yield f"{partition.name}: variance over shifts'", null.ratio, 1.0, null.p
    objects, colours = Partition("instances"), Partition("rgb")
    if objects in nulls and colours in labels:
        left = explained(magnitudes, clusters[objects], labels[colours], seed)
        for name, rest in (("colour", left.colour), ("place", left.place)):
            ratio = nulls[objects].actual / rest if rest > 0 else math.nan
            yield f"instances: variance over what {name} explains", ratio, 1.0, math.nan


def _categories(moment: Moment, layers: Mapping[int, LayerCanvas], seed: int) -> Iterator[Found]:
    frames = [moment.clip[index] for index in layers]
    objects = objects_of(frames, MIN_AREA)
    if not objects:
        return
    layer = next(iter(layers.values()))
    neurons = sample_neurons(layer.num_neurons, NUM_COMPARED, seed)
    means = [
        mean_contributions(canvas.magnitudes(torch.from_numpy(neurons)), frame, objects, MIN_AREA)
        for canvas, frame in zip(layers.values(), frames, strict=True)
    ]
    found = concentration(object_contributions(layer.name, neurons, objects, means), seed)
    if found is not None:
        null = found.null
        yield "objects of other categories over those of one", null.actual, null.median, max(null.p, found.floor)


def _motion(moment: Moment, layers: Mapping[int, LayerCanvas]) -> Iterator[Found]:
    before, now = (moment.clip[index] for index in moment.frames[-2:])
    flow = flow_between(before, now)
    if flow is None:
        return
    (change,) = stream_change([layers[index] for index in moment.frames[-2:]])
    layer = layers[now.index].name
    found = compare_with_motion(layer, change, flow, difference_between(before, now), None, MIN_MOTION)
    ratio, partial = found.moving_over_still, found.given_difference
    yield "change, moving over still", ratio.actual, ratio.median, ratio.p
    yield "change and motion, given the difference", partial.actual, partial.median, partial.p


def placed(moment: Moment, path: ContentPath, seed: int) -> Iterator[Measured]:
    """How like neurons are to their earlier maps, along the content and at the same place, of every layer's ``paper``.

    Args:
        moment: Of a clip.
        path: Where content was.
        seed: Of neurons and shifts.
    """
    canvases = [moment.canvas(index, "paper") for index in (moment.frames[0], moment.frames[-1])]
    for layer in canvases[0].main_layers:
        for claim, value, null, p in _place(*(canvas[layer] for canvas in canvases), path, seed):
            yield Measured(claim, "paper", layer, value, null, p, moment.epoch)


def _place(before: LayerCanvas, now: LayerCanvas, path: ContentPath, seed: int) -> Iterator[Found]:
    neurons = torch.from_numpy(sample_neurons(now.num_neurons, NUM_PLACED, seed))
    offsets = shift_offsets(now.size, NUM_SHIFTS, seed)
    maps = before.magnitudes(neurons), now.magnitudes(neurons)
    found = place_or_content(now.name, *maps, path, None, offsets)
    yield ALONG_CONTENT, found.null.actual, found.null.median, found.null.p
    yield SAME_PLACE, quartiles(found.place)[1], math.nan, math.nan


def _of_removal(moment: Moment, seed: int) -> Iterator[Measured]:
    """Whether contributions tell what the last frame loses without a neuron: how much, and where."""
    last = moment.frames[-1]
    canvases = {convention: moment.canvas(last, convention) for convention in CONVENTIONS}
    for layer in canvases["effect"].main_layers:
        neurons = torch.from_numpy(sample_neurons(canvases["effect"][layer].num_neurons, NUM_REMOVED, seed))
        of_layer = {convention: [each[layer]] for convention, each in canvases.items()}
        for each in agreements([canvases["effect"]], of_layer, layer, neurons, seed):
            rank, spatial = each.rank_correlation.value, each.spatial_correlation.value
            same = each.convention, layer
            yield Measured("removal: how much, rank correlation", *same, rank, math.nan, math.nan, moment.epoch)
            control = each.spatial_control.value
            yield Measured("removal: where, correlation", *same, spatial, control, math.nan, moment.epoch)


def _of_zero_maps(moment: Moment) -> Iterator[Measured]:
    """Neurons that the released formula calls dead: how many, how many have no input, and what they contribute."""
    released, effect = (moment.canvas(0, convention) for convention in ("released", "effect"))
    for layer in released:
        dead = released[layer].totals()
        sums = effect[layer].totals().sum
        share, silent = (float(each.double().mean()) for each in (dead.zero_map, dead.zero_input))
        yield Measured("zero maps, against silent inputs", "released", layer, share, silent, math.nan, moment.epoch)
        if bool(dead.zero_map.any()) and float(sums.sum()) > 0:
            of_dead = float(sums[dead.zero_map].mean() / sums.mean())
            claim = "effect of a neuron of zero map, over the mean"
            yield Measured(claim, "effect", layer, of_dead, 0.0, math.nan, moment.epoch)


def _mean_size(null: Null) -> float:
    return float(np.abs(null.known).mean()) if len(null.known) else math.nan


def path_of(clip: tuple[Frame, ...], frames: tuple[int, ...]) -> ContentPath | None:
    """Where the content of the last frame was in the first of some; None where nothing moves far enough."""
    steps = clip[frames[0] : frames[-1] + 1]
    flows = [flow_between(before, now) for before, now in pairwise(steps)]
    known = [flow for flow in flows if flow is not None]
    first, last = steps[0].target, steps[-1].target
    if not known or len(known) < len(flows) or first is None or last is None:
        return None
    path = content_path(known, first, last)
    return path if path.compared.any() else None


def similarities(run: Moment, same: Moment, other: Moment, beginning: Moment) -> Iterator[Measured]:
    """Of matched neurons: with another seed, beside another signal, the own beginning, and shuffled vectors.

    Args:
        run: At its end.
        same: The same signal, another seed, at its end.
        other: Another signal, another seed, at its end.
        beginning: ``run`` before its first step.
    """
    labels = {_GABOR.key: labels_of(_GABOR, run.clip[run.frames[-1]])}
    for convention in CONVENTIONS:
        canvases = [each.canvas(each.frames[-1], convention) for each in (run, same, other, beginning)]
        for layer in canvases[0].main_layers:
            known = [canvas[layer].totals(labels) for canvas in canvases]
            vectors = [sampled(each.vectors(_GABOR.key), each.num_neurons) for each in known]
            if min(len(each.neurons) for each in vectors) == 0:
                continue
            with_same, with_other, with_own = (match_neurons(vectors[0], each) for each in vectors[1:])
            yield Measured(
                "seeds: like another seed's, against another signal's",
                convention,
                layer,
                with_same.mean,
                with_other.mean,
                math.nan,
                run.epoch,
            )
            yield Measured(
                "seeds: like its own beginning, against shuffled vectors",
                convention,
                layer,
                with_own.mean,
                with_same.control,
                math.nan,
                run.epoch,
            )
