"""Tables of a run's numbers over its epochs, for docs/evolution.md.

python benchmarks/evolution.py lightning_logs/version_0
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PARTITIONS = ("instances", "rgb", "gabor", "superpixels", "grid", "comb")


class Run:
    """A run's scalars by tag and epoch."""

    def __init__(self, folder: Path) -> None:
        self.events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        self.tags = self.events.Tags()["scalars"]
        psnr = self.events.Scalars("xinc/canvas_evolution/frame/psnr")
        names = sorted(path.stem for path in (folder / "xinc/grouping_variance/all_layers").glob("variances_*.png"))
        epochs = [int(name.rpartition("_")[2]) for name in names]
        self.epoch_of = dict(zip([point.step for point in psnr], epochs, strict=True))
        layers = {tag.split("/")[2] for tag in self.tags if tag.startswith("xinc/representation_spread/")}
        order = ["layer_1", "layer_2", "layer_3", "block_1", "block_2", "block_3", "head"]
        self.layers = sorted(layers, key=order.index)

    def curve(self, callback: str, layer: str, quantity: str) -> dict[int, float]:
        """Values by epoch, the mean over frames where there are several."""
        tag = f"xinc/{callback}/{layer}/{quantity}"
        found: dict[int, list[float]] = {}
        for each in self.tags:
            if each == tag or each.startswith(f"{tag}/frame_"):
                for point in self.events.Scalars(each):
                    found.setdefault(self.epoch_of[point.step], []).append(point.value)
        return {epoch: sum(values) / len(values) for epoch, values in found.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def number(value: float | None) -> str:
    """Three digits."""
    return "" if value is None else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", type=int, nargs="*")
    arguments = parser.parse_args()
    run = Run(arguments.run)
    epochs = [each for each in run.epoch_of.values() if not arguments.epochs or each in arguments.epochs]
    psnr = run.curve("canvas_evolution", "frame", "psnr")
    print("PSNR of the first frame: " + ", ".join(f"epoch {epoch}: {psnr[epoch]:.1f} dB" for epoch in epochs))
    print("\nMedian variance of deltas (its ratio to that of shifted clusters, and p):")
    rows = []
    for layer in run.layers:
        for name in PARTITIONS:
            median = run.curve("grouping_variance", layer, f"{name}/median")
            ratio, p = (run.curve("grouping_variance", layer, f"{name}/{what}") for what in ("ratio", "p"))
            if median:
                nulls = [f" ({number(ratio[epoch])}, p {number(p[epoch])})" if epoch in p else "" for epoch in epochs]
                cells = [f"{number(median.get(epoch))}{null}" for epoch, null in zip(epochs, nulls, strict=True)]
                rows.append([layer, name, *cells])
    table(["layer", "partition", *(f"epoch {epoch}" for epoch in epochs)], rows)
    for callback, quantities in {
        "representation_spread": ("pixels_per_neuron", "neurons_per_pixel_90", "neurons_per_pixel_50", "gini"),
        "contribution_vs_intensity": ("intensity", "intensity_z", "intensity_p", "edges", "edges_z", "edges_p"),
        "object_contributions": ("concentration", "concentration_null", "concentration_p", "concentration_p_floor"),
        "motion_contributions": (
            *("correlation", "correlation_p", "correlation_given_difference", "correlation_given_difference_p"),
            *("moving_over_still", "moving_over_still_p"),
        ),
        "canvas_evolution": ("drift",),
    }.items():
        rows = []
        for quantity in quantities:
            for layer in run.layers:
                curve = run.curve(callback, layer, quantity)
                if curve:
                    rows.append([quantity, layer, *(number(curve.get(epoch)) for epoch in epochs)])
        if rows:
            print(f"\n{callback}:")
            table(["quantity", "layer", *(f"epoch {epoch}" for epoch in epochs)], rows)


if __name__ == "__main__":
    main()
