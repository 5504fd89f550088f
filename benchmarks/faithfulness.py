"""How faithful contributions are, for docs/faithfulness.md; and what finding out costs.

python benchmarks/faithfulness.py table lightning_logs/version_0     of a run with Faithfulness among its callbacks
python benchmarks/faithfulness.py orders published                   on the authors' image network (tests/golden)
python benchmarks/faithfulness.py orders ffn --epochs 30             on an FFN, trained for so many epochs
python benchmarks/faithfulness.py orders nerv --epochs 60            on a NeRV
python benchmarks/faithfulness.py removals
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as lightning
import numpy as np
import torch
from evolution import table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from xinc_pl import FFN, Collage, Image, ImageINR, NeRV, VideoINR, dissect
from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.faithfulness import agreements
from xinc_pl.analysis.removal import SHARES, Judges, removal_curves
from xinc_pl.analysis.removal_orders import ORDERS, Candidates, evidence_of
from xinc_pl.canvas import CONVENTIONS
from xinc_pl.frames import pixel_coordinates
from xinc_pl.models import ffn_from_released

LAYERS = ("layer_1", "layer_2", "layer_3", "block_1", "block_2", "block_3", "head", "all_layers")


class Run:
    """A run's numbers by layer, quantity and epoch."""

    def __init__(self, folder: Path) -> None:
        self.events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()
        self.tags = set(self.events.Tags()["scalars"])
        pictures = self.events.Images("xinc/faithfulness/all_layers/faithfulness")
        names = sorted(path.stem for path in (folder / "xinc/faithfulness/all_layers").glob("faithfulness_*.png"))
        epochs = [int(name.rpartition("_")[2]) for name in names]
        self.epoch_of = dict(zip([picture.step for picture in pictures], epochs, strict=True))

    def value(self, layer: str, quantity: str, epoch: int) -> float | None:
        """None where there is no such number."""
        tag = f"xinc/faithfulness/{layer}/{quantity}"
        if tag not in self.tags:
            return None
        found = [point.value for point in self.events.Scalars(tag) if self.epoch_of[point.step] == epoch]
        return found[0] if found else None


def two_digits(value: float | None) -> str:
    """Empty for None."""
    return "" if value is None else f"{value:.2f}"


def tables(folder: Path) -> None:
    """Both correlations at every epoch; what is lost by each order at the last."""
    run = Run(folder)
    epochs = sorted(run.epoch_of.values())
    layers = [layer for layer in LAYERS if any(f"/{layer}/" in tag for tag in run.tags)]
    rows = []
    for layer in layers[:-1]:
        for convention in CONVENTIONS:
            cells = []
            for epoch in epochs:
                rank, place, control = (
                    two_digits(run.value(layer, f"{convention}/{quantity}", epoch))
                    for quantity in ("rank_correlation", "spatial_correlation", "spatial_correlation_control")
                )
                cells.append(f"{rank}, {place} ({control})")
            rows.append([layer, convention, *cells])
    table(["layer", "convention", *(f"epoch {epoch}" for epoch in epochs)], rows)
    rows = [
        [order, *(two_digits(run.value(layer, f"{order}/pruning", epochs[-1])) for layer in layers)] for order in ORDERS
    ]
    print(f"\nepoch {epochs[-1]}, dB lost, mean over the shares")
    table(["order", *layers], rows)


class Subject(NamedTuple):
    """A network and frames that it shows.

    Attributes:
        network: The network.
        inputs: What it is called with, for each frame.
        targets: (C, H, W) each.
    """

    network: nn.Module
    inputs: Sequence[Tensor]
    targets: Sequence[Tensor]


def published() -> Subject:
    """The authors' FFN. Their photograph may not be passed on: its place takes the output, with noise of 36.19 dB."""
    numbers = {
        name: torch.from_numpy(values)
        for name, values in np.load(Path(__file__).parent.parent / "tests/golden/ffn_cityscapes_0005.npz").items()
    }
    layers = [(numbers[f"weight_{i}"], numbers[f"bias_{i}"]) for i in (1, 2, 3)]
    noise = torch.randn(numbers["output"].shape, generator=torch.Generator().manual_seed(0))
    target = numbers["output"].clamp(0, 1) + noise * 10 ** (-36.19 / 20)
    network = ffn_from_released(numbers["B"], layers)
    return Subject(network, [pixel_coordinates((128, 256))], [target])


def trained(kind: str, epochs: int, seed: int, image: str, num_frames: int) -> Subject:
    """A network of this package, trained for a while."""
    lightning.seed_everything(seed, verbose=False)
    video = kind == "nerv"
    data = Collage() if video else Image(image)
    module = VideoINR(NeRV(), num_frames=30) if video else ImageINR(FFN())
    lightning.Trainer(
        max_epochs=epochs, logger=False, enable_checkpointing=False, enable_model_summary=False,
        enable_progress_bar=False, accelerator="cpu",
    ).fit(module, data)  # fmt: skip
    last = len(data.frames) - 1
    chosen = sorted({round(place * last / max(num_frames - 1, 1)) for place in range(num_frames)})
    frames = [data.frames[index] for index in chosen]
    targets = [frame.target for frame in frames if frame.target is not None]
    return Subject(module.network.eval(), [frame.inputs for frame in frames], targets)


def orders(subject: Subject, num_candidates: int, num_neurons: int, only: Sequence[str]) -> None:
    """Both correlations of every layer with their intervals, and what is lost by every order."""
    size = (subject.targets[0].shape[-2], subject.targets[0].shape[-1])
    canvases = {
        convention: [dissect(subject.network, inputs, size=size, convention=convention) for inputs in subject.inputs]
        for convention in CONVENTIONS
    }
    effects = canvases["effect"]
    layers = [layer for layer in effects[0].main_layers if not only or layer in only]
    judges = Judges(effects, subject.targets)
    print(f"{judges.psnr():.2f} dB, mean of {len(effects)} frames")
    rows = []
    for layer in layers:
        neurons = torch.from_numpy(sample_neurons(effects[0][layer].num_neurons, num_neurons, 0))
        of_layer = {convention: [canvas[layer] for canvas in each] for convention, each in canvases.items()}
        for each in agreements(effects, of_layer, layer, neurons):
            numbers = [each.rank_correlation, each.spatial_correlation, each.spatial_control]
            cells = [f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})" for one in numbers]
            rows.append([layer, each.convention, str(each.num_neurons), *cells])
    table(["layer", "convention", "neurons", "which", "where", "where: another's change"], rows)
    chosen = {
        layer: torch.from_numpy(sample_neurons(effects[0][layer].num_neurons, num_candidates, 0)) for layer in layers
    }
    start = time.perf_counter()
    evidence = evidence_of(effects, canvases, Candidates(chosen))
    seconds = time.perf_counter() - start
    number = evidence.candidates.number
    counts = ", ".join(f"{len(chosen[layer])} of {effects[0][layer].num_neurons} of {layer}" for layer in layers)
    print(f"\n{number} candidates, {counts}; both Gram matrices and all scores in {seconds:.0f} s")
    groups = {**{layer: [layer] for layer in layers}, "all layers": layers}
    curves = {name: {each.order: each for each in removal_curves(judges, evidence, some)}
              for name, some in groups.items()}  # fmt: skip
    print("\ndB lost, mean over the shares")
    means = [
        [order, *(two_digits(each[order].mean_lost if order in each else None) for each in curves.values())]
        for order in ORDERS
    ]
    table(["order", *curves], means)
    print("\nall layers at once, dB lost by the share taken away")
    together = curves["all layers"]
    table(["order", *(f"{100 * share:g} %" for share in SHARES)],
          [[order, *map(two_digits, together[order].lost)] for order in ORDERS])  # fmt: skip


def removals(num_neurons: int = 300) -> None:
    """Seconds for taking neurons of the paper's NeRV away one by one."""
    torch.manual_seed(0)
    canvas = dissect(NeRV().eval(), torch.tensor([0.5]), convention="effect")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; 128x256")
    for name, layer in canvas.items():
        neurons = torch.from_numpy(sample_neurons(layer.num_neurons, num_neurons, 0))
        start = time.perf_counter()
        for _ in canvas.removal.each(name, neurons):
            pass
        print(f"  {name:8} {len(neurons)} neurons: {time.perf_counter() - start:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("table", "orders", "removals"))
    parser.add_argument("of", nargs="?", help="a run's folder; or published, ffn or nerv")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--image", default="chelsea")
    parser.add_argument("--candidates", type=int, default=256)
    parser.add_argument("--neurons", type=int, default=64)
    parser.add_argument("--layers", nargs="*", default=())
    parser.add_argument("--frames", type=int, default=4, help="of a video, evenly spaced")
    arguments = parser.parse_args()
    if arguments.what == "removals":
        removals()
    elif arguments.what == "table":
        tables(Path(arguments.of))
    else:
        known = arguments.of == "published"
        subject = (
            published()
            if known
            else trained(arguments.of, arguments.epochs, arguments.seed, arguments.image, arguments.frames)
        )
        orders(subject, arguments.candidates, arguments.neurons, arguments.layers)


if __name__ == "__main__":
    main()
