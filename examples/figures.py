"""The analysis figures of the paper from a finished run, one function each, without training anything.

    python examples/figures.py lightning_logs/version_0
    python examples/figures.py lightning_logs/version_0 lightning_logs/version_2      # two seeds: Fig. 14 as well
    python examples/figures.py lightning_logs/version_0 --checkpoint last.ckpt        # all frames: Fig. 8, 9 as well

A run with recordings (``CanvasRecorder``) is shown as it was at its last recorded epoch, on the frames that were
recorded; with ``--checkpoint`` on any frame. docs/reproduction.md says more about each figure.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure

from xinc_pl import DissectionError, RecordedRun, RunError, load_run, plots
from xinc_pl.analysis.canvas_sample import canvas_sample, mean_magnitude, neuron_label, sample_neurons
from xinc_pl.analysis.channels import as_rgb
from xinc_pl.analysis.comparison import compare_layer
from xinc_pl.analysis.contribution_vs_intensity import compare_with_intensity, frame_features
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.embedding import MIN_POINTS
from xinc_pl.analysis.grouping_variance import compared_magnitudes, movable, variance_distribution, variance_nulls
from xinc_pl.analysis.joint_layout import joint_layout
from xinc_pl.analysis.motion import compare_with_motion, difference_between, flow_between, residual_motion
from xinc_pl.analysis.neuron_layout import NeuronLayout, neuron_layout, neuron_points, paper_neighbours
from xinc_pl.analysis.object_contributions import MIN_AREA, mean_contributions, object_contributions, objects_of
from xinc_pl.analysis.partitions import Partition, PartitionName
from xinc_pl.analysis.representation_spread import spread_of
from xinc_pl.analysis.request import Request
from xinc_pl.canvas import CONVENTIONS, Convention, stream_change
from xinc_pl.names import path_part
from xinc_pl.plots.neuron_layout import Member, widened
from xinc_pl.runs import AnyRun

GABOR = Partition("gabor")
MASSES = (0.1, 0.5)
MAX_POINTS = 500

WHY = {
    "fig_05": "the frame has no target",
    "fig_08": "the frames have no instance masks, or only tiny ones",
    "fig_09": "no two neighbouring frames can be looked at; --checkpoint last.ckpt shows all frames of a video",
    "fig_10": f"fewer than {MIN_POINTS} neurons have a map that is not constant",
}
"""Why a figure may be missing."""


@dataclass(frozen=True)
class Shown:
    """A run as it was at its end, under one convention; what is of one frame is of ``index``, or of its first one."""

    run: AnyRun
    convention: Convention = "paper"
    index: int | None = None

    @property
    def frames(self) -> tuple[int, ...]:
        """Indices of the frames that can be looked at."""
        return self.run.frames if isinstance(self.run, RecordedRun) else tuple(range(self.run.num_frames or 1))

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Objects, colours, textures, places: as the paper says it, or as its authors' code does it."""
        rules: Literal["paper", "released"] = "released" if self.convention == "released" else "paper"
        names: tuple[PartitionName, ...] = ("instances", "rgb", "gabor", "comb" if rules == "released" else "grid")
        return tuple(Partition(name, convention=rules) for name in names)

    def frame(self, index: int) -> DissectedFrame:
        """One frame and its canvas, made once for all figures."""
        return _dissected(self, index)

    @property
    def first(self) -> DissectedFrame:
        """The frame that most figures are of."""
        return self.frame(self.frames[0] if self.index is None else self.index)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, input side first."""
        return tuple(self.first.canvas)


@cache
def _dissected(shown: Shown, index: int) -> DissectedFrame:
    """A frame whose layers' statistics tell all that figures want, so that one pair of passes serves them all."""
    run = shown.run
    source = run.recording(frame=index) if isinstance(run, RecordedRun) else run.network
    return DissectedFrame(run.frame(index), source, shown.convention, [Request((*shown.partitions, GABOR), MASSES)])


def maps(shown: Shown, layer: str) -> Figure:
    """Contribution maps of some neurons of a layer (Fig. 3, 11)."""
    frame = shown.first
    sample = canvas_sample(frame.canvas[layer], frame.statistics(layer), num_sampled=16, seed=0)
    target = None if frame.frame.target is None else as_rgb(frame.frame.target)
    picture = as_rgb(frame.reconstruction)
    return plots.contribution_canvas(sample, target, picture, epoch=shown.run.epoch, quality=frame.quality)


def grouping(shown: Shown, num_shifts: int = 24) -> Figure:
    """Variance of deltas over objects, colours, textures and places, beside their nulls (Fig. 4, 16)."""
    frame = shown.first
    labels = {each: frame.labels(each) for each in frame.available(shown.partitions)}
    clusters, results = movable(labels), []
    for layer in shown.layers:
        nulls = variance_nulls(compared_magnitudes(frame.canvas[layer]), clusters, num_shifts)
        statistics = frame.statistics(layer)
        results.append([variance_distribution(layer, statistics, each, nulls.get(each)) for each in labels])
    return plots.grouping_variance(results, epoch=shown.run.epoch, quality=frame.quality)


def intensity(shown: Shown) -> Figure | None:
    """Totals of all layers beside the frame's intensity and edges (Fig. 5)."""
    frame = shown.first
    if (target := frame.frame.target) is None:
        return None
    features = frame_features(target)
    results = [compare_with_intensity(layer, frame.statistics(layer).total, features) for layer in shown.layers]
    return plots.contribution_vs_intensity(
        results, features, as_rgb(target), epoch=shown.run.epoch, quality=frame.quality
    )


def spread(shown: Shown) -> Figure:
    """Pixels per neuron, and how the values of all maps are distributed (Fig. 6, 15, 18)."""
    spreads = [spread_of(layer, shown.first.statistics(layer), MASSES) for layer in shown.layers]
    return plots.representation_spread(spreads, epoch=shown.run.epoch, quality=shown.first.quality)


def neurons_per_pixel(shown: Shown) -> Figure:
    """Which share of a layer's neurons is above the thresholds, at each pixel (Fig. 7, 17)."""
    spreads = [spread_of(layer, shown.first.statistics(layer), MASSES) for layer in shown.layers]
    return plots.neurons_per_pixel(spreads, epoch=shown.run.epoch, quality=shown.first.quality)


def objects(shown: Shown, num_neurons: int = 12) -> Figure | None:
    """Contributions of some neurons to each object, over up to six frames (Fig. 8, 19). Needs instance masks."""
    labelled = [index for index in shown.frames if shown.run.frame(index).instances]
    places = np.linspace(0, len(labelled) - 1, min(6, len(labelled))).round().astype(int)
    frames = [shown.frame(labelled[place]) for place in places]
    found = objects_of([each.frame for each in frames], MIN_AREA)
    if not found:
        return None
    results, shapes = [], []
    for layer in shown.layers:
        canvas = frames[0].canvas[layer]
        neurons = sample_neurons(canvas.num_neurons, num_neurons, seed=0)
        magnitudes = [each.canvas[layer].magnitudes(neurons.tolist()) for each in frames]
        means = [
            mean_contributions(some, each.frame, found, MIN_AREA) for some, each in zip(magnitudes, frames, strict=True)
        ]
        results.append(object_contributions(layer, neurons, found, means))
        shapes.append(canvas.neuron_shape)
    indices = [each.frame.index for each in frames]
    return plots.object_contributions(results, shapes, indices, epoch=shown.run.epoch, quality=frames[0].quality)


def motion(shown: Shown) -> Figure | None:
    """How contributions change between two frames, beside the motion (Fig. 9). Needs two neighbouring frames."""
    pairs = [(before, now) for before, now in pairwise(shown.frames) if now == before + 1]
    if not pairs:
        return None
    before, now = map(shown.frame, pairs[len(pairs) // 2])
    flow, difference = flow_between(before.frame, now.frame), difference_between(before.frame, now.frame)
    if flow is None:
        return None
    results = []
    for layer in shown.layers:
        (change,) = stream_change([before.canvas[layer], now.canvas[layer]])
        results.append(compare_with_motion(layer, change, flow, difference, None, min_motion=0.5))
    target = None if now.frame.target is None else as_rgb(now.frame.target)
    indices = before.frame.index, now.frame.index
    return plots.motion(results, target, residual_motion(flow), indices, epoch=shown.run.epoch, quality=now.quality)


def points(shown: Shown, layer: str) -> Figure | None:
    """Neurons of a layer as points in a plane, in groups, with maps of some (Fig. 10, 12, 13)."""
    frame, canvas = shown.first, shown.first.canvas[layer]
    vectors = neuron_points(frame.statistics(layer), GABOR.key, MAX_POINTS)
    neighbours = paper_neighbours(canvas.num_neurons, len(vectors.neurons))
    layout = neuron_layout(vectors, num_neighbours=neighbours)
    if layout is None:
        return None
    return plots.neuron_layout(
        layout,
        _members(frame, layer, layout),
        before=None,
        limits=widened(None, layout.points),
        layer=layer,
        facts=f"{len(layout.neurons):,} of {canvas.num_neurons:,} neurons",
        epoch=shown.run.epoch,
        quality=frame.quality,
    )


def _members(frame: DissectedFrame, layer: str, layout: NeuronLayout) -> list[list[Member]]:
    """The first four neurons of each group."""
    canvas, unit = frame.canvas[layer], mean_magnitude(frame.statistics(layer)) or 1.0
    members = []
    for group in range(int(layout.groups.max()) + 1):
        rows = (layout.groups == group).nonzero()[0][:4].tolist()
        neurons = layout.neurons[rows].tolist()
        pictures = (canvas.maps(neurons).cpu() / unit).numpy()
        labels = [neuron_label(neuron, canvas.neuron_shape) for neuron in neurons]
        members.append([Member(*each) for each in zip(rows, labels, pictures, strict=True)])
    return members


def several_seeds(all_shown: Sequence[Shown]) -> Figure:
    """The neurons of several trainings on one signal, in one plane per layer (Fig. 14)."""
    frames = [each.first for each in all_shown]
    if len({(each.frame.size, *each.canvas) for each in frames}) > 1:
        raise RunError("the runs have other layers or sizes; give several seeds of one network on one signal")
    labels = {GABOR.key: frames[0].labels(GABOR)}
    compared = []
    for layer in all_shown[0].layers:
        totals = [each.canvas[layer].totals(labels) for each in frames]
        compared.append(compare_layer(layer, totals, partitions=(), vectors=GABOR))
    layouts = [joint_layout(each.vectors) for each in compared]
    names = [each.run.name for each in all_shown]
    return plots.joint_layouts(compared, layouts, names, f"Neurons of all runs · convention {all_shown[0].convention}")


def figures(all_shown: Sequence[Shown]) -> dict[str, Figure | None]:
    """All figures of the first run, by the name of their file; and one of all runs, if there are several."""
    shown = all_shown[0]
    found: dict[str, Figure | None] = {}
    for layer in shown.layers:
        found[f"fig_03_11_maps_{path_part(layer)}"] = maps(shown, layer)
    found["fig_04_16_grouping"] = grouping(shown)
    found["fig_05_intensity"] = intensity(shown)
    found["fig_06_15_18_spread"] = spread(shown)
    found["fig_07_17_neurons_per_pixel"] = neurons_per_pixel(shown)
    found["fig_08_19_objects"] = objects(shown)
    found["fig_09_motion"] = motion(shown)
    for layer in shown.layers:
        found[f"fig_10_12_13_points_{path_part(layer)}"] = points(shown, layer)
    if len(all_shown) > 1:
        found["fig_14_several_seeds"] = several_seeds(all_shown)
    return found


def main(args: Sequence[str] | None = None) -> None:
    """Draw what the words of the command line name."""
    parser = argparse.ArgumentParser(description="The analysis figures of the paper, from finished runs.")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs; of all but the first only Fig. 14")
    parser.add_argument("--checkpoint", help="look at this checkpoint of the runs, such as last.ckpt")
    parser.add_argument("--frame", type=int, help="which frame most figures are of; by default the first one")
    parser.add_argument("--convention", choices=CONVENTIONS, default="paper")
    parser.add_argument("--out", type=Path, default=Path("figures"), help="folder for the pictures")
    parser.add_argument("--format", choices=("png", "pdf", "svg"), default="png")
    options = parser.parse_args(args)
    try:
        loaded = [load_run(path, options.checkpoint) for path in options.runs]
        all_shown = [Shown(run, options.convention, options.frame) for run in loaded]
        found = figures(all_shown)
    except (RunError, DissectionError) as error:
        parser.error(str(error))
    options.out.mkdir(parents=True, exist_ok=True)
    for name, figure in found.items():
        if figure is None:
            print(f"{name} is left out: {WHY[name[:6]]}")
        else:
            figure.savefig(options.out / f"{name}.{options.format}")
            print(options.out / f"{name}.{options.format}")


if __name__ == "__main__":
    main()
