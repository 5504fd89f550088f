"""``xinc export``: a canvas as arrays, for whatever comes next."""

import argparse
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.partitions import PARTITION_NAMES, Partition, PartitionUnavailableError
from xinc_pl.callbacks.aside import write_aside
from xinc_pl.canvas import CONVENTIONS, Canvas, Convention, DissectionError
from xinc_pl.runs import AnyRun, RecordedRun, RunError, load_run
from xinc_pl.suggestions import did_you_mean
from xinc_pl.tools.words import TRUST, ToolParser

ARRAYS = {
    "reconstruction": "float32 (C, H, W), what the network shows, in [0, 1]",
    "target": "float32 (C, H, W), what it was to show; left out where it is not known",
    "LAYER/neuron_shape": "int64, the axes that a neuron's index runs over, the last one fastest",
    "LAYER/neurons": "int64 (N,), the neurons that the rows below are about",
    "LAYER/total": "float64 (H, W), sum of |M| over neurons",
    "LAYER/sum": "float64 (N,), sum of |M| over pixels",
    "LAYER/minimum": "float64 (N,), least |M|",
    "LAYER/maximum": "float64 (N,), largest |M|",
    "LAYER/pixels_per_neuron": "int64 (N,), pixels to which the neuron contributes more than an average share",
    "LAYER/zero_map": "bool (N,), whether the map is zero everywhere",
    "LAYER/zero_input": "bool (N,), whether the neuron's input is zero everywhere",
    "LAYER/threshold_10, _50": "float64 (), where the largest |M| add up to 90 % and 50 % of all",
    "LAYER/neurons_per_pixel_10, _50": "float64 (H, W), share of neurons above that threshold",
    "LAYER/histogram_edges, _counts, _sums": "float64 (B + 1,), int64 (B,), float64 (B,): how |M| is distributed",
    "LAYER/PARTITION/areas": "int64 (K,), pixels of each cluster, with --partitions",
    "LAYER/PARTITION/sum": "float64 (N, K), |M| in each cluster",
    "LAYER/map_neurons": "int64 (n,), the neurons of --neurons that the layer has",
    "LAYER/maps": "float32 (n, H, W), their signed contribution maps",
    "PARTITION/labels": "int64 (H, W) or bool (K, H, W), the clusters",
}
"""What a file holds: names, with LAYER and PARTITION to be replaced; and what they are."""

_MASSES = (0.1, 0.5)


def export_arrays(
    run: AnyRun,
    epoch: int | None = None,
    frame: int | None = None,
    layers: Sequence[str] | None = None,
    convention: Convention = "paper",
    neurons: Sequence[int] = (),
    partitions: Sequence[Partition] = (),
) -> dict[str, Tensor]:
    """A frame's canvas as arrays by name: see ``ARRAYS``.

    Args:
        run: As ``load_run`` returns it.
        epoch: Completed epochs; the last recorded one by default.
        frame: The frame's index; the first recorded one by default.
        layers: Names of the layers; all by default.
        convention: The formulas to follow.
        neurons: Indices of neurons whose maps are wanted, of every layer that has them.
        partitions: Sums in the clusters of these are wanted as well.

    Raises:
        RunError: Something that was asked for is not there.
    """
    dissected = _dissected(run, epoch, frame, convention)
    canvas = _canvas(run, dissected)
    unknown = [name for name in layers or () if name not in canvas]
    if unknown:
        hint = did_you_mean(unknown[0], canvas)
        raise RunError(f"run {run.name}: there is no layer {unknown[0]!r}; there are {', '.join(canvas)}{hint}")
    missing = [each for each in neurons if not any(0 <= each < canvas[name].num_neurons for name in layers or canvas)]
    if missing:
        sizes = ", ".join(f"{name} {canvas[name].num_neurons}" for name in layers or canvas)
        raise RunError(f"run {run.name}: no layer has a neuron {missing[0]}; their numbers of neurons are {sizes}")
    try:
        labels: dict[str, Tensor] = {each.name: dissected.labels(each) for each in partitions}
    except PartitionUnavailableError as error:
        raise RunError(f"run {run.name}: {error}") from error
    arrays = {"reconstruction": dissected.reconstruction}
    if dissected.frame.target is not None:
        arrays["target"] = dissected.frame.target.float().cpu()
    arrays |= {f"{name}/labels": each for name, each in labels.items()}
    for name in layers or canvas:
        arrays |= {f"{name}/{key}": each for key, each in _layer_arrays(canvas, name, labels, neurons).items()}
    return {name: each.contiguous() for name, each in arrays.items()}


def write_arrays(arrays: dict[str, Tensor], about: dict[str, str], file: Path) -> None:
    """Write arrays to a ``.npz`` file, or a ``.safetensors`` one; it is never seen half-written.

    Args:
        arrays: By name.
        about: What they are of: in ``.safetensors`` its metadata, in ``.npz`` the word ``about``, in JSON.
        file: Where to.
    """
    if file.suffix == ".safetensors":
        write_aside(file, save(arrays, about))
        return
    buffer = io.BytesIO()
    plain = {name: each.numpy() for name, each in arrays.items()}
    np.savez_compressed(buffer, about=json.dumps(about), **plain)  # type: ignore[arg-type] # allow_pickle is no name
    write_aside(file, buffer.getvalue())


def main(args: Sequence[str]) -> None:
    """Export what the words of the command line name.

    Raises:
        RunError: The run, or what is asked of it, does not do; nothing has been written.
    """
    options = _parser().parse_args(args)
    file: Path = options.out
    if file.suffix not in (".npz", ".safetensors"):
        raise RunError(f"{str(file)!r} is neither .npz nor .safetensors; give --out one of these endings")
    if file.exists():
        raise RunError(f"{str(file)!r} is there already, and nothing is overwritten; give another file with --out")
    run = load_run(options.run, trust=options.trust)
    partitions = [Partition(name) for name in options.partitions]
    arrays = export_arrays(
        run, options.epoch, options.frame, options.layers, options.convention, options.neurons, partitions
    )
    epoch = run.epochs[-1] if options.epoch is None else options.epoch
    frame = _first_frame(run) if options.frame is None else options.frame
    about = {"run": run.name, "epoch": str(epoch), "frame": str(frame), "convention": options.convention}
    try:
        write_arrays(arrays, about, file)
    except OSError as error:
        raise RunError(f"{str(file)!r} cannot be written: {error.strerror or error}") from error
    print(f"{len(arrays)} arrays, {file.stat().st_size / 1e6:.3g} MB, written to: {file}")


def _dissected(run: AnyRun, epoch: int | None, frame: int | None, convention: Convention) -> DissectedFrame:
    if isinstance(run, RecordedRun):
        return run.dissected(frame, convention, -1 if epoch is None else epoch)
    if epoch not in (None, run.epoch):
        raise RunError(f"run {run.name} has no recordings, only the weights after epoch {run.epoch}")
    return run.dissected(frame or 0, convention)


def _canvas(run: AnyRun, dissected: DissectedFrame) -> Canvas:
    try:
        return dissected.canvas
    except (DissectionError, ValueError) as error:
        raise RunError(f"run {run.name}: {' '.join(str(error).split())}") from error


def _first_frame(run: AnyRun) -> int:
    return run.frames[0] if isinstance(run, RecordedRun) else 0


def _layer_arrays(canvas: Canvas, name: str, labels: dict[str, Tensor], neurons: Sequence[int]) -> dict[str, Tensor]:
    layer = canvas[name]
    found = layer.statistics(labels, _MASSES)
    arrays = {
        "neuron_shape": torch.tensor(layer.neuron_shape),
        "neurons": found.neurons,
        "total": found.total,
        "sum": found.sum,
        "minimum": found.minimum,
        "maximum": found.maximum,
        "pixels_per_neuron": found.pixels_per_neuron,
        "zero_map": found.zero_map,
        "zero_input": found.zero_input,
        "histogram_edges": found.histogram.edges,
        "histogram_counts": found.histogram.counts,
        "histogram_sums": found.histogram.sums,
    }
    for mass in _MASSES:
        arrays[f"threshold_{mass:.0%}".rstrip("%")] = torch.tensor(found.thresholds[mass], dtype=torch.float64)
        arrays[f"neurons_per_pixel_{mass:.0%}".rstrip("%")] = found.neurons_per_pixel[mass]
    for partition, sums in found.partitions.items():
        arrays |= {f"{partition}/areas": sums.areas, f"{partition}/sum": sums.sum}
    chosen = [each for each in dict.fromkeys(neurons) if each < layer.num_neurons]
    if chosen:
        arrays |= {"map_neurons": torch.tensor(chosen), "maps": layer.maps(chosen).cpu()}
    return arrays


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name}\n      {meaning}" for name, meaning in ARRAYS.items())
    parser = ToolParser(
        prog="xinc export",
        description="Write the canvas of one frame at one epoch as arrays: statistics of whole layers, maps of chosen "
        "neurons, reconstruction and target.",
        epilog=f"arrays by name:\n{listed}\n  about\n      run, epoch, frame and convention: JSON in .npz, metadata in "
        ".safetensors",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN", help="folder of a run, such as lightning_logs/version_0")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new file, .npz or .safetensors")
    parser.add_argument("--epoch", type=int, help="completed epochs; the last recorded by default")
    parser.add_argument("--frame", type=int, help="index of the frame; the first recorded by default")
    parser.add_argument("--layers", nargs="+", metavar="LAYER", help="all by default")
    parser.add_argument("--neurons", nargs="+", type=int, default=[], metavar="N", help="whose maps to write: indices")
    parser.add_argument(
        "--partitions", nargs="+", default=[], choices=PARTITION_NAMES, metavar="NAME", help=", ".join(PARTITION_NAMES)
    )
    parser.add_argument("--convention", choices=CONVENTIONS, default="paper", help="default: %(default)s")
    parser.add_argument("--trust", action="store_true", help=TRUST)
    return parser
