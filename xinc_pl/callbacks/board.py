"""What all XINC callbacks of one trainer share: dissections, files' place, and figures on the time they took."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from weakref import WeakKeyDictionary

from lightning.pytorch import Trainer
from torch import Tensor, nn

from xinc_pl.canvas import Canvas, Convention, LayerStatistics, as_image, dissect
from xinc_pl.frames import Frame
from xinc_pl.training.metrics import psnr_from_mse


class DissectedFrame:
    """A frame and its canvas; everything is computed when it is first asked for, and then kept.

    Args:
        frame: The frame.
        network: The network that shows it.
        convention: The formulas to follow.
    """

    def __init__(self, frame: Frame, network: nn.Module, convention: Convention) -> None:
        self.frame = frame
        self._network = network
        self._convention: Convention = convention
        self._statistics: dict[str, LayerStatistics] = {}

    @cached_property
    def canvas(self) -> Canvas:
        """The frame's canvas."""
        return dissect(self._network, self.frame.inputs, size=self.frame.size, convention=self._convention)

    @cached_property
    def reconstruction(self) -> Tensor:
        """What the network makes of the frame: float32 (3, H, W) in [0, 1], on the CPU."""
        return as_image(self.canvas.output, self.frame.size).float().cpu().clamp(0, 1)

    @cached_property
    def psnr(self) -> float | None:
        """PSNR of the reconstruction in dB; None without a target."""
        if self.frame.target is None:
            return None
        error = (self.reconstruction - self.frame.target.float().cpu()).double().square().mean()
        return float(psnr_from_mse(error))

    def statistics(self, layer: str) -> LayerStatistics:
        """Statistics of one layer."""
        if layer not in self._statistics:
            self._statistics[layer] = self.canvas[layer].statistics()
        return self._statistics[layer]


@dataclass
class Board:
    """The shared state of one trainer's XINC callbacks.

    Attributes:
        directory: Where their files go; None until the first ``setup``.
        num_dissections: At how many moments of the training something was dissected.
        seconds: How long all of it took, drawing and writing included.
    """

    directory: Path | None = None
    num_dissections: int = 0
    seconds: float = 0.0
    _known_frames: dict[int, Frame] = field(default_factory=dict)
    _moment: tuple[str, int] | None = None
    _waiting: set[int] = field(default_factory=set)
    _frames: dict[tuple[int, int, Convention], DissectedFrame] = field(default_factory=dict)

    def choose_directory(self, log_dir: Path) -> Path:
        """A folder below ``log_dir`` in which no other run has left files."""
        if self.directory is None:
            number, directory = 0, log_dir / "xinc"
            while directory.exists() and any(directory.iterdir()):
                number += 1
                directory = log_dir / f"xinc_{number}"
            self.directory = directory
        return self.directory

    def shared_frames(self, frames: Sequence[Frame]) -> tuple[Frame, ...]:
        """The same objects for all callbacks that asked for frames of one index, so that they share dissections."""
        return tuple(self._known_frames.setdefault(frame.index, frame) for frame in frames)

    @contextmanager
    def turn(self, callback: int, due: set[int], moment: tuple[str, int]) -> Iterator[None]:
        """One callback's turn at a moment. What was dissected is let go of after the last one's.

        Args:
            callback: Identifies the callback.
            due: All callbacks that are due at this moment.
            moment: Identifies it: the hook and the step.
        """
        if moment != self._moment:
            self._frames.clear()
            self._moment, self._waiting = moment, set(due)
            self.num_dissections += 1
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start
            self._waiting.discard(callback)
            if not self._waiting:
                self._frames.clear()

    def dissected(self, frame: Frame, network: nn.Module, convention: Convention) -> DissectedFrame:
        """A frame's dissection at the present moment, shared by all who ask for it."""
        key = (id(frame), id(network), convention)
        if key not in self._frames:
            self._frames[key] = DissectedFrame(frame, network, convention)
        return self._frames[key]


_BOARDS: WeakKeyDictionary[Trainer, Board] = WeakKeyDictionary()


def board_of(trainer: Trainer) -> Board:
    """The board of a trainer."""
    return _BOARDS.setdefault(trainer, Board())
