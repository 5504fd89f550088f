"""The networks side by side, as their overlays make them: parameters, PSNR on two signals, CPU seconds, conventions.

python benchmarks/networks.py [--steps 200] [--epochs 15] [--only hinerv]
python benchmarks/networks.py --image_size 128 256 --clip_size 128 256 --steps 300    # the size of the configurations
"""

import argparse
import time
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything

from xinc_pl import Collage, Image
from xinc_pl.canvas import CONVENTIONS, Canvas, DissectionError, dissect
from xinc_pl.config_files import bundled_configs
from xinc_pl.data import FramesDataModule
from xinc_pl.frames import Frame
from xinc_pl.plain_yaml import read_plain_yaml
from xinc_pl.training import ImageINR, INRModule, VideoINR
from xinc_pl.trust import make

IMAGES = ("ffn", "positional_mlp", "gauss", "siren", "finer", "wire", "hash_grid")
CLIPS = ("nerv", "grid_nerv", "hnerv", "hinerv")
IMAGE_SIZE, CLIP_SIZE = (96, 96), (64, 128)


def module_of(name: str, size: tuple[int, int], num_frames: int = 30) -> INRModule:
    """What ``--config <base> --config <name>`` trains, for another size."""
    files = bundled_configs()
    base = "ffn" if name in IMAGES else "nerv"
    model: Any = deepcopy(read_plain_yaml(files[base]))["model"]  # type: ignore[index] # a configuration is a mapping
    if name != base:
        overlay: Any = read_plain_yaml(files[name])
        model["init_args"] |= overlay["model"]["init_args"]
    network = model["init_args"]["network"]
    if name in CLIPS:
        network["init_args"] = network.get("init_args", {}) | {"size": list(size)}
        model["init_args"]["num_frames"] = num_frames
        if name in ("hnerv", "hinerv"):
            network["init_args"]["num_frames"] = num_frames
    model["init_args"]["size"] = list(size)
    seed_everything(0, verbose=False)
    return make(model, ImageINR if name in IMAGES else VideoINR)


def trained(name: str, data: FramesDataModule, epochs: int) -> tuple[INRModule, float, float]:
    """A module after its training, the PSNR that it has reached, and the CPU seconds of the training."""
    module = module_of(name, data.size, data.num_frames)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    start = time.process_time()
    trainer.fit(module, data)
    seconds = time.process_time() - start
    (measured,) = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).validate(module, data, verbose=False)
    return module, measured["val/psnr"], seconds


def conventions_of(module: INRModule, frame: Frame) -> list[str]:
    """Under which conventions the network has maps, and how many neurons; the worst error of the self-check."""
    found = []
    for convention in CONVENTIONS:
        try:
            canvas = dissect(module.network, frame.inputs, size=frame.size, convention=convention)
        except DissectionError:
            found.append("none")
        else:
            found.append(described(canvas))
    return found


def described(canvas: Canvas) -> str:
    """Neurons that have maps, and the worst error of the self-check."""
    neurons = sum(layer.num_neurons for layer in canvas.values())
    error = max(layer.completeness_error for layer in canvas.values())
    return f"{neurons:,} ({error:.0e})"


def table(names: Sequence[str], signals: Sequence[tuple[str, FramesDataModule]], epochs: int) -> None:
    """Print the rows of some networks as soon as they are measured."""
    decibels = " | ".join(f"{title}, dB" for title, _ in signals)
    print(f"\n| network | parameters | {decibels} | CPU s | {' | '.join(CONVENTIONS)} |")
    print("|---|" + "---|" * (len(signals) + 2 + len(CONVENTIONS)), flush=True)
    for name in names:
        runs = [trained(name, data, epochs) for _, data in signals]
        module = runs[-1][0]
        numbers = sum(each.numel() * (1 + each.is_complex()) for each in module.network.parameters())
        decibels = " | ".join(f"{psnr:.2f}" for _, psnr, _ in runs)
        seconds = sum(each for *_, each in runs) / len(runs)
        conventions = " | ".join(conventions_of(module, signals[-1][1].frames[0]))
        kind = type(module.network).__name__
        print(f"| {kind} | {numbers:,} | {decibels} | {seconds:.0f} | {conventions} |", flush=True)


def main() -> None:
    """Measure all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200, help="of each image network")
    parser.add_argument("--epochs", type=int, default=15, help="of each network of clips")
    parser.add_argument("--image_size", type=int, nargs=2, default=IMAGE_SIZE, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--clip_size", type=int, nargs=2, default=CLIP_SIZE, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--only", nargs="+", choices=IMAGES + CLIPS, default=IMAGES + CLIPS, help="some of them")
    options = parser.parse_args()
    torch.set_num_threads(1)  # so that CPU seconds are those of the computation, not of waiting
    start = time.perf_counter()
    if chosen := [name for name in IMAGES if name in options.only]:
        signals = [
            (name, Image(name, tuple(options.image_size), steps_per_epoch=10)) for name in ("astronaut", "chelsea")
        ]
        table(chosen, signals, options.steps // 10)
    if chosen := [name for name in CLIPS if name in options.only]:
        clips = [(f"`Collage`, seed {seed}", Collage(tuple(options.clip_size), seed=seed)) for seed in (0, 1)]
        table(chosen, clips, options.epochs)
    print(f"\n{time.perf_counter() - start:.0f} s in all, {time.process_time():.0f} CPU s")


if __name__ == "__main__":
    main()
