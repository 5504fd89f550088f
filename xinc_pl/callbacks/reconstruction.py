"""Writes what the network makes of its frames."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from PIL import Image
from torch import Tensor

from xinc_pl.analysis.channels import as_rgb, channels_note
from xinc_pl.arguments import check_number
from xinc_pl.callbacks.aside import clear_asides, write_aside
from xinc_pl.callbacks.lightnings import AnyCallback
from xinc_pl.callbacks.loggers import run_folder, run_of_checkpoint
from xinc_pl.callbacks.outputs import is_rehearsal
from xinc_pl.pictures import Pixels, png_bytes


class ReconstructionWriter(BasePredictionWriter, AnyCallback):
    """Writes the frames of ``predict`` as PNG, and those of a video also as one GIF.

    They go to ``reconstruction/`` in the folder of the run that the checkpoint is from; where it is from none, in that
    of this run. Where it is known what a frame should be, ``compared_0007.png`` has that, the reconstruction, and four
    times the absolute error, side by side. Frames that are neither grey nor RGB are shown as in pictures
    (two channels as magenta and green, of more the first three), and all of their channels are kept beside, float32
    (C, H, W) in [0, 1], as ``.npy``.

    Args:
        frames_per_second: Speed of the GIF.
    """

    def __init__(self, frames_per_second: float = 10.0) -> None:
        super().__init__(write_interval="epoch")
        check_number("ReconstructionWriter", "frames_per_second", frames_per_second, "it must be positive")
        if frames_per_second <= 0:
            raise ValueError(f"ReconstructionWriter: frames_per_second is {frames_per_second}; it must be positive")
        self.frames_per_second = frames_per_second
        self._run: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the folder."""
        del pl_module
        if stage == "predict":
            self._run = run_folder(trainer)  # every process must ask

    def write_on_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        """Write the frames of (numbers, frames) or (numbers, frames, targets), as ``predict_step`` returns them."""
        del pl_module, batch_indices
        assert self._run is not None, "setup comes first"
        run = run_of_checkpoint(trainer.ckpt_path) or self._run  # which is not known before the weights are loaded
        if trainer.is_global_zero and not is_rehearsal(trainer):
            clear_asides(run)
        directory = run / "reconstruction"
        frames = {}
        for numbers, batch, *targets in predictions:
            known = targets[0] if targets and targets[0] is not None else [None] * len(batch)
            for number, frame, target in zip(numbers.tolist(), batch, known, strict=True):
                frames[number] = _bytes(frame)
                write_aside(directory / f"frame_{number:04d}.png", png_bytes(frames[number]))
                if target is not None and bool(torch.isfinite(target).all()):
                    write_aside(directory / f"compared_{number:04d}.png", png_bytes(_compared(frame, target)))
                if channels_note(len(frame)):
                    write_aside(directory / f"frame_{number:04d}.npy", _npy_bytes(frame))
        if len(frames) > 1 and trainer.world_size == 1:
            video = gif_bytes([frames[number] for number in sorted(frames)], self.frames_per_second)
            write_aside(directory / "video.gif", video)
        rank_zero_info(f"wrote {len(frames)} frames to {directory}")


def gif_bytes(frames: Sequence[Pixels], frames_per_second: float) -> bytes:
    """Encode frames (H, W, 3), or grey ones (H, W), as an endless GIF."""
    buffer = io.BytesIO()
    first, *others = (Image.fromarray(frame) for frame in frames)
    duration = round(1000 / frames_per_second)  # milliseconds
    first.save(buffer, format="GIF", save_all=True, append_images=others, duration=duration, loop=0)
    return buffer.getvalue()


def _bytes(frame: Tensor) -> Pixels:
    """A frame (C, H, W) as it is shown: (H, W) if it is grey, else (H, W, 3)."""
    values = (frame.float().clamp(0, 1) * 255).round().byte()
    return np.ascontiguousarray(values[0].cpu().numpy() if len(frame) == 1 else as_rgb(values).astype(np.uint8))


def _compared(frame: Tensor, target: Tensor) -> Pixels:
    """Target, reconstruction and magnified error (C, H, W), side by side."""
    target = target.to(frame.device, frame.dtype)
    return _bytes(torch.cat([target, frame, _ERROR_GAIN * (frame - target).abs()], dim=-1))


def _npy_bytes(frame: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, frame.float().cpu().numpy(), allow_pickle=False)
    return buffer.getvalue()


_ERROR_GAIN = 4.0
"""What errors are multiplied by: one of a quarter of the range is white."""
