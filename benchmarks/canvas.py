"""How fast the canvas is, against the published way (``naive.py``), in one run.

python benchmarks/canvas.py statistics   all statistics of every layer, one frame
python benchmarks/canvas.py maps         all maps, made and thrown away
python benchmarks/canvas.py video        30 frames with the change between them, against one
python benchmarks/canvas.py effect       the effect convention, per 1,000 kernels and against single JVPs
python benchmarks/canvas.py growth       time and memory against pixels and neurons, up to 720x1280

The published way is timed on some kernels of each layer (--kernels) and scaled to all: each costs the same.
"""

import argparse
import resource
import time
from collections.abc import Callable

import naive
import torch
from torch import Tensor

from xinc_pl import FFN, NeRV, dissect
from xinc_pl.canvas import LayerCanvas, stream_statistics
from xinc_pl.canvas.effect_rule import EffectRule
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


def timed(function: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu


def peak_gigabytes() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def report(name: str, published: float, layer: LayerCanvas, partitions: dict[str, Tensor]) -> float:
    """Time one layer's statistics and print it beside the published way; returns the seconds."""
    layer.statistics(partitions)  # compiles, and touches the memory
    before = peak_gigabytes()
    wall, cpu = timed(layer.statistics, partitions)
    print(
        f"  {name:8} {layer.num_neurons:6} neurons: published {published:7.2f} s, ours {wall:6.3f} s "
        f"(CPU {cpu:6.3f} s), {published / wall:6.0f} times, {peak_gigabytes() - before:.2f} GB more",
        flush=True,
    )
    return wall


def naive_nerv(network: NeRV, at: Tensor, layer: str, kernels: list[int], partitions: dict[str, Tensor]) -> None:
    """The published way for some kernels."""
    naive.statistics(naive.nerv_maps(network, at, layer, kernels), partitions)


def naive_ffn(network: FFN, coordinates: Tensor, layer: int, partitions: dict[str, Tensor]) -> None:
    """The published way for a linear layer."""
    naive.statistics(naive.ffn_maps(network, coordinates, SIZE, layer), partitions)


def one_jvp_each(rule: EffectRule, kernels: Tensor) -> None:
    """The effect of some kernels, one after the other."""
    for kernel in kernels:
        torch.func.jvp(rule.rest, (rule.preactivation,), (rule.directions(kernel[None])[0],))


def run_through(layer: LayerCanvas) -> None:
    """Make all maps."""
    for _ in layer.stream():
        pass


def maps(backends: list[str], num_kernels: int) -> None:
    """Maps only, every layer."""
    torch.manual_seed(0)
    nerv, ffn, at = NeRV(), FFN(), torch.tensor([0.5], dtype=torch.float64)
    coordinates = pixel_coordinates(SIZE)
    for backend in backends:
        for name, layer in dissect(nerv, at, backend=backend).items():
            kernels = torch.randperm(layer.num_neurons)[:num_kernels].tolist()
            seconds, _ = timed(naive.nerv_maps, nerv, at, name, kernels)
            published = seconds * layer.num_neurons / len(kernels)
            run_through(layer)
            ours, _ = timed(run_through, layer)
            print(
                f"{backend}, {name}: published {published:.2f} s, ours {ours:.3f} s, {published / ours:.0f} times",
                flush=True,
            )
        ours = published = 0.0
        for number, layer in enumerate(dissect(ffn, coordinates, size=SIZE, backend=backend).values()):
            run_through(layer)
            ours += timed(run_through, layer)[0]
            published += timed(naive.ffn_maps, ffn, coordinates, SIZE, number)[0]
        print(
            f"{backend}, FFN: published {published:.2f} s, ours {ours:.3f} s, {published / ours:.0f} times", flush=True
        )


def growth(backends: list[str]) -> None:
    """Larger frames with the same network, and more neurons on the same frame."""
    for backend in backends:
        for size, parameters in (
            ((160, 320), 1e6),
            ((320, 640), 1e6),
            ((160, 320), 4e6),
            ((720, 1280), 3e6),
        ):
            torch.manual_seed(0)
            nerv = NeRV(size, model_size=parameters, strides=(5, 4, 2, 2))
            canvas = dissect(nerv, torch.tensor([0.5], dtype=torch.float64), backend=backend)
            partitions = partitions_of(size, 0)
            for name, layer in canvas.items():
                before = peak_gigabytes()
                wall, _ = timed(layer.statistics, partitions)
                billions = layer.num_neurons * size[0] * size[1] / 1e9
                what = f"{backend}, {size[0]}x{size[1]}, {name}: {layer.num_neurons} neurons, {billions:.2f}e9 values"
                rate = f"{wall:.2f} s, {wall / billions:.2f} s per 1e9"
                print(f"{what}, {rate}, {peak_gigabytes() - before:.2f} GB more", flush=True)
            print(f"process {peak_gigabytes():.2f} GB")


def compare(backends: list[str], num_kernels: int) -> None:
    """All statistics of every layer, one frame."""
    torch.manual_seed(0)
    nerv, ffn, at = NeRV(), FFN(), torch.tensor([0.5], dtype=torch.float64)
    coordinates, partitions = pixel_coordinates(SIZE), partitions_of(SIZE, 0)
    published: dict[str, float] = {}
    canvas = dissect(nerv, at)
    for name, layer in canvas.items():
        kernels = torch.randperm(layer.num_neurons)[:num_kernels].tolist()
        seconds, _ = timed(naive_nerv, nerv, at, name, kernels, partitions)
        published[name] = seconds * layer.num_neurons / len(kernels)
    for number in range(3):
        published[f"layer_{number + 1}"], _ = timed(naive_ffn, ffn, coordinates, number, partitions)
    for backend in backends:
        for network, inputs in ((nerv, at), (ffn, coordinates)):
            print(f"{type(network).__name__}, {backend}")
            layers = dissect(network, inputs, size=SIZE, backend=backend)
            ours = sum(report(name, published[name], layer, partitions) for name, layer in layers.items())
            theirs = sum(published[name] for name in layers)
            print(f"  together: published {theirs:.1f} s, ours {ours:.2f} s, {theirs / ours:.0f} times")


def video(backends: list[str], num_frames: int) -> None:
    """A video with its change between frames, against one frame."""
    nerv, partitions = NeRV(), partitions_of(SIZE, 0)
    times = frame_time(torch.arange(num_frames), num_frames)
    for backend in backends:
        frames = [dissect(nerv, at[None], backend=backend) for at in times]
        for name in frames[0]:
            layers = [frame[name] for frame in frames]
            one, _ = timed(layers[0].statistics, partitions)
            many, _ = timed(stream_statistics, layers, [partitions] * num_frames)
            print(f"{backend}, {name}: {num_frames} frames {many:.2f} s, {many / one:.1f} times one frame", flush=True)
    print(f"process {peak_gigabytes():.2f} GB")


def effect() -> None:
    """Seconds per 1,000 kernels of the effect convention, and against one JVP after the other."""
    nerv, at = NeRV(), torch.tensor([0.5], dtype=torch.float64)
    canvas = dissect(nerv, at, convention="effect")
    for name, layer in canvas.items():
        kernels = torch.randperm(layer.num_neurons)[:128]
        seconds, _ = timed(layer.magnitudes, kernels)
        one_by_one, _ = timed(one_jvp_each, layer._rule, kernels[:16])
        print(
            f"effect, {name}: {seconds * 1000 / len(kernels):.2f} s per 1,000 kernels, "
            f"{one_by_one / 16 * len(kernels) / seconds:.1f} times faster than one JVP after the other",
            flush=True,
        )


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("statistics", "maps", "video", "effect", "growth"))
    parser.add_argument("--kernels", type=int, default=200, help="how many kernels the published way is timed on")
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
            effect()
        case "growth":
            growth(arguments.backends)


if __name__ == "__main__":
    main()
