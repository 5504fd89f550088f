"""What all XINC callbacks of one trainer share: dissections, files' place, and figures on the time they took."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_warn
from torch import nn

from xinc_pl.analysis.dissected import DissectedFrame, FramePartitions, Output
from xinc_pl.analysis.request import Request
from xinc_pl.callbacks.aside import clear_asides
from xinc_pl.callbacks.desk import Desk, PlainDesk
from xinc_pl.callbacks.history import History
from xinc_pl.callbacks.loggers import picture_shower
from xinc_pl.callbacks.weights import SwapWatch
from xinc_pl.canvas import Convention, Recording
from xinc_pl.frames import Frame

_Key = tuple[int, int, Convention, object]
"""Frame, network, convention and output of a dissection."""


class LayerNames(NamedTuple):
    """Layers of a network, input side first.

    Attributes:
        known: All that can be dissected.
        main: Those that callbacks look at unless told otherwise.
    """

    known: tuple[str, ...]
    main: tuple[str, ...]


@dataclass
class Board:
    """The shared state of one trainer's XINC callbacks, or of analyses of one run.

    Attributes:
        loggers: The trainer's.
        desk: Where results wait to be written.
        directory: Where their files go; None until the first ``setup``.
        num_dissections: At how many moments of the training something was dissected.
        seconds_of: How long the training waited for it, by the callback's name; not what was drawn and written
            meanwhile. What several share is counted for the first.
        guide_is_written: Whether the page that explains the tags has been logged.
        history: All numbers that they have logged.
        partitions: The frames' partitions.
        swaps: Whether validation sees other weights.
        refused_by: Places among the trainer's loggers of those that have failed to take a picture.
        has_told_of_loggers: Whether it has been said that no logger takes pictures.
    """

    loggers: Sequence[Logger] = ()
    desk: Desk = field(default_factory=PlainDesk)
    directory: Path | None = None
    num_dissections: int = 0
    seconds_of: dict[str, float] = field(default_factory=dict)
    guide_is_written: bool = False
    history: History = field(default_factory=History)
    partitions: FramePartitions = field(default_factory=lambda: FramePartitions(rank_zero_info))
    swaps: SwapWatch = field(default_factory=SwapWatch)
    refused_by: set[int] = field(default_factory=set)
    has_told_of_loggers: bool = False
    _layer_names: dict[_Key, LayerNames] = field(default_factory=dict)
    _known_frames: dict[int, Frame] = field(default_factory=dict)
    _moment: tuple[str, int] | None = None
    _waiting: set[str] = field(default_factory=set)
    _frames: dict[_Key, DissectedFrame] = field(default_factory=dict)

    def choose_directory(self, log_dir: Path) -> Path:
        """A folder below ``log_dir`` in which no other run has left files; clears what killed ones have left."""
        if self.directory is None:
            clear_asides(log_dir)
            number, directory = 0, log_dir / "xinc"
            while directory.exists() and any(directory.iterdir()):
                number += 1
                directory = log_dir / f"xinc_{number}"
            self.directory = directory
        return self.directory

    def tell_of_loggers(self, name: str) -> None:
        """Say once where pictures go, if no logger takes them."""
        if not self.has_told_of_loggers and not any(picture_shower(logger) for logger in self.loggers):
            self.has_told_of_loggers = True
            rank_zero_warn(
                f"{name}: no TensorBoardLogger, nor another that takes pictures, among the trainer's loggers, so they "
                f"only go to {self.directory}; add Trainer(logger=TensorBoardLogger(...))"
            )

    def shared_frames(self, frames: Sequence[Frame]) -> tuple[Frame, ...]:
        """The same objects for all callbacks that asked for frames of one index, so that they share dissections."""
        return tuple(self._known_frames.setdefault(frame.index, frame) for frame in frames)

    @contextmanager
    def turn(self, name: str, due: set[str], moment: tuple[str, int]) -> Iterator[None]:
        """One callback's turn at a moment. What was dissected is let go of after the last one's.

        Args:
            name: The callback's.
            due: Those of all callbacks that are due at this moment.
            moment: Identifies it: the hook and the step.
        """
        if moment != self._moment:
            self._frames.clear()
            self._moment, self._waiting = moment, set(due)
            self.num_dissections += 1
        try:
            with self.clock(name):
                yield
        finally:
            self._waiting.discard(name)
            if not self._waiting:
                self._frames.clear()

    @contextmanager
    def clock(self, name: str) -> Iterator[None]:
        """Add the time that this takes to a callback's."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds_of[name] = self.seconds_of.get(name, 0.0) + time.perf_counter() - start

    def dissected(
        self,
        frame: Frame,
        network: nn.Module | Recording,
        convention: Convention,
        output: Output = None,
        requests: Iterable[Request] = (),
    ) -> DissectedFrame:
        """A frame's dissection at the present moment, shared by all who ask for it.

        Args:
            frame: The frame.
            network: The network that shows it, or what was recorded of it.
            convention: The formulas to follow.
            output: Where the image is in what the network returns.
            requests: What all who will ask for it at this moment want; only the first one's count.
        """
        key = (id(frame), id(network), convention, _hashable(output))
        if key not in self._frames:
            self._frames[key] = DissectedFrame(
                frame,
                network,
                convention,
                requests,
                self.partitions,
                share=lambda other: self.dissected(frame, network, other, output, requests),
                output=output,
            )
        return self._frames[key]

    def layer_names(
        self, frame: Frame, network: nn.Module | Recording, convention: Convention, output: Output = None
    ) -> LayerNames:
        """Names of the layers that can be dissected, found out once.

        Raises:
            DissectionError: None can.
            ValueError: The frame does not fit the network.
            Exception: Whatever the network raises.
        """
        key = (id(frame), id(network), convention, _hashable(output))
        if key not in self._layer_names:
            dissected = DissectedFrame(frame, network, convention, output=output)
            canvas = dissected.canvas
            dissected.check_channels()
            self._layer_names[key] = LayerNames(tuple(canvas), canvas.main_layers)
        return self._layer_names[key]


def _hashable(output: Output) -> object:
    return tuple(output) if isinstance(output, list) else output


_BOARDS: WeakKeyDictionary[Trainer, Board] = WeakKeyDictionary()


def board_of(trainer: Trainer) -> Board:
    """The board of a trainer."""
    board = _BOARDS.setdefault(trainer, Board())
    board.loggers = trainer.loggers
    return board
