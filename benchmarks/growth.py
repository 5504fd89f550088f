"""Time and memory of all statistics of a layer, each in a process of its own.

python benchmarks/growth.py                the default NeRV and FFN
python benchmarks/growth.py --sizes        a NeRV with strides 5, 4, 2, 2: against pixels and neurons, up to 720x1280
python benchmarks/growth.py --large        an FFN on larger and larger images, up to 2048x2048: everything that is asked

Added memory: the process's peak, over what it held when the canvas was there and the code had been compiled.
"""

import argparse
import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from canvas import partitions_of, timed
from torch import Tensor, nn

from xinc_pl import FFN, NeRV, dissect
from xinc_pl.canvas import Convention
from xinc_pl.canvas.backends.backend import BackendName
from xinc_pl.frames import Size, pixel_coordinates


class Case(NamedTuple):
    """What to measure."""

    name: str
    size: Size
    layer: str
    backend: BackendName


class Cost(NamedTuple):
    """What it took: neurons, seconds, and gigabytes added and in all."""

    num_neurons: int
    seconds: float
    added: float
    process: float


NETWORKS = {
    "NeRV": lambda size: NeRV(size),
    "FFN": lambda _: FFN(),
    "1 million": lambda size: NeRV(size, model_size=1e6, strides=(5, 4, 2, 2)),
    "3 million": lambda size: NeRV(size, model_size=3e6, strides=(5, 4, 2, 2)),
    "4 million": lambda size: NeRV(size, model_size=4e6, strides=(5, 4, 2, 2)),
}
LAYERS = {"FFN": ("layer_1", "layer_2", "layer_3"), "NeRV": ("block_1", "block_2", "block_3", "head")}
LARGE = ("block_1", "block_2", "block_3", "block_4", "head")
GROWTH: tuple[tuple[str, Size], ...] = (
    ("1 million", (160, 320)),
    ("1 million", (320, 640)),
    ("4 million", (160, 320)),
    ("3 million", (720, 1280)),
)


def made(case: Case) -> tuple[nn.Module, Tensor]:
    """The network and what it is called with."""
    torch.manual_seed(0)
    at = pixel_coordinates(case.size) if case.name == "FFN" else torch.tensor([0.5], dtype=torch.float64)
    return NETWORKS[case.name](case.size).eval(), at


def measured(case: Case) -> Cost:
    """Measure one layer, in a fresh process."""
    small = case._replace(size=(80, 160) if "million" in case.name else (32, 64))
    network, at = made(small)
    partitions = partitions_of(small.size, 0)
    for layer in dissect(network, at, size=small.size, backend=case.backend).values():
        layer.statistics(partitions)  # compiles
    network, at = made(case)
    layer = dissect(network, at, size=case.size, backend=case.backend)[case.layer]
    partitions = partitions_of(case.size, 0)
    before = _held()
    seconds, _ = timed(layer.statistics, partitions)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return Cost(layer.num_neurons, seconds, peak - before, peak)


def large(side: int, convention: Convention) -> list[str]:
    """All that is asked of an FFN's canvas of side x side pixels: processor seconds, and the peak so far, as cells."""
    torch.set_num_threads(1)
    network, at = made(Case("FFN", (side, side), "layer_1", "auto"))
    for layer in dissect(network, pixel_coordinates((32, 32)), size=(32, 32), convention=convention).values():
        layer.statistics()  # compiles
    before, cells = _held(), []

    def told(function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401 - whatever is measured
        start = time.process_time()
        result = function(*arguments)
        cells.append(f"{time.process_time() - start:.1f}")
        return result

    canvas = told(partial(dissect, network, at, size=(side, side), convention=convention))
    for layer in canvas.values():
        told(layer.statistics)
    told(canvas["layer_2"].maps, [0, 1, 2, 3])
    told(canvas["layer_2"].top, (side // 2, side // 3))
    assert max(layer.completeness_error for layer in canvas.values()) < 1e-5
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return [*cells, f"{(peak - before) * 1024:.0f}"]


def print_large() -> None:
    """A table of large images."""
    columns = ("dissect", "layer 1", "layer 2", "layer 3", "4 maps", "top of a pixel", "MB added")
    print(f"| size | convention | {' | '.join(columns)} |")
    print("|---|---|" + "---|" * len(columns))
    for side, convention in ((512, "paper"), (1024, "paper"), (2048, "paper"), (512, "effect"), (1024, "effect")):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            cells = pool.submit(large, side, cast(Convention, convention)).result()
        print(f"| {side}x{side} | `{convention}` | {' | '.join(cells)} |", flush=True)


def _held() -> float:
    """Gigabytes of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", action="store_true")
    parser.add_argument("--backends", nargs="+", default=["torch", "numba"])
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    if arguments.large:
        print_large()
        return
    runs = GROWTH if arguments.sizes else (("NeRV", (128, 256)), ("FFN", (128, 256)))
    print("| network | size | layer | neurons | backend | seconds | s per 1e9 values | GB added | GB in all |")
    print("|---|---|---|---|---|---|---|---|---|")
    for backend in arguments.backends:
        for name, size in runs:
            for layer in LAYERS.get(name, LARGE):
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    cost = pool.submit(measured, Case(name, size, layer, backend)).result()
                billions = cost.num_neurons * size[0] * size[1] / 1e9
                what = f"{name} | {size[0]}x{size[1]} | {layer} | {cost.num_neurons:,} | {backend}"
                rate = f"{cost.seconds:.2f} | {cost.seconds / billions:.2f}"
                print(f"| {what} | {rate} | {cost.added:.2f} | {cost.process:.2f} |", flush=True)


if __name__ == "__main__":
    main()
