"""``xinc import``: a run of this package, made of weights of the published code."""

import argparse
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import __version__ as lightning_version
from torch import Tensor

from xinc_pl.arguments import check_size, check_whole, first_not_finite
from xinc_pl.callbacks.aside import write_aside
from xinc_pl.checkpoints import check_file
from xinc_pl.config_files import bundled_configs
from xinc_pl.inert import read_inert
from xinc_pl.models import FFN, NeRV, network_from_released
from xinc_pl.models.nerv import NeRVBlock
from xinc_pl.pictures import png_bytes
from xinc_pl.plain_yaml import read_plain_yaml
from xinc_pl.runs import RunError
from xinc_pl.tools.folders import check_target, new_folder
from xinc_pl.training import ImageINR, VideoINR


def main(args: Sequence[str]) -> None:
    """Make a run of the file that the words of the command line name, and say what can be done with it.

    Raises:
        RunError: The file, or what is said of it, does not do; nothing has been written.
    """
    options = _parser().parse_args(args)
    check_target(options.out)
    try:
        for name, value in {"--size": options.size, "--grid": options.grid}.items():
            if value is not None:
                check_size(name, value)
        check_whole("xinc import", "--num_frames", options.num_frames, 1)
        if options.data is not None and "/" in options.data and not Path(options.data).exists():
            raise ValueError(f"--data {options.data!r} does not exist")
        check_file(options.file, "file")
        weights, epoch, step = _read(options.file)
        network = network_from_released(weights, options.grid)
    except ValueError as error:
        raise RunError(f"{options.file}: {error}" if str(options.file) not in str(error) else str(error)) from error
    folder = new_folder(options.out, "imported")
    import_network(network, folder, options.size, options.num_frames, options.data, epoch, step)
    count = sum(parameter.numel() for parameter in network.parameters())
    checkpoint = folder / "checkpoints/last.ckpt"
    print(f"{type(network).__name__} of {count:,} parameters, after {epoch} epochs")
    if options.data is None:
        print("without --data, its target is what the network itself makes")
    print(f"written to: {folder}")
    print(f"dissect it: xinc validate --config {folder / 'config.yaml'} --ckpt_path {checkpoint}")


def import_network(
    network: FFN | NeRV,
    folder: Path,
    size: tuple[int, int] = (128, 256),
    num_frames: int = 30,
    data: str | None = None,
    epoch: int = 0,
    step: int = 0,
) -> None:
    """Write a run: ``config.yaml``, ``checkpoints/last.ckpt``, and without data also ``target/``.

    Args:
        network: With its weights.
        folder: Of the run.
        size: Height and width of an FFN's image.
        num_frames: Length of a NeRV's clip.
        data: What it was fitted to: an image; a folder of frames, or a video. Without it, the run's target is what the
            network itself makes.
        epoch: Completed epochs.
        step: Completed steps.
    """
    is_image = isinstance(network, FFN)
    module = ImageINR(network, size) if isinstance(network, FFN) else VideoINR(network, num_frames, network.size)
    if data is None:
        data = str((folder / "target").absolute() / ("0000.png" if is_image else ""))
        _write_target(module, 1 if is_image else num_frames, folder / "target")
    elif Path(data).exists():
        data = str(Path(data).absolute())
    config: Any = read_plain_yaml(bundled_configs()["ffn" if is_image else "nerv"])
    config["model"]["init_args"]["network"]["init_args"] = _arguments(network)
    shape = list(module.size)
    config["data"] = (
        {"class_path": "xinc_pl.data.Image", "init_args": {"image": data, "size": shape}}
        if is_image
        else {"class_path": "xinc_pl.data.Video", "init_args": {"path": data, "size": shape, "num_frames": num_frames}}
    )
    checkpoint: dict[str, Any] = {
        "epoch": max(epoch - 1, 0),
        "global_step": step,
        "pytorch-lightning_version": lightning_version,
        "state_dict": module.state_dict(),
        "callbacks": {},  # without which Lightning tells no callback of it
    }
    module.on_save_checkpoint(checkpoint)
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_aside(folder / "checkpoints/last.ckpt", buffer.getvalue())
    write_aside(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False).encode())


def _read(file: Path) -> tuple[Mapping[str, Tensor], int, int]:
    """Weights, completed epochs and steps; nothing else of the file is made."""
    content = read_inert(file)
    content = content if isinstance(content, dict) else {}
    weights = content.get("state_dict", content)
    weights = weights if isinstance(weights, dict) else {}
    tensors = {str(key): value.float() for key, value in weights.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError("it holds no weights: neither a state_dict, nor tensors by name")
    if broken := first_not_finite(tensors):
        raise ValueError(f"it has weights that are not finite, such as {broken}")
    epoch, step = (
        value if isinstance(value := content.get(key), int) and value >= 0 else -1 for key in ("epoch", "global_step")
    )
    return tensors, epoch + 1, max(step, 0)


def _arguments(network: FFN | NeRV) -> dict[str, Any]:
    """What its class was called with."""
    if isinstance(network, FFN):
        sizes = [layer.out_features for layer in network.linear_layers]
        features = network.linear_layers[0].in_features
        return {"num_frequencies": features // 2, "widths": sizes[:-1], "out_channels": sizes[-1]}
    blocks = [block for block in network.blocks if isinstance(block, NeRVBlock)]
    return {
        "strides": [block.stride for block in blocks],
        "kernel_sizes": [block.conv.kernel_size[0] for block in blocks],
        "head_kernel_size": network.head.kernel_size[0],
        "width": blocks[0].conv.in_channels,
        "levels": network.stem.in_channels // 2,
        "out_channels": network.head.out_channels,
    }


@torch.no_grad()
def _write_target(module: ImageINR | VideoINR, num_frames: int, folder: Path) -> None:
    for index in range(num_frames):
        (frame,) = module(torch.tensor([index]))
        pixels = (frame * 255).round().byte().permute(1, 2, 0).numpy()
        write_aside(folder / f"{index:04d}.png", png_bytes(pixels))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xinc import",
        description="Make a run of weights that the code of the paper's authors has left: a Lightning checkpoint of an "
        "image network, or the state dict of a NeRV (.pth). Sizes are inferred from the weights. Nothing in the file "
        "is executed: only weights, epoch and step are read. The run can be validated, predicted and compared.",
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path, help="their checkpoint")
    parser.add_argument("--out", type=Path, help="the run's folder; by default a new one in lightning_logs")
    parser.add_argument("--data", help="what it was fitted to: an image; a folder of frames, or a video")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(128, 256), metavar=("H", "W"), help="of an image (128 256)"
    )
    parser.add_argument("--num_frames", type=int, default=30, help="length of a video (30)")
    parser.add_argument(
        "--grid", type=int, nargs=2, metavar=("H", "W"), help="of a NeRV's stem; by default twice as wide as high"
    )
    return parser
