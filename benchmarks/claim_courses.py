"""The figure of ``claims.py``: over the epochs, clip by clip, neurons go over from place to content."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from claim_numbers import ALONG_CONTENT, SAME_PLACE, Measured
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xinc_pl.analysis.bootstrap import Floats, interval
from xinc_pl.plots.palette import CONTROL_COLOUR
from xinc_pl.plots.place_or_content import CONTENT_COLOUR, PLACE_COLOUR

COURSE = "-course.json"
"""How the file of a run ends that holds the numbers between its beginning and its end."""
_COLOURS = {ALONG_CONTENT: CONTENT_COLOUR, SAME_PLACE: PLACE_COLOUR}
_WORDS = {ALONG_CONTENT: "along the content", SAME_PLACE: "at the same place"}


class Course(NamedTuple):
    """One number of one layer over the epochs.

    Attributes:
        epochs: Completed ones.
        values: Float64 (clips, epochs): of each clip the mean over its seeds.
        null: Float64 (epochs,): the mean over clips of the middle of the null; NaN where there is none.
    """

    epochs: Sequence[int]
    values: Floats
    null: Floats


def draw_courses(clips: Sequence[str], folder: Path, file: Path) -> None:
    """Draw what has been measured: a panel for each layer, a thin line for each clip, the mean with its interval.

    Args:
        clips: Names of the signals.
        folder: Of results.
        file: Of the figure; how it ends says the format.
    """
    runs = {clip: [_read(each) for each in sorted(folder.glob(f"{clip}-seed*{COURSE}"))] for clip in clips}
    runs = {clip: [run for run in some if run] for clip, some in runs.items()}
    runs = {clip: some for clip, some in runs.items() if some}
    if not runs:
        raise SystemExit(f"{folder}: no clip in which something moves has been measured")
    layers = list(dict.fromkeys(each.layer for run in next(iter(runs.values())) for each in run))
    figure = Figure(figsize=(3.1 * len(layers), 3.6), layout="constrained")
    all_axes = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
    for axes, layer in zip(all_axes, layers, strict=True):
        for claim in _COLOURS:
            _draw(axes, course(runs, layer, claim), claim)
        axes.set_title(layer)
        axes.set_xlabel("epoch")
    all_axes[0].set_ylabel("correlation with the earlier map")
    handles, words = all_axes[0].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside lower center", ncols=len(handles), frameon=False)
    number = sum(map(len, runs.values()))
    figure.suptitle(f"Neurons go over from place to content · {len(runs)} clips, {number} networks", fontweight="bold")
    figure.savefig(file, dpi=110)


def course(runs: Mapping[str, Sequence[Sequence[Measured]]], layer: str, claim: str) -> Course:
    """Put the runs of all clips together, at the epochs that all of them have."""
    found = {
        clip: [{each.epoch: each for each in run if (each.layer, each.claim) == (layer, claim)} for run in some]
        for clip, some in runs.items()
    }
    epochs = sorted(set.intersection(*(set(run) for some in found.values() for run in some)))

    def of_clips(what: str) -> Floats:
        clips = [[np.mean([getattr(run[epoch], what) for run in some]) for epoch in epochs] for some in found.values()]
        return np.array(clips)

    return Course(epochs, of_clips("value"), of_clips("null").mean(0))


def _draw(axes: Axes, found: Course, claim: str) -> None:
    colour, places = _COLOURS[claim], np.arange(len(found.epochs))
    axes.plot(places, found.values.T, color=colour, alpha=0.25, linewidth=0.8)
    axes.plot(places, found.values.mean(0), color=colour, linewidth=2.2, label=f"{_WORDS[claim]}, mean over clips")
    if len(found.values) > 1:
        ends = [interval(of_epoch, lambda some: float(np.mean(some)), seed=0) for of_epoch in found.values.T]
        axes.fill_between(places, *np.array(ends).T, color=colour, alpha=0.18, linewidth=0)
    if np.isfinite(found.null).all():
        axes.plot(
            places, found.null, color=CONTROL_COLOUR, linewidth=1.2, linestyle="--", label="along wrong motion (null)"
        )
    axes.set_xticks(places, [str(epoch) for epoch in found.epochs])
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.set_ylim(-0.35, 1.02)
    axes.spines[["top", "right"]].set_visible(False)


def _read(file: Path) -> list[Measured]:
    return [Measured.read(each) for each in json.loads(file.read_text())]
