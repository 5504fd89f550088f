"""The base of all XINC callbacks: when to dissect, what, and what to do when it fails."""

import traceback
from collections.abc import Callable, Sequence
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import nn

from xinc_pl.analysis.dissected import DissectedFrame, Output
from xinc_pl.callbacks.analysis import Analysis
from xinc_pl.callbacks.board import Board, board_of
from xinc_pl.callbacks.desk import BackgroundDesk
from xinc_pl.callbacks.guide import write_guide
from xinc_pl.callbacks.lightnings import AnyCallback
from xinc_pl.callbacks.loggers import run_folder
from xinc_pl.callbacks.moments import Hook, checkpoint_step, curve_step, is_last_validation
from xinc_pl.callbacks.outputs import Outputs, callbacks_of, is_rehearsal
from xinc_pl.callbacks.schedule import Schedule
from xinc_pl.callbacks.sources import find_frames, find_network
from xinc_pl.callbacks.states import harmless_states
from xinc_pl.callbacks.untouched import untouched
from xinc_pl.callbacks.weights import Weights, note_of
from xinc_pl.canvas import Convention
from xinc_pl.frames import Frame
from xinc_pl.pictures import Format


class XINCCallback(Analysis, AnyCallback):
    """Dissects the network at chosen epochs and logs what it finds.

    A subclass implements ``analyse``, and says in ``request`` what it needs to know of whole layers. It must not change
    the network, and needs not care for modes, random state, ranks or failures: the training ends with the same bits
    with the callback and without it. Of several processes the first one dissects, and the others wait for it.

    Args:
        at_epochs: Dissect after these epochs; 0 is before the first step. The end of the training is always
            dissected.
        every_n_epochs: Dissect after every so many epochs as well.
        frames: Indices of the frames to dissect, or, in code, Frames. The first one by default.
        layers: Names of the layers to look at. By default all that have a place in the image: not a stem that makes an
            image of one vector.
        convention: ``paper``; ``released`` for the formulas of the authors' code; or ``effect`` for how the output
            moves, to first order, when the neuron's term is taken away (slower, and true to what removing it does).
        network: The network: a module, or its path within the LightningModule. By default the LightningModule is
            asked (``xinc_network()``).
        output: Where the image is in what the network returns: a key, an index, a list of them to follow one after
            another, or, in code, a function of the result. By default the result is the image.
        weights: Which weights to dissect, where another callback swaps them for averaged ones (EMA): those that the
            training has at the ``epoch_end``; or those that ``validation`` sees, at the validation of that epoch or
            the next one that there is. Titles say which where it matters.
        seed: Decides which neurons are shown.
        on_error: When the network cannot be dissected, or an analysis fails: ``warn`` and go on, or ``raise``.
        name: What tags and files are called; the class's name by default. It may be part of a path: no separators,
            no dot at its ends, at most 100 characters.
        formats: In which files pictures are written: ``png``, ``pdf``, ``svg``. Loggers get pixels in any
            case.
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
        output: Output = None,
        weights: Weights = "epoch_end",
        seed: int = 0,
        on_error: Literal["warn", "raise"] = "warn",
        name: str | None = None,
        formats: Sequence[Format] = ("png",),
    ) -> None:
        super().__init__(frames, layers, convention, output, seed, name, formats)
        try:
            self.schedule = Schedule.of(at_epochs, every_n_epochs)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: {error}") from None
        if weights not in ("epoch_end", "validation"):
            raise ValueError(f"{type(self).__name__}: weights is {weights!r}; choose epoch_end or validation")
        if on_error not in ("warn", "raise"):
            raise ValueError(f"{type(self).__name__}: on_error is {on_error!r}; choose warn or raise")
        self.weights: Weights = weights
        self.on_error = on_error
        self._network_wanted = network
        self._network: nn.Module | None = None
        self._is_left_out = False
        self._waits_for_validation = False
        self._last_step: int | None = None
        self._checkpoint_time: tuple[int, int] | None = None
        self._failures: list[str] = []
        self._unwritten: set[int] = set()

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 - Python's
        """A state that cannot be taken or taken up is no reason to end a training."""
        super().__init_subclass__(**kwargs)
        harmless_states(cls)

    @property
    def state_key(self) -> str:
        """Tells callbacks of one class apart in a checkpoint."""
        return f"{type(self).__qualname__}[{self.name}]"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find network, frames and layers, so that a mistake is found before the first step.

        Raises:
            MisconfigurationException: Says what is missing or wrong, and the remedy. That the network cannot be
                dissected is only told, unless ``on_error`` is ``raise``.
        """
        if stage not in ("fit", "validate"):
            return
        self._check_name(trainer)
        self._network = find_network(type(self).__name__, self._network_wanted, trainer, pl_module)
        name = type(self).__name__
        frames = find_frames(name, self.frames_wanted, self.choose_frames, trainer, pl_module)
        try:
            self.take_up(frames, board_of(trainer))
        except ValueError as error:
            raise MisconfigurationException(f"{name}: {error}") from error
        writes = trainer.is_global_zero and not is_rehearsal(trainer)
        if writes:
            if not isinstance(board_of(trainer).desk, BackgroundDesk):
                board_of(trainer).desk = BackgroundDesk()
            if self.draws:
                board_of(trainer).desk.expect_drawings()
        self._find_layers(self._network, board_of(trainer))
        folder = run_folder(trainer)  # communicates between processes: every one has to ask
        if writes:
            board_of(trainer).choose_directory(folder)
            board_of(trainer).tell_of_loggers(name)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Dissect before the first step, unless the run is resumed."""
        del pl_module
        if trainer.global_step == 0:
            self._take_turn(trainer, "start", 0)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Dissect the weights that validation sees, if they are asked for: whoever swaps them has done so by now."""
        del pl_module, batch
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or batch_idx or dataloader_idx:
            return
        epoch = trainer.current_epoch + 1
        if self._network is not None and self._is_due_after(epoch, trainer):
            board_of(trainer).swaps.at_validation(self._network, trainer.global_step)
        if is_last_validation(trainer):
            # Lightning counts the batch after which it validates when it has validated.
            self._take_turn(trainer, "validation", epoch, curve_step(trainer) + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Dissect after the epochs of the schedule and after the last one."""
        del pl_module
        epoch = trainer.current_epoch + 1
        if self._is_due_after(epoch, trainer):
            if self._network is not None:
                board_of(trainer).swaps.at_epoch_end(self._network, trainer.global_step)
            self._waits_for_validation = self._last_step != trainer.global_step
        self._take_turn(trainer, "epoch_end", epoch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Dissect the finished network where the training has ended before its time."""
        del pl_module
        self._take_turn(trainer, "train_end", trainer.current_epoch)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sum up; say once more what has failed."""
        del pl_module
        self._take_turn(trainer, "fit_end", trainer.current_epoch)
        self._conclude(trainer)
        # Where one process ends, launchers end the others too: all stay while the first one sums up.
        trainer.strategy.barrier("xinc")
        if self._failures:
            rank_zero_warn(
                f"{type(self).__name__} failed at {len(self._failures)} moments of the training; the last time: "
                f"{self._failures[-1]}"
            )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Sum up what an interrupted training has come to; write what waits."""
        del pl_module, exception
        if self._last_step is not None:
            self._conclude(trainer)
        board_of(trainer).desk.finish()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Dissect a finished run, in ``trainer.validate``."""
        del pl_module
        if trainer.state.fn == TrainerFn.VALIDATING:
            epoch, step = self._checkpoint_time or (trainer.current_epoch, curve_step(trainer))
            self._take_turn(trainer, "validate", epoch, step)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note when in its training the checkpoint was written: ``trainer.validate`` does not tell."""
        del trainer, pl_module
        self._checkpoint_time = (int(checkpoint["epoch"]) + 1, checkpoint_step(checkpoint))

    def _is_due_after(self, epoch: int, trainer: Trainer) -> bool:
        return self.schedule.is_due(epoch) or epoch == trainer.max_epochs

    def _has_turn(self, trainer: Trainer, hook: Hook, epoch: int) -> bool:
        """Whether something is to be dissected at this moment."""
        if self._is_left_out:
            return False
        at_validation = self.weights == "validation"
        match hook:
            case "start":
                return self.schedule.is_due(epoch)
            case "validation":
                return at_validation and (self._is_due_after(epoch, trainer) or self._waits_for_validation)
            case "epoch_end":
                return not at_validation and self._is_due_after(epoch, trainer)
            case "train_end":
                return not at_validation and self._last_step != trainer.global_step
            case "fit_end":  # averaged weights have come to stay by now
                return at_validation and self._last_step != trainer.global_step
            case "validate":
                return True

    def _take_turn(self, trainer: Trainer, hook: Hook, epoch: int, step: int | None = None) -> None:
        """Analyse, if there is something to do, on the first process only; nothing here waits for another.

        Args:
            trainer: The trainer.
            hook: Where in Lightning's loop this is.
            epoch: Completed epochs.
            step: Of Lightning's curves, if it is not what the trainer has counted.
        """
        if not self._has_turn(trainer, hook, epoch):
            return
        due = [each for each in xinc_callbacks_of(trainer) if each._has_turn(trainer, hook, epoch)]
        self._last_step = trainer.global_step
        self._waits_for_validation = False
        board = board_of(trainer)
        if not trainer.is_global_zero or board.directory is None:  # None in fast_dev_run: nothing is to be written
            return
        outputs = self._outputs(trainer, epoch, curve_step(trainer) if step is None else step, hook)
        with board.turn(self.name, {callback.name for callback in due}, (hook, outputs.step)):
            self._guarded(lambda: self._analyse(trainer, due, outputs), f"after epoch {epoch}")
        if hook == "validate" or self.on_error == "raise":
            board.desk.finish()
        self._tell_what_was_not_written(board)

    def _conclude(self, trainer: Trainer) -> None:
        board = board_of(trainer)
        if not trainer.is_global_zero or board.directory is None or self._is_left_out:
            return
        outputs = self._outputs(trainer, trainer.current_epoch, curve_step(trainer))
        with board.clock(self.name):
            self._guarded(lambda: self.conclude(outputs), "at the end")
        outputs.flush()
        board.desk.finish()
        self._tell_what_was_not_written(board)

    def _tell_what_was_not_written(self, board: Board) -> None:
        for failure in board.desk.failures(self.name):
            if self.on_error == "raise":
                raise failure.error
            if failure.epoch in self._unwritten:
                continue  # one line for a moment, as for what fails in it
            self._unwritten.add(failure.epoch)
            trace = "".join(traceback.format_exception(failure.error))
            self._note_failure(failure.error, f"after epoch {failure.epoch}; the training goes on.\n{trace}")

    def _guarded(self, action: Callable[[], None], when: str) -> None:
        """Do something that may fail without harm to the training, nor to its random state."""
        with untouched(*(() if self._network is None else (self._network,))):
            try:
                action()
            except Exception as error:
                if self.on_error == "raise":
                    raise
                self._note_failure(error, f"{when}; the training goes on.\n{traceback.format_exc()}")

    def _note_failure(self, error: Exception, what: str) -> None:
        self._failures.append(f"{type(error).__name__}: {error}")
        rank_zero_warn(f"{type(self).__name__} failed {what}")

    def _analyse(self, trainer: Trainer, due: "Sequence[XINCCallback]", outputs: Outputs) -> None:
        board = board_of(trainer)
        if not board.guide_is_written:
            board.guide_is_written = True
            taking_part = [each for each in xinc_callbacks_of(trainer) if not each._is_left_out]
            write_guide(trainer.loggers, [callback.chapter() for callback in taking_part], outputs.step)
        frames = [self._dissected(board, frame, due) for frame in self.frames]
        self.analyse(frames, self.layers_of(frames[0]), outputs)
        outputs.flush()

    def _dissected(self, board: Board, frame: Frame, due: "Sequence[XINCCallback]") -> DissectedFrame:
        """A frame's dissection, shared with the others who look at this frame at this moment."""
        assert self._network is not None, "setup comes first"
        return self.dissected(board, frame, self._network, (each for each in due if each._network is self._network))

    def _outputs(self, trainer: Trainer, epoch: int, step: int, hook: Hook | None = None) -> Outputs:
        board = board_of(trainer)
        assert board.directory is not None, "there is one where anything is to be written"
        note = "" if hook is None else note_of(hook, callbacks_of(trainer), board.swaps)
        several_frames = len(self.frames) > 1
        recorded = frozenset(
            frame.index
            for other in xinc_callbacks_of(trainer)
            if hook is not None and other._network is self._network and other.output == self.output
            if other._has_turn(trainer, hook, epoch) and other.records(epoch)
            for frame in other.frames
        )
        return Outputs(board, self.name, board.directory, epoch, step, several_frames, note, recorded, self.formats)

    def _check_name(self, trainer: Trainer) -> None:
        others = [callback for callback in xinc_callbacks_of(trainer) if callback.name == self.name]
        if len(others) > 1:
            raise MisconfigurationException(
                f"{len(others)} callbacks are called {self.name!r} and would overwrite each other's pictures; give "
                f"{type(self).__name__} another name with name=..."
            )

    def _find_layers(self, network: nn.Module, board: Board) -> None:
        self._is_left_out = False
        self._all_layers = ()
        try:
            with untouched(network):
                names = self.known_layers(board, network)
        except Exception as error:  # whatever somebody's network raises when it is called
            if self.on_error == "raise":
                raise MisconfigurationException(f"{type(self).__name__}: {error}") from error
            self._is_left_out = True
            reason = " ".join(str(error).split()) or type(error).__name__
            rank_zero_warn(f"{type(self).__name__} is left out, and the training goes on without it: {reason}")
            return
        try:
            self.choose_layers(names)
        except ValueError as error:
            raise MisconfigurationException(f"{type(self).__name__}: {error}") from error


def xinc_callbacks_of(trainer: Trainer) -> list[XINCCallback]:
    """A trainer's XINC callbacks, in their order."""
    return [callback for callback in callbacks_of(trainer) if isinstance(callback, XINCCallback)]
