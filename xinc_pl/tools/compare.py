"""``xinc compare``: are the canvases of several trainings alike?"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from xinc_pl.analysis.comparison import LayerComparison, compare_layer
from xinc_pl.analysis.grouping_variance import variance_nulls
from xinc_pl.analysis.joint_layout import JointLayout, joint_layout
from xinc_pl.analysis.partitions import PARTITION_NAMES, Partition, PartitionUnavailableError
from xinc_pl.arguments import MAX_SEED, check_whole
from xinc_pl.callbacks import DissectedFrame
from xinc_pl.callbacks.outputs import png_bytes
from xinc_pl.canvas import CONVENTIONS, Convention, DissectionError
from xinc_pl.names import path_part
from xinc_pl.plots.figures import moment_title, pixels_of
from xinc_pl.runs import AnyRun, RecordedRun, RunError, checkpoint_run, load_run
from xinc_pl.suggestions import did_you_mean
from xinc_pl.tools.folders import check_target, new_folder
from xinc_pl.tools.tables import comparison_csv, comparison_markdown, scalars_of
from xinc_pl.tools.words import TRUST, ToolParser

VECTORS = Partition("gabor")
"""What neurons' vectors are made of (Fig. 10)."""

_BYTE = 1.01 / 255
"""How far a picture may be from itself after it has been written to a file of bytes."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: What to call them.
        frame: The index of the frame that all were dissected on.
        convention: The formulas followed.
        layers: Those that all runs have, input side first.
        layouts: One per layer; None where there are too few neurons for one.
        left_out: Layers that only some runs have.
    """

    runs: tuple[str, ...]
    frame: int
    convention: Convention
    layers: tuple[LayerComparison, ...]
    layouts: tuple[JointLayout | None, ...]
    left_out: tuple[str, ...]


def main(args: Sequence[str]) -> None:
    """Compare the runs that the words of the command line name; write and print what comes out.

    Raises:
        RunError: A run, or what is asked of it, does not do; nothing has been written.
    """
    options = _parser().parse_args(args)
    if len(options.runs) < 2:
        raise RunError(f"{options.runs[0]} is one run; give two or more to compare")
    _check_options(options.frame, options.seed)
    check_target(options.out)
    runs = [_loaded(path, options.frame, options.trust) for path in options.runs]
    _check_different(runs)
    print(f"comparing {len(runs)} runs; laying out large layers takes a minute", flush=True)
    comparison = compare_runs(runs, options.frame, options.layers, options.convention, options.seed)
    folder = new_folder(options.out, "compare")
    write_comparison(comparison, folder)
    if comparison.left_out:
        print(f"left out, because not all runs have them: {', '.join(comparison.left_out)}")
    print(comparison_markdown(comparison.runs, comparison.layers))
    print(f"written to: {folder}")
    print(f"look:       tensorboard --logdir {folder}")


def compare_runs(
    runs: Sequence[AnyRun],
    frame: int = 0,
    layers: Sequence[str] | None = None,
    convention: Convention = "paper",
    seed: int = 0,
) -> Comparison:
    """Dissect runs on the same frame and compare their canvases layer by layer.

    Args:
        runs: Two or more.
        frame: Its index.
        layers: Names of the layers to look at; by default all that all runs have.
        convention: Of the contribution maps.
        seed: Of samples, controls and layout.

    Raises:
        RunError: The runs show different frames, have no layer in common, or cannot be dissected.
    """
    _check_options(frame, seed)
    _check_different(runs)
    dissected = [run.dissected(frame, convention) for run in runs]
    _check_same_frame(runs, dissected)
    for run, each in zip(runs, dissected, strict=True):
        _dissect(run, each)
    names, left_out = _common_layers(dissected, layers)
    partitions, labels = _partitions(dissected[0])
    compared = []
    for name in names:
        statistics = [each.canvas[name].statistics(labels, ()) for each in dissected]
        clusters = {partition: labels[partition.key] for partition in partitions}
        nulls = [variance_nulls(each.canvas[name], clusters, seed=seed) for each in dissected]
        compared.append(compare_layer(name, statistics, partitions, VECTORS, seed, nulls))
    return Comparison(
        _titles(runs, dissected),
        frame,
        convention,
        tuple(compared),
        tuple(joint_layout(layer.vectors, seed) for layer in compared),
        left_out,
    )


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write pictures, tables and layouts to a folder, and the same to TensorBoard there."""
    from torch.utils.tensorboard import SummaryWriter

    from xinc_pl.plots.comparison import draw_layouts, draw_matching, draw_run_variances

    names, layers = comparison.runs, comparison.layers
    about = f"frame {comparison.frame} · convention {comparison.convention}"
    pictures = {
        "variances": draw_run_variances(layers, names, f"Grouping variance by run · {about}"),
        "matching": draw_matching(layers, names, f"Matched neurons · {about}"),
        "layout": draw_layouts(layers, comparison.layouts, names, f"Neurons of all runs · {about}"),
    }
    table = comparison_markdown(names, layers)
    (folder / "table.md").write_text(table, encoding="utf-8")
    (folder / "table.csv").write_text(comparison_csv(names, layers), encoding="utf-8", newline="")
    with SummaryWriter(str(folder)) as writer:
        writer.add_text("xinc/compare/table", table)
        for name, figure in pictures.items():
            pixels = pixels_of(figure)
            (folder / f"{name}.png").write_bytes(png_bytes(pixels))
            writer.add_image(f"xinc/compare/{name}", pixels, dataformats="HWC")
        for tag, value in scalars_of(layers).items():
            writer.add_scalar(f"xinc/compare/{tag}", value)
    for layer, layout in zip(layers, comparison.layouts, strict=True):
        if layout is not None:
            file = folder / f"layout_{path_part(layer.layer)}.npz"
            np.savez_compressed(file, points=layout.points, run=layout.run, neurons=layout.neurons)


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(
        prog="xinc compare",
        description="Compare the canvases of finished runs: how unevenly neurons treat partitions, whether the "
        "neurons of one run recur in another, and all of them in one layout. Writes pictures and tables, also for "
        "TensorBoard.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="folder of a run (lightning_logs/version_0, its last.ckpt is taken), or one checkpoint within",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where to write; by default lightning_logs/compare_N, N being free"
    )
    parser.add_argument("--frame", type=int, default=0, help="index of the frame to dissect (default: %(default)s)")
    parser.add_argument("--layers", nargs="+", metavar="LAYER", help="by default all that all runs have")
    parser.add_argument(
        "--convention", choices=CONVENTIONS, default="paper", help="of the contribution maps (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of samples, controls and the layout (default: %(default)s)"
    )
    parser.add_argument("--trust", action="store_true", help=TRUST)
    return parser


def _check_options(frame: int, seed: int) -> None:
    try:
        check_whole("compare", "frame", frame, 0)
        check_whole("compare", "seed", seed, 0, MAX_SEED)
    except ValueError as error:
        raise RunError(str(error)) from error


def _loaded(path: Path, frame: int, trust: bool) -> AnyRun:
    """A run by its recordings; by its checkpoint where there are none, or none of this frame."""
    run = load_run(path, trust=trust)
    if isinstance(run, RecordedRun) and frame not in run.frames:
        try:
            return checkpoint_run(path)
        except RunError:
            run.recording(frame=frame)  # raises what it says about the frame
    return run


def _check_different(runs: Sequence[AnyRun]) -> None:
    """Insist on different checkpoints: a run is like itself, which says nothing."""
    files = [run.source.resolve() for run in runs]
    twice = [run for run, file in zip(runs, files, strict=True) if files.count(file) > 1]
    if twice:
        raise RunError(f"{twice[0].source} is given {len(twice)} times; give runs that differ")


def _check_same_frame(runs: Sequence[AnyRun], dissected: Sequence[DissectedFrame]) -> None:
    """Insist that all runs show the same picture: neurons are compared by where in it they are."""
    first = dissected[0].frame
    for run, each in zip(runs[1:], dissected[1:], strict=True):
        frame = each.frame
        pair = f"runs {runs[0].name} and {run.name} cannot be compared"
        if frame.size != first.size:
            raise RunError(
                f"{pair}: their frames are {first.size[0]}x{first.size[1]} and {frame.size[0]}x{frame.size[1]}; "
                "compare runs on the same data"
            )
        if first.target is None or frame.target is None:
            raise RunError(f"{pair}: frame {first.index} of one of them has no target, so it may not be the same")
        if not torch.allclose(first.target.float(), frame.target.float(), rtol=0, atol=_BYTE):
            raise RunError(
                f"{pair}: frame {first.index} is not the same picture in both; compare runs on the same data"
            )


def _dissect(run: AnyRun, frame: DissectedFrame) -> None:
    try:
        _ = frame.canvas
    except (DissectionError, ValueError) as error:
        raise RunError(f"run {run.name}: {error}") from error
    except Exception as error:  # whatever a network does that is called with inputs that are not for it
        words = " ".join(str(error).split())
        raise RunError(f"run {run.name}: its network fails on frame {frame.frame.index}: {words}") from error


def _common_layers(
    dissected: Sequence[DissectedFrame], wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The layers to compare, and those that only some runs have."""
    known = dict.fromkeys(name for each in dissected for name in each.canvas)
    common = [name for name in known if all(name in each.canvas for each in dissected)]
    if not common:
        layers = " / ".join(", ".join(each.canvas) for each in dissected)
        raise RunError(f"the runs have no layer in common; theirs are {layers}")
    unknown = [name for name in wanted or () if name not in common]
    if unknown:
        raise RunError(
            f"there is no layer {unknown[0]!r} in all of the runs; there are {', '.join(common)}"
            f"{did_you_mean(unknown[0], common)}"
        )
    if wanted:
        return tuple(name for name in common if name in wanted), ()
    return tuple(common), tuple(name for name in known if name not in common)


def _partitions(frame: DissectedFrame) -> tuple[Sequence[Partition], Mapping[str, Tensor]]:
    """All partitions that a frame allows; and their clusters, by key."""
    try:
        partitions = frame.available([Partition(name) for name in PARTITION_NAMES])
        wanted = [VECTORS, *partitions]
        labels = {each.key: frame.labels(each) for each in wanted}
    except PartitionUnavailableError as error:
        raise RunError(f"frame {frame.frame.index} has no clusters to compare neurons by: {error}") from error
    return partitions, labels


def _titles(runs: Sequence[AnyRun], dissected: Sequence[DissectedFrame]) -> tuple[str, ...]:
    """What to call the runs: by the name; by the whole path where two names are the same."""
    names = {run.name: run.source for run in runs}
    unique = all(names[run.name] == run.source for run in runs)
    return tuple(
        f"{run.name if unique else run.source} · {moment_title(run.epoch, each.quality)}"
        for run, each in zip(runs, dissected, strict=True)
    )
