"""How fast the canvas is, against two plain ways (``naive.py``), in one run.

python benchmarks/canvas.py statistics   all statistics of every layer, one frame
python benchmarks/canvas.py maps         all maps, made and thrown away
python benchmarks/canvas.py video        30 frames with the change between them, against one
python benchmarks/canvas.py effect       the effect convention, per 1,000 kernels and against single JVPs

The plain ways are timed on some kernels of each layer (--kernels) and scaled to all: each costs the same, but for
sorting, which this flatters.
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import naive
import torch
from torch import Tensor

from xinc_pl import FFN, NeRV, dissect
from xinc_pl.canvas import LayerCanvas, stream_statistics
from xinc_pl.canvas.backends.backend import BackendName
from xinc_pl.canvas.effect.effect import EffectRule
from xinc_pl.frames import frame_time, pixel_coordinates

SIZE = (128, 256)


def partitions_of(size: tuple[int, int], seed: int) -> dict[str, Tensor]:
    """Five label maps of the sizes that the analyses use."""
    generator = torch.Generator().manual_seed(seed)
    blobs = torch.rand(1, 32, size[0] // 8, size[1] // 8, generator=generator)
    smooth = torch.nn.functional.interpolate(blobs, size=size, mode="bilinear")[0]
    labels = {"rgb": smooth.argmax(0), "gabor": smooth.roll(7, 0).cumsum(0).remainder(1).argmax(0)}
    labels["instances"] = smooth[:7].argmax(0)
    for name in ("rgb", "instances"):
        order = torch.randperm(size[0] * size[1], generator=generator)
        labels[f"random_{name}"] = labels[name].flatten()[order].view(size)
    return {name: _without_gaps(each) for name, each in labels.items()}


def _without_gaps(labels: Tensor) -> Tensor:
    return labels.unique(return_inverse=True)[1]


class Plain(NamedTuple):
    """Seconds of the plain ways."""

    lean: float
    published: float

    def against(self, ours: float) -> str:
        """How they compare with our seconds."""
        return (
            f"lean loops {self.lean:.2f} s ({self.lean / ours:.0f} times), "
            f"as published {self.published:.2f} s ({self.published / ours:.0f} times)"
        )


def quickest(*functions: Callable[[], object], times: int = 3) -> list[float]:
    """Wall seconds of the quickest of several calls of each, in turns: others may use the machine."""
    return [
        min(seconds) for seconds in zip(*([timed(each)[0] for each in functions] for _ in range(times)), strict=True)
    ]


def timed(function: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu


def peak_gigabytes() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def report(name: str, plain: Plain, layer: LayerCanvas, partitions: dict[str, Tensor]) -> float:
    """Time one layer's statistics and print them beside the plain ways; returns the seconds."""
    layer.statistics(partitions)  # compiles, and touches the memory
    wall, cpu = min(timed(layer.statistics, partitions) for _ in range(3))
    print(
        f"  {name:8} {layer.num_neurons:6} neurons: ours {wall:6.3f} s (CPU {cpu:6.3f} s), {plain.against(wall)}",
        flush=True,
    )
    return wall


def plain_nerv(
    network: NeRV, at: Tensor, layer: LayerCanvas, num_kernels: int, partitions: dict[str, Tensor] | None = None
) -> Plain:
    """Seconds of both plain ways for a layer's maps, and statistics if there are partitions, scaled to all kernels."""
    kernels = torch.randperm(layer.num_neurons)[:num_kernels].tolist()
    scale = layer.num_neurons / len(kernels)

    def lean() -> None:
        maps = naive.nerv_maps(network, at, layer.name, kernels)
        if partitions is not None:
            naive.statistics(maps, partitions)

    def published() -> None:
        maps = naive.published_nerv_maps(network, at, layer.name, kernels)
        if partitions is not None:
            naive.published_statistics(maps, partitions)

    return Plain(*(seconds * scale for seconds in quickest(lean, published)))


def plain_ffn(network: FFN, coordinates: Tensor, layer: int, partitions: dict[str, Tensor] | None = None) -> Plain:
    """The same for a linear layer."""

    def lean() -> None:
        maps = naive.ffn_maps(network, coordinates, SIZE, layer)
        if partitions is not None:
            naive.statistics(maps, partitions)

    def published() -> None:
        maps = naive.published_ffn_maps(network, coordinates, SIZE, layer)
        if partitions is not None:
            naive.published_statistics(maps, partitions)

    return Plain(*quickest(lean, published))


def one_jvp_each(rule: EffectRule, kernels: Tensor) -> None:
    """The effect of some kernels, one after the other."""
    for kernel in kernels:
        torch.func.jvp(rule.rest, (rule.preactivation,), (rule.directions(kernel[None])[0],))


def together(plains: Sequence[Plain]) -> Plain:
    """Their sums."""
    return Plain(sum(plain.lean for plain in plains), sum(plain.published for plain in plains))


def run_through(layer: LayerCanvas, neurons: Tensor | None = None) -> None:
    """Make maps, of all neurons by default."""
    for _ in layer.stream(neurons):
        pass


def maps(backends: list[str], num_kernels: int) -> None:
    """Maps only, every layer."""
    torch.manual_seed(0)
    nerv, ffn, at = NeRV(), FFN(), torch.tensor([0.5], dtype=torch.float64)
    coordinates = pixel_coordinates(SIZE)
    for backend in backends:
        for name, layer in dissect(nerv, at, backend=backend).items():
            run_through(layer)
            (ours,) = quickest(partial(run_through, layer), times=5)
            plain = plain_nerv(nerv, at, layer, num_kernels)
            print(f"{backend}, {name}: ours {ours:.3f} s, {plain.against(ours)}", flush=True)
        layers = dissect(ffn, coordinates, size=SIZE, backend=backend).values()
        for layer in layers:
            run_through(layer)
        ours = sum(quickest(*(partial(run_through, layer) for layer in layers), times=9))
        plains = [plain_ffn(ffn, coordinates, number) for number in range(3)]
        print(f"{backend}, FFN: ours {ours:.4f} s, {together(plains).against(ours)}", flush=True)


def compare(backends: list[str], num_kernels: int) -> None:
    """All statistics of every layer, one frame."""
    torch.manual_seed(0)
    nerv, ffn, at = NeRV(), FFN(), torch.tensor([0.5], dtype=torch.float64)
    coordinates, partitions = pixel_coordinates(SIZE), partitions_of(SIZE, 0)
    plain = {name: plain_nerv(nerv, at, layer, num_kernels, partitions) for name, layer in dissect(nerv, at).items()}
    for number in range(3):
        plain[f"layer_{number + 1}"] = plain_ffn(ffn, coordinates, number, partitions)
    for backend in backends:
        for network, inputs in ((nerv, at), (ffn, coordinates)):
            print(f"{type(network).__name__}, {backend}")
            layers = dissect(network, inputs, size=SIZE, backend=backend)
            ours = sum(report(name, plain[name], layer, partitions) for name, layer in layers.items())
            print(f"  together: ours {ours:.2f} s, {together([plain[name] for name in layers]).against(ours)}")


def video(backends: list[BackendName], num_frames: int) -> None:
    """A video with its change between frames, against one frame; canvases are made on the way, results not kept."""
    nerv, partitions = NeRV(), partitions_of(SIZE, 0)
    times = frame_time(torch.arange(num_frames), num_frames)

    def run(backend: BackendName, name: str, times: Tensor) -> None:
        layers = (dissect(nerv, at[None], backend=backend)[name] for at in times)
        for _ in stream_statistics(layers, [partitions] * len(times)):
            pass

    for backend in backends:
        for name in dissect(nerv, times[:1], backend=backend):
            run(backend, name, times[:1])  # compiles
            one, _ = timed(run, backend, name, times[:1])
            many, _ = timed(run, backend, name, times)
            print(f"{backend}, {name}: {num_frames} frames {many:.2f} s, {many / one:.1f} times one frame", flush=True)
            print(f"process so far {peak_gigabytes():.2f} GB", flush=True)


def effect(backends: list[str]) -> None:
    """Seconds per 1,000 kernels of the effect convention, and against one JVP after the other.

    Of all kernels of a layer, and of a random 128, which share less.
    """
    nerv, at = NeRV(), torch.tensor([0.5], dtype=torch.float64)
    for backend in backends:
        for name, layer in dissect(nerv, at, convention="effect", backend=backend).items():
            kernels = torch.randperm(layer.num_neurons)
            run_through(layer, kernels[:1])  # compiles
            singly = partial(one_jvp_each, layer._rule, kernels[:16])
            for some, what in ((kernels, "all"), (kernels[:128], "a random 128")):
                one_by_one, seconds = quickest(singly, partial(run_through, layer, some), times=4)
                one_by_one, seconds = one_by_one / 16, seconds / len(some)
                print(
                    f"effect, {backend}, {name}, {what}: {seconds * 1000:.3f} s per 1,000 kernels, "
                    f"{one_by_one / seconds:.1f} times faster than one JVP after the other ({one_by_one:.4f} s each)",
                    flush=True,
                )
    print(f"process {peak_gigabytes():.2f} GB")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("statistics", "maps", "video", "effect"))
    parser.add_argument("--kernels", type=int, default=200, help="how many kernels the plain ways are timed on")
    parser.add_argument("--backends", nargs="+", default=["torch", "numba"])
    parser.add_argument("--frames", type=int, default=30)
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    match arguments.what:
        case "statistics":
            compare(arguments.backends, arguments.kernels)
        case "maps":
            maps(arguments.backends, arguments.kernels)
        case "video":
            video(arguments.backends, arguments.frames)
        case "effect":
            effect(arguments.backends)


if __name__ == "__main__":
    main()
