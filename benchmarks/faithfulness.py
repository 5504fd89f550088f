"""How faithful contributions were in a run, for docs/faithfulness.md; and what finding out costs.

python benchmarks/faithfulness.py table lightning_logs/version_0
python benchmarks/faithfulness.py removals
"""

import argparse
import time
from pathlib import Path

import torch
from evolution import table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from xinc_pl import NeRV, dissect
from xinc_pl.analysis.canvas_sample import sample_neurons

CONVENTIONS = ("paper", "released", "effect")
ORDERS = (*CONVENTIONS, "magnitude", "random")
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
    last = [
        [layer, *(two_digits(run.value(layer, f"{order}/{quantity}", epochs[-1])) for order in ORDERS)]
        for quantity in ("deletion", "pruning")
        for layer in layers
    ]
    for quantity, some in (("deletion", last[: len(layers)]), ("pruning", last[len(layers) :])):
        print(f"\n{quantity}, epoch {epochs[-1]}, dB lost")
        table(["layer", *ORDERS], some)


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
    parser.add_argument("what", choices=("table", "removals"))
    parser.add_argument("run", type=Path, nargs="?")
    arguments = parser.parse_args()
    if arguments.what == "removals":
        removals()
    else:
        tables(arguments.run)


if __name__ == "__main__":
    main()
