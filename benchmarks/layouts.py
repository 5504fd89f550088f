"""How far neurons move between two layouts of a run: independent layouts, and those that NeuronUMAP makes.

python benchmarks/layouts.py lightning_logs/version_0

Medians over neurons, as a share of the layout's spread, from the vectors that NeuronUMAP has stored. Independent
layouts are shown as they are, and turned, scaled and shifted onto the one before. What is movement, and what is UMAP?
The columns "nothing changed" lay the last vectors out once more: by another seed and turned back, and followed.
"""

import argparse
import math
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from evolution import table

from xinc_pl.analysis.embedding import moved_onto, umap_plane
from xinc_pl.analysis.neuron_layout import NeuronLayout, NeuronPoints, movement, neuron_layout, paper_neighbours
from xinc_pl.models import NeRV


def layer_size(layer: str) -> int:
    """Neurons of a layer of the default NeRV."""
    modules = dict(NeRV().named_modules())
    weight = modules["head" if layer == "head" else f"blocks.{int(layer[-1]) - 1}.conv"].weight
    return int(weight.shape[0]) * int(weight.shape[1])  # type: ignore[operator, index]


def of_layer(folder: Path) -> list[list[str]]:
    """Rows of the table."""
    files = sorted(folder.glob("layout_epoch_*.npz"))
    moments = [dict(np.load(file)) for file in files]
    epochs = [int(file.stem.rpartition("_")[2]) for file in files]
    size = layer_size(folder.name)
    points = [NeuronPoints(each["neurons"], each["vectors"], size, 0) for each in moments]
    count = paper_neighbours(size, len(points[0].neurons))
    start = time.perf_counter()
    alone = [umap_plane(each.vectors, count, seed=index) for index, each in enumerate(points)]
    seconds_alone = (time.perf_counter() - start) / len(points)
    start = time.perf_counter()
    followed: list[NeuronLayout] = []
    for each in points:
        layout = neuron_layout(each, followed[-1] if followed else None, count)
        assert layout is not None
        followed.append(layout)
    seconds_followed = (time.perf_counter() - start) / len(points)
    rows = []
    same = neuron_layout(points[-1], followed[-1], count)
    assert same is not None
    last = NeuronLayout(points[-1].neurons, alone[-1], followed[-1].groups, math.nan)
    another = umap_plane(points[-1].vectors, count, seed=len(points))
    another = moved_onto(another, last.points, np.arange(len(another)))
    same_alone = movement(last, NeuronLayout(last.neurons, another, last.groups, math.nan))
    for (one, other), (then, now) in zip(pairwise(range(len(points))), pairwise(epochs), strict=True):
        before = NeuronLayout(points[one].neurons, alone[one], followed[one].groups, math.nan)
        _, common, rows_now = np.intersect1d(before.neurons, points[other].neurons, return_indices=True)
        turned = moved_onto(alone[other], before.points[common], rows_now)
        after = NeuronLayout(points[other].neurons, turned, followed[other].groups, math.nan)
        raw = NeuronLayout(points[other].neurons, alone[other], followed[other].groups, math.nan)
        rows.append(
            [
                folder.name,
                f"{len(points[other].neurons):,}",
                f"{then} to {now}",
                f"{movement(before, raw):.2f}",
                f"{movement(before, after):.2f}",
                f"{followed[other].movement:.2f}",
                f"{same_alone:.2f}",
                f"{same.movement:.2f}",
                f"{seconds_alone:.2f}",
                f"{seconds_followed:.2f}",
            ]
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    folder = parser.parse_args().run / "xinc/neuron_umap"
    umap_plane(np.random.default_rng(0).random((60, 3)), 5)  # compiles
    head = (
        "layer",
        "neurons",
        "epochs",
        "independent",
        "turned back",
        "followed",
        "nothing changed, turned back",
        "nothing changed, followed",
        "s independent",
        "s followed",
    )
    layers = sorted(each.name for each in folder.iterdir() if list(each.glob("layout_epoch_*.npz")))
    table(head, [row for layer in layers for row in of_layer(folder / layer)])


if __name__ == "__main__":
    main()
