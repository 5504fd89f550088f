"""``xinc compare``: are the canvases of several trainings alike?"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from xinc_pl.analysis.comparison import LayerComparison, compare_layer
from xinc_pl.analysis.grouping_variance import compared_magnitudes, movable, variance_nulls
from xinc_pl.analysis.joint_layout import JointLayout, joint_layout
from xinc_pl.analysis.matched_maps import MatchedMaps, matched_maps
from xinc_pl.analysis.partitions import PARTITION_NAMES, Partition, PartitionUnavailableError
from xinc_pl.arguments import MAX_SEED, check_whole
from xinc_pl.callbacks import DissectedFrame
from xinc_pl.canvas import CONVENTIONS, Convention
from xinc_pl.names import path_part
from xinc_pl.pictures import png_bytes
from xinc_pl.plots.figures import moment_title, pixels_of
from xinc_pl.runs import AnyRun, RunError
from xinc_pl.suggestions import did_you_mean
from xinc_pl.tools.compared_runs import (
    Controls,
    check_control,
    check_different,
    check_same_frame,
    check_same_layers,
    dissect,
    find_controls,
    loaded,
)
from xinc_pl.tools.folders import check_target, new_folder
from xinc_pl.tools.pairs import Source, pairs_json
from xinc_pl.tools.tables import comparison_csv, comparison_markdown, scalars_of
from xinc_pl.tools.words import TRUST, ToolParser

VECTORS = Partition("gabor")
"""What neurons' vectors are made of (Fig. 10)."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs side by side.

    Attributes:
        runs: What to call them; the run of another signal comes last, if there is one.
        sources: Where they are from.
        frame: The index of the frame that all were dissected on.
        convention: The formulas followed.
        layers: Those that all runs have, input side first.
        layouts: One per layer; None where there are too few neurons for one.
        maps: Of each layer, matched neurons as maps.
        left_out: Layers that only some runs have.
        remarks: What is to be said of the controls, a line each.
    """

    runs: tuple[str, ...]
    sources: tuple[Source, ...]
    frame: int
    convention: Convention
    layers: tuple[LayerComparison, ...]
    layouts: tuple[JointLayout | None, ...]
    maps: tuple[tuple[MatchedMaps, ...], ...]
    left_out: tuple[str, ...]
    remarks: tuple[str, ...]


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
    runs = [loaded(path, options.frame, options.trust) for path in options.runs]
    control = None if options.control is None else loaded(options.control, options.frame, options.trust)
    check_different(runs if control is None else [*runs, control])
    print(f"comparing {len(runs)} runs; laying out large layers takes a minute", flush=True)
    comparison = compare_runs(runs, options.frame, options.layers, options.convention, options.seed, control)
    folder = new_folder(options.out, "compare")
    write_comparison(comparison, folder)
    if comparison.left_out:
        print(f"left out, because not all runs have them: {', '.join(comparison.left_out)}")
    print(comparison_markdown(comparison.runs, comparison.layers, comparison.remarks))
    print(f"written to: {folder}")
    print(f"look:       tensorboard --logdir {folder}")


def compare_runs(
    runs: Sequence[AnyRun],
    frame: int = 0,
    layers: Sequence[str] | None = None,
    convention: Convention = "paper",
    seed: int = 0,
    control: AnyRun | None = None,
) -> Comparison:
    """Dissect runs on the same frame and compare their canvases layer by layer.

    Args:
        runs: Two or more.
        frame: Its index.
        layers: Names of the layers to look at; by default all that all runs have.
        convention: Of the contribution maps.
        seed: Of samples, controls and layout.
        control: A run of the same network on another signal.

    Raises:
        RunError: The runs show different frames, have no layer in common, or cannot be dissected; the control shows
            the same frame, or has other layers.
    """
    _check_options(frame, seed)
    everyone = [*runs] if control is None else [*runs, control]
    check_different(everyone)
    of_all = [run.dissected(frame, convention) for run in everyone]
    dissected, signal = of_all[: len(runs)], None if control is None else of_all[-1]
    check_same_frame(runs, dissected)
    if control is not None and signal is not None:
        check_control(runs[0], dissected[0], control, signal)
    for run, each in zip(everyone, of_all, strict=True):
        dissect(run, each)
    names, left_out = _common_layers(dissected, layers)
    if control is not None and signal is not None:
        check_same_layers(names, runs[0], dissected[0].canvas, control, signal.canvas)
    controls = find_controls(runs, dissected[0], signal)
    partitions, labels = _partitions(dissected[0])
    clusters = movable({partition: labels[partition.key] for partition in partitions})
    compared = []
    for name in names:
        of_runs = [each.canvas[name] for each in dissected]
        totals = [layer.totals(labels) for layer in of_runs]
        nulls = [variance_nulls(compared_magnitudes(layer, seed=seed), clusters, seed=seed) for layer in of_runs]
        found = controls.of(name, dissected, {VECTORS.key: labels[VECTORS.key]})
        compared.append(compare_layer(name, totals, partitions, VECTORS, seed, nulls, found))
    return Comparison(
        _titles(everyone, of_all, control),
        tuple(Source(run.path, run.epoch, run is control) for run in everyone),
        frame,
        convention,
        tuple(compared),
        tuple(joint_layout(layer.vectors, seed) for layer in compared),
        tuple(_maps(layer, of_all, controls) for layer in compared),
        left_out,
        controls.remarks,
    )


_ROWS = {
    "other_seed": "same signal, other seed: runs {} and {}",
    "other_signal": "another signal: runs {} and {}",
    "own_beginning": "own beginning: run {}, now and before the first step",
}


def _maps(layer: LayerComparison, dissected: Sequence[DissectedFrame], controls: Controls) -> tuple[MatchedMaps, ...]:
    """Of each kind of match, the first one's pairs as maps."""
    rows = []
    for kind, found in layer.matched.items():
        for (first, second), match in list(found.items())[:1]:
            other = controls.beginnings[first] if kind == "own_beginning" else dissected[second]
            assert other is not None
            canvases = dissected[first].canvas[layer.layer], other.canvas[layer.layer]
            rows.append(matched_maps(_ROWS[kind].format(first + 1, second + 1), match, *canvases))
    return tuple(rows)


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write pictures, tables and layouts to a folder, and the same to TensorBoard there."""
    from torch.utils.tensorboard import SummaryWriter

    from xinc_pl.plots.comparison import draw_layouts, draw_matching, draw_run_variances, draw_similarities
    from xinc_pl.plots.matched_maps import draw_matched_maps

    all_names, layers = comparison.runs, comparison.layers
    names = all_names[: len(layers[0].num_neurons)]
    about = f"frame {comparison.frame} · convention {comparison.convention}"
    pictures = {
        "similarities": draw_similarities(layers, all_names, f"Similarities · {about}"),
        "variances": draw_run_variances(layers, names, f"Grouping variance by run · {about}"),
        "matching": draw_matching(layers, names, f"Matched neurons · {about}"),
        "layout": draw_layouts(layers, comparison.layouts, names, f"Neurons of all runs · {about}"),
    }
    for layer, rows in zip(layers, comparison.maps, strict=True):
        pictures[f"pairs_{path_part(layer.layer)}"] = draw_matched_maps(layer.layer, rows, about)
    table = comparison_markdown(all_names, layers, comparison.remarks)
    (folder / "table.md").write_text(table, encoding="utf-8")
    (folder / "table.csv").write_text(comparison_csv(all_names, layers), encoding="utf-8", newline="")
    pairs = pairs_json(
        comparison.sources,
        layers,
        folder,
        frame=comparison.frame,
        convention=comparison.convention,
        vectors=VECTORS.key,
    )
    (folder / "pairs.json").write_text(pairs, encoding="utf-8", newline="")
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
        "neurons of one run recur in another, more so than in a run of another signal and in its own beginning, and "
        "all of them in one layout. Writes pictures, tables and the matched pairs; pictures and numbers also for "
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
    parser.add_argument(
        "--control",
        metavar="RUN",
        help="a run of another signal: the same network with another seed. What its neurons have in common with those "
        "of the runs, the architecture explains",
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


def _titles(runs: Sequence[AnyRun], dissected: Sequence[DissectedFrame], control: AnyRun | None) -> tuple[str, ...]:
    """What to call the runs: by the name; by the whole path where two names are the same."""
    names = {run.name: run.source for run in runs}
    unique = all(names[run.name] == run.source for run in runs)
    return tuple(
        f"{run.name if unique else run.source} · {moment_title(run.epoch, each.quality)}"
        + (" · another signal" if run is control else "")
        for run, each in zip(runs, dissected, strict=True)
    )
