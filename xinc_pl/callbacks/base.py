"""The base of all XINC callbacks: when to dissect, what, and what to do when it fails."""

import re
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import nn

from xinc_pl.arguments import MAX_SEED, check_whole
from xinc_pl.callbacks.arguments import check_frames, check_layers
from xinc_pl.callbacks.board import Board, board_of
from xinc_pl.callbacks.dissected import DissectedFrame
from xinc_pl.callbacks.guide import Chapter, write_guide
from xinc_pl.callbacks.outputs import Outputs, callbacks_of, is_rehearsal, tensorboard_loggers
from xinc_pl.callbacks.request import Request
from xinc_pl.callbacks.schedule import Schedule
from xinc_pl.callbacks.sources import find_frames, find_network
from xinc_pl.canvas import CONVENTIONS, Convention, DissectionError
from xinc_pl.frames import Frame
from xinc_pl.random_state import preserved_random_state
from xinc_pl.suggestions import did_you_mean


class XINCCallback(Callback, ABC):
    """Dissects the network at chosen epochs and logs what it finds.

    A subclass implements ``analyse``, and says in ``request`` what it needs to know of whole layers. It must not change
    the network, and needs not care for modes, random state, ranks or failures: the training ends with the same bits
    with the callback and without it.

    Attributes:
        meanings: What each quantity that it logs means, for the page in TensorBoard that explains the tags.

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

    meanings: ClassVar[Mapping[str, str]] = {}

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
        check_layers(type(self).__name__, layers)
        check_frames(type(self).__name__, frames)
        check_whole(type(self).__name__, "seed", seed, 0, MAX_SEED)
        self.layers = layers
        self.convention: Convention = convention
        self.seed = seed
        self.on_error = on_error
        self.name = name or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()
        self._frames_wanted = frames
        self._network_wanted = network
        self._network: nn.Module | None = None
        self._frames: tuple[Frame, ...] = ()
        self._all_layers: tuple[str, ...] = ()
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

    def request(self) -> Request:
        """What ``DissectedFrame.statistics`` is to hold. All that are due share one pair of passes over each layer."""
        return Request()

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Curves that belong together: a chart's title, and patterns of ``<layer>/<quantity>``."""
        del layers
        return {}

    def choose_frames(self, indices: Sequence[int] | None, num_frames: int | None) -> Sequence[int]:
        """Which frames to dissect, by index: those of the argument ``frames``, or the first.

        Args:
            indices: What the user has asked for.
            num_frames: How many frames there are, if that is known.
        """
        del num_frames
        return (0,) if indices is None else indices

    def conclude(self, outputs: Outputs) -> None:
        """Sum up, when the training has ended and everything has been analysed. Nothing by default."""

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
        self._frames = find_frames(type(self).__name__, self._frames_wanted, self.choose_frames, trainer, pl_module)
        self._all_layers = self._check_layers(self._network, board_of(trainer))
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
        """Sum up; say once more what has failed."""
        del pl_module
        self._conclude(trainer)
        # Where one process ends, launchers end the others too: all stay while the first one sums up.
        trainer.strategy.barrier("xinc")
        if self._failures:
            rank_zero_warn(
                f"{type(self).__name__} failed at {len(self._failures)} moments of the training; the last time: "
                f"{self._failures[-1]}"
            )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Sum up what an interrupted training has come to."""
        del pl_module, exception
        if self._last_step is not None:
            self._conclude(trainer)

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

    def _due(self, trainer: Trainer, hook: str, epoch: int) -> "list[XINCCallback]":
        """All XINC callbacks of the trainer that have a turn at this moment."""
        callbacks = xinc_callbacks_of(trainer)
        if hook == "validate":
            return callbacks
        if hook == "end":
            return [callback for callback in callbacks if callback._is_due_at_end(trainer)]
        return [callback for callback in callbacks if callback._is_due_after(epoch, trainer)]

    def _take_turn(self, trainer: Trainer, hook: str, epoch: int, step: int) -> None:
        """Analyse, on the first process only; nothing here waits for another."""
        due = self._due(trainer, hook, epoch)
        self._last_step = step
        board = board_of(trainer)
        if not trainer.is_global_zero or board.directory is None:  # None in fast_dev_run: nothing is to be written
            return
        with board.turn(self.name, {callback.name for callback in due}, (hook, step)):
            self._guarded(lambda: self._analyse(trainer, board, due, epoch, step), f"after epoch {epoch}")

    def _conclude(self, trainer: Trainer) -> None:
        board = board_of(trainer)
        if not trainer.is_global_zero or board.directory is None:
            return
        outputs = self._outputs(trainer, trainer.current_epoch, trainer.global_step)
        with board.clock(self.name):
            self._guarded(lambda: self.conclude(outputs), "at the end")
        outputs.flush()

    def _guarded(self, action: Callable[[], None], when: str) -> None:
        """Do something that may fail without harm to the training, nor to its random state."""
        with preserved_random_state():
            try:
                action()
            except Exception as error:
                if self.on_error == "raise":
                    raise
                self._failures.append(f"{type(error).__name__}: {error}")
                rank_zero_warn(f"{type(self).__name__} failed {when}; the training goes on.\n{traceback.format_exc()}")

    def _analyse(self, trainer: Trainer, board: Board, due: "Sequence[XINCCallback]", epoch: int, step: int) -> None:
        if not board.guide_is_written:
            board.guide_is_written = True
            write_guide(trainer, [callback._chapter() for callback in xinc_callbacks_of(trainer)])
        frames = [self._dissected(board, frame, due) for frame in self._frames]
        outputs = self._outputs(trainer, epoch, step)
        self.analyse(frames, self._layers_among(frames[0].canvas), outputs)
        outputs.flush()

    def _dissected(self, board: Board, frame: Frame, due: "Sequence[XINCCallback]") -> DissectedFrame:
        """A frame's dissection, shared with the others who look at this frame at this moment."""
        assert self._network is not None, "setup comes first"
        same = [
            other
            for other in due
            if other._network is self._network and other.convention == self.convention and frame in other._frames
        ]
        request = Request.united(other.request() for other in same)
        return board.dissected(frame, self._network, self.convention, request)

    def _outputs(self, trainer: Trainer, epoch: int, step: int) -> Outputs:
        directory = board_of(trainer).directory
        assert directory is not None, "there is one where anything is to be written"
        return Outputs(trainer, self.name, directory, epoch, step, several_frames=len(self._frames) > 1)

    def _layers_among(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self.layers is None or name in self.layers]

    def _chapter(self) -> Chapter:
        """What the page in TensorBoard tells about this callback."""
        layers = self._layers_among(self._all_layers)
        summary = (type(self).__doc__ or "").strip().split("\n")[0]
        return Chapter(self.name, summary, layers, self.meanings, self.charts(layers))

    def _check_name(self, trainer: Trainer) -> None:
        others = [callback for callback in xinc_callbacks_of(trainer) if callback.name == self.name]
        if len(others) > 1:
            raise MisconfigurationException(
                f"{len(others)} callbacks are called {self.name!r} and would overwrite each other's pictures; give "
                f"{type(self).__name__} another name with name=..."
            )

    def _check_layers(self, network: nn.Module, board: Board) -> tuple[str, ...]:
        try:
            names = board.layer_names(self._frames[0], network, self.convention)
        except (DissectionError, ValueError) as error:
            raise MisconfigurationException(f"{type(self).__name__}: {error}") from error
        unknown = [layer for layer in self.layers or () if layer not in names]
        if unknown:
            raise MisconfigurationException(
                f"{type(self).__name__}: there is no layer {unknown[0]!r} to dissect; there are {', '.join(names)}"
                f"{did_you_mean(unknown[0], names)}"
            )
        return names


def xinc_callbacks_of(trainer: Trainer) -> list[XINCCallback]:
    """A trainer's XINC callbacks, in their order."""
    return [callback for callback in callbacks_of(trainer) if isinstance(callback, XINCCallback)]
