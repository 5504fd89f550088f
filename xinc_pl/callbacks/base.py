"""The base of all XINC callbacks: when to dissect, what, and what to do when it fails."""

import re
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import nn

from xinc_pl.callbacks.board import Board, DissectedFrame, board_of
from xinc_pl.callbacks.outputs import Outputs, callbacks_of, is_rehearsal, tensorboard_loggers
from xinc_pl.callbacks.schedule import Schedule
from xinc_pl.callbacks.sources import find_frames, find_network
from xinc_pl.canvas import CONVENTIONS, Convention, DissectionError
from xinc_pl.frames import Frame
from xinc_pl.random_state import preserved_random_state


class XINCCallback(Callback, ABC):
    """Dissects the network at chosen epochs and logs what it finds.

    A subclass implements ``analyse``. It must not change the network, and needs not care for modes, random state,
    ranks or failures: the training ends with the same bits with the callback and without it.

    Args:
        at_epochs: Dissect after these epochs; 0 is before the first step. The end of the training is always
            dissected.
        every_n_epochs: Dissect after every so many epochs as well.
        frames: Indices of the frames to dissect, or, in code, Frames. The first one by default.
        layers: Names of the layers to look at. All by default.
        convention: ``paper``; ``released`` for the formulas of the authors' code; or ``effect`` for how the output
            moves, to first order, when the neuron's term is taken away (slower, and true to what removing it does).
        network: The network: a module, or its path within the LightningModule. By default the LightningModule is
            asked (``xinc_network()``).
        seed: Decides which neurons are shown.
        on_error: When an analysis fails during the training: ``warn`` and go on, or ``raise``.
        name: What tags and files are called; the class's name by default.
    """

    def __init__(
        self,
        at_epochs: Sequence[int] = (0, 1, 3, 10, 30, 100, 300, 1000),
        every_n_epochs: int | None = None,
        frames: list[int] | list[Frame] | None = None,
        layers: list[str] | None = None,
        convention: Convention = "paper",
        # A module, but typed so, because the command line's help would list every known subclass of nn.Module.
        network: str | Callable[..., Any] | None = None,
        seed: int = 0,
        on_error: Literal["warn", "raise"] = "warn",
        name: str | None = None,
    ) -> None:
        super().__init__()
        try:
            self.schedule = Schedule.of(at_epochs, every_n_epochs)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: {error}") from None
        if convention not in CONVENTIONS:
            raise ValueError(
                f"{type(self).__name__}: convention is {convention!r}; choose from {', '.join(CONVENTIONS)}"
            )
        if on_error not in ("warn", "raise"):
            raise ValueError(f"{type(self).__name__}: on_error is {on_error!r}; choose warn or raise")
        if not layers and layers is not None:
            raise ValueError(f"{type(self).__name__}: layers is empty; name some, or leave it out for all")
        self.layers = layers
        self.convention: Convention = convention
        self.seed = seed
        self.on_error = on_error
        self.name = name or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()
        self._frames_wanted = frames
        self._network_wanted = network
        self._network: nn.Module | None = None
        self._frames: tuple[Frame, ...] = ()
        self._last_step: int | None = None
        self._checkpoint_time: tuple[int, int] | None = None
        self._failures: list[str] = []

    @abstractmethod
    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Compute, draw and log.

        Args:
            frames: The dissected frames.
            layers: The layers to look at, input side first.
            outputs: Where the results go.
        """

    @property
    def state_key(self) -> str:
        """Tells callbacks of one class apart in a checkpoint."""
        return f"{type(self).__qualname__}[{self.name}]"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find network, frames and layers, so that a mistake is found before the first step.

        Raises:
            MisconfigurationException: Says what is missing or wrong, and the remedy.
        """
        if stage not in ("fit", "validate"):
            return
        self._check_name(trainer)
        self._network = find_network(type(self).__name__, self._network_wanted, trainer, pl_module)
        self._frames = find_frames(type(self).__name__, self._frames_wanted, trainer, pl_module)
        self._check_layers(self._network)
        log_dir = trainer.log_dir  # communicates between processes: every one has to ask
        if trainer.is_global_zero and not is_rehearsal(trainer):
            board_of(trainer).choose_directory(Path(log_dir or trainer.default_root_dir))
            if not tensorboard_loggers(trainer):
                rank_zero_warn(
                    f"{type(self).__name__}: no TensorBoardLogger among the trainer's loggers, so its pictures "
                    f"only go to {board_of(trainer).directory}; add Trainer(logger=TensorBoardLogger(...))"
                )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Dissect before the first step, unless the run is resumed."""
        del pl_module
        if trainer.global_step == 0 and self.schedule.is_due(0):
            self._take_turn(trainer, "start", 0, trainer.global_step)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Dissect after the epochs of the schedule and after the last one."""
        del pl_module
        epoch = trainer.current_epoch + 1
        if self._is_due_after(epoch, trainer):
            self._take_turn(trainer, "epoch_end", epoch, trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Dissect the finished network where the training has ended before its time."""
        del pl_module
        if self._is_due_at_end(trainer):
            self._take_turn(trainer, "end", trainer.current_epoch, trainer.global_step)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say once more what has failed."""
        del trainer, pl_module
        if self._failures:
            rank_zero_warn(
                f"{type(self).__name__} failed at {len(self._failures)} moments of the training; the last time: "
                f"{self._failures[-1]}"
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Dissect a finished run, in ``trainer.validate``."""
        del pl_module
        if trainer.state.fn == TrainerFn.VALIDATING:
            epoch, step = self._checkpoint_time or (trainer.current_epoch, trainer.global_step)
            self._take_turn(trainer, "validate", epoch, step)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note when in its training the checkpoint was written: ``trainer.validate`` does not tell."""
        del trainer, pl_module
        self._checkpoint_time = (int(checkpoint["epoch"]) + 1, int(checkpoint["global_step"]))

    def _is_due_after(self, epoch: int, trainer: Trainer) -> bool:
        return self.schedule.is_due(epoch) or epoch == trainer.max_epochs

    def _is_due_at_end(self, trainer: Trainer) -> bool:
        return self._last_step != trainer.global_step

    def _due(self, trainer: Trainer, hook: str, epoch: int) -> set[int]:
        """All XINC callbacks of the trainer that have a turn at this moment."""
        callbacks = [callback for callback in callbacks_of(trainer) if isinstance(callback, XINCCallback)]
        if hook == "validate":
            return {id(callback) for callback in callbacks}
        if hook == "end":
            return {id(callback) for callback in callbacks if callback._is_due_at_end(trainer)}
        return {id(callback) for callback in callbacks if callback._is_due_after(epoch, trainer)}

    def _take_turn(self, trainer: Trainer, hook: str, epoch: int, step: int) -> None:
        """Analyse, on the first process only; nothing here waits for another."""
        due = self._due(trainer, hook, epoch)
        self._last_step = step
        board = board_of(trainer)
        if not trainer.is_global_zero or board.directory is None:  # None in fast_dev_run: nothing is to be written
            return
        with board.turn(id(self), due, (hook, step)), preserved_random_state():
            try:
                self._analyse(trainer, board, epoch, step)
            except Exception as error:
                if self.on_error == "raise":
                    raise
                self._failures.append(f"{type(error).__name__}: {error}")
                rank_zero_warn(
                    f"{type(self).__name__} failed after epoch {epoch}; the training goes on.\n{traceback.format_exc()}"
                )

    def _analyse(self, trainer: Trainer, board: Board, epoch: int, step: int) -> None:
        assert self._network is not None, "setup comes first"
        frames = [board.dissected(frame, self._network, self.convention) for frame in self._frames]
        assert board.directory is not None
        outputs = Outputs(trainer, self.name, board.directory, epoch, step, several_frames=len(frames) > 1)
        self.analyse(frames, [name for name in frames[0].canvas if self.layers is None or name in self.layers], outputs)
        outputs.flush()

    def _check_name(self, trainer: Trainer) -> None:
        others = [c for c in callbacks_of(trainer) if isinstance(c, XINCCallback) and c.name == self.name]
        if len(others) > 1:
            raise MisconfigurationException(
                f"{len(others)} callbacks are called {self.name!r} and would overwrite each other's pictures; give "
                f"{type(self).__name__} another name with name=..."
            )

    def _check_layers(self, network: nn.Module) -> None:
        frame = self._frames[0]
        try:
            names = list(DissectedFrame(frame, network, self.convention).canvas)
        except (DissectionError, ValueError) as error:
            raise MisconfigurationException(f"{type(self).__name__}: {error}") from error
        unknown = [layer for layer in self.layers or () if layer not in names]
        if unknown:
            raise MisconfigurationException(
                f"{type(self).__name__}: there is no layer {unknown[0]!r} to dissect; there are {', '.join(names)}"
            )
