"""Keeps what a network computed, epoch by epoch, so that any question can be asked later."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_warn
from torch import nn

from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.arguments import check_number
from xinc_pl.callbacks.aside import write_aside
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.board import Board, LayerNames, board_of
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.callbacks.schedule import evenly
from xinc_pl.canvas import Moment, Recording, serialized
from xinc_pl.frame_files import serialized_frame

NAME = "recordings"
"""What the folder of recordings is called unless told otherwise."""


class CanvasRecorder(XINCCallback):
    """Writes recordings: weights and called functions, from which every map and number is computed again, to the bit.

    One file for each moment, ``xinc/recordings/epoch_0030.safetensors``, holds all frames; what the frames are is
    written once, to ``frames/`` beside it. ``xinc_pl.load_run`` reads them, without the network's class and without
    the data. A file takes as much as the weights, and a moment a call of the network; the start tells how much that
    will be. Logs the scalars ``xinc/recordings/file/megabytes`` and, where there are targets, ``psnr``.

    Args:
        max_gb: What all files may take together, in GB; where the schedule would take more, it is thinned out evenly.
        **kwargs: When to record, which frames, and how, as for every ``XINCCallback``; a recording is of all layers
            and for all conventions.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "megabytes": "what the recording of this moment takes on the disk",
        "psnr": "of the recorded frame, in dB",
    }
    draws = False

    def __init__(self, max_gb: float = 2.0, **kwargs: Any) -> None:  # noqa: ANN401 - the command line looks them up
        if kwargs.get("layers") is not None or kwargs.get("convention", "paper") != "paper":
            raise ValueError("CanvasRecorder: a recording is of all layers and for all conventions; leave both out")
        super().__init__(name=kwargs.pop("name", None) or NAME, **kwargs)
        check_number("CanvasRecorder", "max_gb", max_gb, "it must be positive")
        if max_gb <= 0:
            raise ValueError(f"CanvasRecorder: max_gb is {max_gb}; it must be positive")
        self.max_gb = max_gb
        self._bytes_each = 0
        self._bytes_written = 0
        self._left_out: frozenset[int] = frozenset()
        self._is_full = False

    def known_layers(self, board: Board, network: nn.Module | Recording) -> LayerNames:
        """All that can be followed to the image; makes sure that the recording can be written, and how large it is.

        Raises:
            RecordingFileError: It cannot be written.
            DissectionError: It cannot be dissected.
            Exception: Whatever the network raises.
        """
        del board
        indices = [frame.index for frame in self.frames]
        twice = [index for index in indices if indices.count(index) > 1]
        if twice:
            raise MisconfigurationException(f"CanvasRecorder: two frames have the index {twice[0]}; give each its own")
        dissected = [DissectedFrame(frame, network, self.convention, output=self.output) for frame in self.frames]
        for each in dissected:
            each.check_channels()
        names = dissected[0].recording.layer_names()
        self._bytes_each = len(_file_of(dissected, Moment(), check=True))
        return LayerNames(names, names)

    def layers_of(self, dissected: DissectedFrame) -> Sequence[str]:
        """None: to record, nothing is dissected."""
        del dissected
        return ()

    def records(self, epoch: int) -> bool:
        """Yes, where this epoch is not thinned out and there is room."""
        return epoch not in self._left_out and not self._is_full

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """PSNR of all frames."""
        del layers
        return {"PSNR of the recorded frames": ["file/psnr"]}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what the schedule will take on the disk; thin it out where that is too much."""
        if trainer.is_global_zero and self._bytes_each:
            self._plan(trainer)
        super().on_train_start(trainer, pl_module)

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Write the frames, if they are not there yet, and the recordings."""
        del layers
        if outputs.epoch in self._left_out:
            return
        data = _file_of(frames, Moment(outputs.epoch, outputs.step), check=False)
        if self._bytes_written + len(data) > self.max_gb * 1e9:
            if not self._is_full:
                self._is_full = True
                rank_zero_warn(f"CanvasRecorder: max_gb={self.max_gb:g} is reached; nothing more is recorded")
            return
        folder = outputs.directory / self.name
        for each in frames:
            file = folder / "frames" / f"{_name_of(each)}.safetensors"
            if not file.exists():
                write_aside(file, serialized_frame(each.frame))
        write_aside(folder / f"epoch_{outputs.epoch:04d}.safetensors", data)
        self._bytes_written += len(data)
        outputs.scalars("file", {"megabytes": len(data) / 1e6})
        for each in frames:
            if each.psnr is not None:
                outputs.scalars("file", {"psnr": each.psnr}, each.frame.index)

    def _plan(self, trainer: Trainer) -> None:
        """Choose among the moments that are due from here on."""
        first = 0 if trainer.global_step == 0 else trainer.current_epoch + 1
        due = self.schedule.epochs(first, trainer.max_epochs)
        folder = (board_of(trainer).directory or Path("xinc")) / self.name
        size = f"{self._bytes_each / 1e6:.3g} MB each"
        if due is None:
            rank_zero_info(f"CanvasRecorder: {size}, until {self.max_gb:g} GB are reached, in {folder}")
            return
        chosen = evenly(due, int(self.max_gb * 1e9) // self._bytes_each)
        self._left_out = frozenset(due) - frozenset(chosen)
        total = self._bytes_each * len(chosen) / 1e6
        if not self._left_out:
            rank_zero_info(f"CanvasRecorder: {len(chosen)} recordings, {size}, {total:.3g} MB in all, in {folder}")
            return
        needed = self._bytes_each * len(due) / 1e9
        rank_zero_warn(
            f"CanvasRecorder: the {len(due)} moments of the schedule would take {needed:.3g} GB, more than "
            f"max_gb={self.max_gb:g}; {len(chosen)} of them are recorded, evenly spaced, {size}, in {folder}"
        )


def _file_of(frames: Sequence[DissectedFrame], moment: Moment, check: bool) -> bytes:
    moments = {_name_of(each): Moment(moment.epoch, moment.step, _finite(each.psnr)) for each in frames}
    return serialized({_name_of(each): each.recording for each in frames}, moments, check)


def _name_of(dissected: DissectedFrame) -> str:
    return f"frame_{dissected.frame.index:04d}"


def _finite(psnr: float | None) -> float | None:
    return psnr if psnr is not None and math.isfinite(psnr) else None
