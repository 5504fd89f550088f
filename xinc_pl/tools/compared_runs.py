"""The runs of a comparison: loaded, checked to belong together, and dissected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from xinc_pl.analysis.comparison import LayerControls
from xinc_pl.analysis.encodings import encodings
from xinc_pl.callbacks import DissectedFrame
from xinc_pl.canvas import Canvas, DissectionError
from xinc_pl.runs import AnyRun, RecordedRun, RunError, checkpoint_run, load_run, recorded_run

_BYTE = 1.01 / 255
"""How far a picture may be from itself after it has been written to a file of bytes."""


def loaded(path: Path | str, frame: int, trust: bool) -> AnyRun:
    """A run by its recordings; by its checkpoint where there are none, or none of this frame."""
    run = load_run(path, trust=trust)
    if isinstance(run, RecordedRun) and frame not in run.frames:
        try:
            return checkpoint_run(path)
        except RunError:
            run.recording(frame=frame)  # raises what it says about the frame
    return run


def check_different(runs: Sequence[AnyRun]) -> None:
    """Insist on different checkpoints: a run is like itself, which says nothing."""
    files = [run.source.resolve() for run in runs]
    twice = [run for run, file in zip(runs, files, strict=True) if files.count(file) > 1]
    if twice:
        raise RunError(f"{twice[0].source} is given {len(twice)} times; give runs that differ")


def check_same_frame(runs: Sequence[AnyRun], dissected: Sequence[DissectedFrame]) -> None:
    """Insist that all runs show the same picture: neurons are compared by where in it they are."""
    for run, each in zip(runs[1:], dissected[1:], strict=True):
        pair = f"runs {runs[0].name} and {run.name} cannot be compared"
        if not _is_same_picture(pair, dissected[0], each):
            raise RunError(
                f"{pair}: frame {each.frame.index} is not the same picture in both; compare runs on the same data, and "
                "give one of another signal with --control"
            )


def check_control(run: AnyRun, first: DissectedFrame, control: AnyRun, dissected: DissectedFrame) -> None:
    """Insist that the control shows another picture of the same size."""
    pair = f"run {control.name} is no control of {run.name}"
    if _is_same_picture(pair, first, dissected):
        raise RunError(
            f"{pair}: frame {dissected.frame.index} is the same picture in both; give a run of another signal"
        )


def check_same_layers(names: Sequence[str], run: AnyRun, first: Canvas, control: AnyRun, canvas: Canvas) -> None:
    """Insist that the control has the layers that are compared, with as many neurons."""
    if any(name not in canvas or canvas[name].neuron_shape != first[name].neuron_shape for name in names):
        raise RunError(
            f"run {control.name} is no control of {run.name}: it has another architecture, {_shapes(canvas, canvas)}, "
            f"and not {_shapes(first, names)}; train the same network on another signal"
        )


def dissect(run: AnyRun, frame: DissectedFrame) -> None:
    """Make a frame's canvas; what goes wrong is told in one line."""
    try:
        _ = frame.canvas
    except (DissectionError, ValueError) as error:
        raise RunError(f"run {run.name}: {error}") from error
    except Exception as error:  # whatever a network does that is called with inputs that are not for it
        words = " ".join(str(error).split())
        raise RunError(f"run {run.name}: its network fails on frame {frame.frame.index}: {words}") from error


@dataclass(frozen=True, eq=False)
class Controls:
    """What runs are matched with besides one another.

    Attributes:
        signal: A run of another signal.
        beginnings: Of each run, the frame before the first step; None where it is not known.
        remarks: How far the signals differ; what is not known, and how it would be; a line each.
    """

    signal: DissectedFrame | None
    beginnings: tuple[DissectedFrame | None, ...]
    remarks: tuple[str, ...]

    def of(self, layer: str, runs: Sequence[DissectedFrame], clusters: Mapping[str, Tensor]) -> LayerControls:
        """Those of one layer, over the clusters of the runs' frame."""
        signal = None if self.signal is None else self.signal.canvas[layer].totals(clusters)
        beginnings = [
            None if each is None or layer not in each.canvas else each.canvas[layer].totals(clusters)
            for each in self.beginnings
        ]
        everyone = [*runs, *([] if self.signal is None else [self.signal])]
        return LayerControls(signal, beginnings, [encodings(each.canvas).get(layer) for each in everyone])


def find_controls(runs: Sequence[AnyRun], first: DissectedFrame, control: DissectedFrame | None) -> Controls:
    """The control, and each run's own beginning, from its recording of epoch 0.

    Args:
        runs: That are compared.
        first: The frame as the first of them shows it.
        control: As the run of another signal shows its own.
    """
    frame, convention = first.frame.index, first.convention
    beginnings, remarks = [], []
    for run in runs:
        recorded = run if isinstance(run, RecordedRun) else recorded_run(run.path)
        beginning = None
        if run.epoch == 0:
            remarks.append(f"own beginning of {run.name}: it is that itself")
        elif recorded is None or 0 not in recorded.epochs or frame not in recorded.frames:
            remarks.append(
                f"own beginning of {run.name}: there is no recording of frame {frame} at epoch 0; train with the "
                "callback CanvasRecorder"
            )
        else:
            beginning = recorded.dissected(frame, convention, epoch=0)
            dissect(run, beginning)
        beginnings.append(beginning)
    if control is None:
        remarks.insert(0, "another signal: no run of one is given; give one with --control")
    else:
        alike = _correlation(first.frame.target, control.frame.target)
        remarks.insert(
            0, f"another signal: its picture has a correlation of {alike:.2f} with the runs'; near 1 it is no control"
        )
    return Controls(control, tuple(beginnings), tuple(remarks))


def _is_same_picture(pair: str, first: DissectedFrame, second: DissectedFrame) -> bool:
    one, other = first.frame, second.frame
    if one.size != other.size:
        raise RunError(
            f"{pair}: their frames are {one.size[0]}x{one.size[1]} and {other.size[0]}x{other.size[1]}; "
            "give runs of the same size"
        )
    if one.target is None or other.target is None:
        raise RunError(
            f"{pair}: frame {one.index} of one of them has no target, so nobody knows whether it is the same"
        )
    if one.target.shape != other.target.shape:
        return False
    return torch.allclose(one.target.float(), other.target.float(), rtol=0, atol=_BYTE)


def _correlation(first: Tensor | None, second: Tensor | None) -> float:
    """Pearson's, of two pictures (C, H, W) without their colours; NaN where one is of one brightness, or unknown."""
    if first is None or second is None:
        return float("nan")
    one, other = (target.cpu().double().mean(0) for target in (first, second))
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / (one.norm() * other.norm()))


def _shapes(canvas: Canvas, names: Sequence[str] | Canvas) -> str:
    return ", ".join(f"{name} {'x'.join(map(str, canvas[name].neuron_shape))}" for name in names)
