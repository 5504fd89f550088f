"""What dissecting a whole network under `effect` costs: processor time of one thread, layer by layer, and memory.

python benchmarks/effect.py [hnerv|nerv|siren] [--max_neurons N]   at their default size, on a frame of 128x256
"""

import argparse
import resource
import time
from typing import Any

import torch
from torch import nn

from xinc_pl import HNeRV, NeRV, dissect
from xinc_pl.frames import pixel_coordinates
from xinc_pl.models import SIREN

SIZE = (128, 256)


def hnerv() -> tuple[nn.Module, Any]:
    """A whole HNeRV, on noise."""
    network = HNeRV(SIZE)
    network.see(torch.rand_like(network.clip))
    return network, torch.tensor([0.0])


def nerv() -> tuple[nn.Module, Any]:
    """The paper's NeRV."""
    return NeRV(SIZE), torch.tensor([0.1], dtype=torch.float64)


def siren() -> tuple[nn.Module, Any]:
    """A SIREN on all pixels."""
    return SIREN(), pixel_coordinates(SIZE)


NETWORKS = {"hnerv": hnerv, "nerv": nerv, "siren": siren}


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=tuple(NETWORKS), nargs="?", default="hnerv")
    parser.add_argument("--max_neurons", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, inputs = NETWORKS[arguments.network]()
    start = before = time.process_time()
    canvas = dissect(network, inputs, size=SIZE, convention="effect", max_neurons=arguments.max_neurons)
    print(f"dissect, self-check of {len(canvas)} layers: {time.process_time() - before:.2f} s", flush=True)
    for name, layer in canvas.items():
        before = time.process_time()
        layer.statistics()
        seconds = time.process_time() - before
        print(f"{name}: statistics of {len(layer.sample)} of {layer.num_neurons} neurons {seconds:.2f} s", flush=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"together {time.process_time() - start:.1f} s; largest memory {memory:.2f} GB")


if __name__ == "__main__":
    main()
