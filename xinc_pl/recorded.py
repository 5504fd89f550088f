"""Runs that have recordings: their epochs, canvases, frames and curves, without their classes and their data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.canvas import Canvas, Convention, Moment, Recording, RecordingFile, RecordingFileError
from xinc_pl.frame_files import load_frame
from xinc_pl.frames import Frame
from xinc_pl.memory import available_memory
from xinc_pl.scalars import Curve, read_scalars

_NAME = "recordings"


class RunError(ValueError):
    """A run cannot be loaded, or not be used for what it is wanted for. The message is one line."""


@dataclass(frozen=True, eq=False)
class RecordedRun:
    """A run that a ``CanvasRecorder`` has watched. Of its folder, nothing is imported or run, whoever has made it.

    Attributes:
        path: The run's folder.
        name: The folder's name.
        files: The file of each recorded epoch, in their order.
    """

    path: Path
    name: str
    files: Mapping[int, Path]

    @property
    def epochs(self) -> tuple[int, ...]:
        """The recorded epochs, in their order; 0 is before the first step."""
        return tuple(self.files)

    @property
    def epoch(self) -> int:
        """The last one of them."""
        return self.epochs[-1]

    @property
    def step(self) -> int:
        """The training step of the last recorded epoch."""
        return self.moment().step or 0

    @property
    def source(self) -> Path:
        """The file that the last recorded epoch is in."""
        return self.files[self.epoch]

    @cached_property
    def frames(self) -> tuple[int, ...]:
        """Indices of the recorded frames."""
        names = (re.fullmatch(r"frame_(\d{4,9})", name) for name in self._file(-1).names)
        return tuple(int(name[1]) for name in names if name is not None)

    @cached_property
    def scalars(self) -> Mapping[str, Curve]:
        """The run's curves, by tag.

        Raises:
            RunError: Their files are damaged.
        """
        return curves_of(self.path, self.name)

    def recording(self, epoch: int = -1, frame: int | None = None) -> Recording:
        """What the network computed.

        Args:
            epoch: Completed epochs; or, if negative, counted from the end of ``epochs``.
            frame: Index of the frame; by default the first recorded one.

        Raises:
            RunError: That was not recorded, or the file is damaged.
        """
        file, name = self._file(epoch), self._name_of(frame)
        try:
            return Recording.of(file.load(name, max_bytes=available_memory()))
        except (RecordingFileError, OSError) as error:
            raise RunError(f"run {self.name}: {error}") from error

    def canvas(self, epoch: int = -1, frame: int | None = None, convention: Convention = "paper") -> Canvas:
        """The canvas of a frame at an epoch, from its recording: the same, to the bit, as while it was trained.

        Args:
            epoch: Completed epochs; or, if negative, counted from the end of ``epochs``.
            frame: Index of the frame; by default the first recorded one.
            convention: The formulas to follow.

        Raises:
            RunError: That was not recorded, or the file is damaged.
            DissectionError: The network cannot be dissected under that convention.
        """
        return self.recording(epoch, frame).dissect(convention=convention)

    def moment(self, epoch: int = -1, frame: int | None = None) -> Moment:
        """When something was recorded, and the PSNR that the frame had then.

        Raises:
            RunError: That was not recorded, or the file is damaged.
        """
        file, name = self._file(epoch), self._name_of(frame)
        try:
            return file.moment(name)
        except RecordingFileError as error:
            raise RunError(f"run {self.name}: {error}") from error

    def frame(self, index: int | None = None) -> Frame:
        """A recorded frame: what the network was to show, and what is known about it.

        Raises:
            RunError: It was not recorded, or its file is damaged.
        """
        try:
            return load_frame(self.source.parent / "frames" / f"{self._name_of(index)}.safetensors")
        except (RecordingFileError, OSError) as error:
            raise RunError(f"run {self.name}: {error}") from error

    def dissected(self, index: int | None = None, convention: Convention = "paper", epoch: int = -1) -> DissectedFrame:
        """A recorded frame with its canvas, reconstruction and PSNR at an epoch."""
        return DissectedFrame(self.frame(index), self.recording(epoch, index), convention)

    def _file(self, epoch: int) -> RecordingFile:
        known = self.epochs
        if epoch < 0 and -epoch <= len(known):
            epoch = known[epoch]
        if epoch not in self.files:
            raise RunError(f"run {self.name} has no recording after epoch {epoch}; it has {_listed(known)}")
        try:
            return RecordingFile(self.files[epoch])
        except (RecordingFileError, OSError) as error:
            raise RunError(f"run {self.name}: {error}") from error

    def _name_of(self, frame: int | None) -> str:
        if not self.frames:
            raise RunError(f"run {self.name}: {self.source} holds no frame")
        if frame is None:
            frame = self.frames[0]
        if frame not in self.frames:
            raise RunError(f"run {self.name} has no recording of frame {frame}; it has {_listed(self.frames)}")
        return f"frame_{frame:04d}"


def curves_of(path: Path, name: str) -> Mapping[str, Curve]:
    """A run's curves, by tag.

    Raises:
        RunError: Their files are damaged.
    """
    try:
        return read_scalars(path)
    except ValueError as error:
        raise RunError(f"run {name}: {error}") from error


def recorded_run(path: Path) -> RecordedRun | None:
    """The run in a folder; None if it has no recordings.

    Where several ``CanvasRecorder``s have watched it, it is that of the usual name, or else the first by name. Where a
    run was taken up again in its folder, the later part counts.
    """
    found: dict[str, dict[int, Path]] = {}
    folders = sorted(path.glob("xinc*"), key=lambda folder: (len(folder.name), folder.name))
    for folder in folders:
        for file in folder.glob("*/epoch_*.safetensors"):
            if number := re.fullmatch(r"epoch_(\d{4,9})", file.stem):
                found.setdefault(file.parent.name, {})[int(number[1])] = file
    if not found:
        return None
    files = found[_NAME if _NAME in found else min(found)]
    return RecordedRun(path, path.resolve().name, dict(sorted(files.items())))


def _listed(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, numbers[:12]))
    return shown if len(numbers) <= 12 else f"{shown}, ... {numbers[-1]}"
