"""The checkpoint from which an interrupted run goes on."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.types import _PATH
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from xinc_pl.callbacks.aside import aside, clear_asides
from xinc_pl.callbacks.lightnings import AnyCallback
from xinc_pl.callbacks.loggers import run_folder
from xinc_pl.callbacks.outputs import callbacks_of, is_rehearsal


class LastCheckpoint(AnyCallback):
    """Keeps the state after the last completed epoch, and leaves it in ``checkpoints/last.ckpt``.

    ``fit --ckpt_path`` goes on from there with the same bits as if nothing had happened. The state is copied in memory
    after every epoch, which costs a sixth of writing it; it is written when the run ends, is interrupted or fails, and
    now and then in between. The file is written aside and renamed, so that there is always a whole one. Weights that
    are not finite are never kept.

    It keeps what all other callbacks have come to, wherever it stands among them. ``trainer.checkpoint_callback``, the
    one that knows the best checkpoint, is still Lightning's ModelCheckpoint.

    Args:
        every_n_seconds: Write the file at least this often, for what no program survives. 0: after every epoch.
    """

    def __init__(self, every_n_seconds: float = 10.0) -> None:
        super().__init__()
        if not every_n_seconds >= 0:  # NaN is neither
            raise ValueError(f"LastCheckpoint: every_n_seconds is {every_n_seconds}; it must be 0 or more")
        self.every_n_seconds = every_n_seconds
        self._path: Path | None = None
        self._kept: dict[str, Any] | None = None
        self._written_at = float("-inf")
        self._turn = _AfterAll(self._keep)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the folder; clear what a killed process has left half-written."""
        del pl_module
        run = run_folder(trainer)  # communicates between processes: every one has to ask
        if stage != "fit":
            return
        self._path = run / "checkpoints" / "last.ckpt"
        self._set_turn(trainer, [self._turn])
        if trainer.is_global_zero and not is_rehearsal(trainer):
            clear_asides(run)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the trainer's callbacks as they were."""
        del pl_module, stage
        self._set_turn(trainer, [])

    def _set_turn(self, trainer: Trainer, turn: list[Callback]) -> None:
        others = [callback for callback in callbacks_of(trainer) if callback is not self._turn]
        trainer.callbacks = others + turn  # type: ignore[attr-defined] # a connector sets it

    def _keep(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the state, and write it if it is time."""
        if is_rehearsal(trainer):
            return
        if not all(bool(torch.isfinite(parameter).all()) for parameter in pl_module.parameters()):
            rank_zero_warn(
                f"the weights are not finite after epoch {trainer.current_epoch + 1}; {self._path} stays as it was"
            )
            return
        self._kept = _copy_of_state(trainer) or self._kept
        if time.monotonic() - self._written_at >= self.every_n_seconds:
            self._write(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the state after the last epoch."""
        del pl_module
        self._write(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write the state after the last completed epoch, whatever has interrupted the one after it."""
        del pl_module, exception
        self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        if self._kept is None or self._path is None or not trainer.is_global_zero:
            return
        with aside(self._path) as file:
            trainer.strategy.checkpoint_io.save_checkpoint(self._kept, file)
        self._kept, self._written_at = None, time.monotonic()


class _AfterAll(Checkpoint):
    """Has its turn at an epoch's end after the module and all other callbacks, as Lightning's checkpoints have.

    LastCheckpoint is no ``Checkpoint`` itself: Lightning takes the first of these for the one that knows the best.
    """

    best_model_path = ""

    def __init__(self, action: Callable[[Trainer, LightningModule], None]) -> None:
        super().__init__()
        self._action = action

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the turn."""
        self._action(trainer, pl_module)


class _Memory(CheckpointIO):
    """Where a checkpoint goes that is not to be written yet."""

    def __init__(self) -> None:
        self.checkpoint: dict[str, Any] | None = None

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: _PATH,
        storage_options: Any | None = None,  # noqa: ANN401 - Lightning's
    ) -> None:
        """Copy a checkpoint."""
        del path, storage_options
        self.checkpoint = apply_to_collection(checkpoint, Tensor, lambda tensor: tensor.detach().clone())

    def load_checkpoint(
        self,
        path: _PATH,
        map_location: Any | None = None,  # noqa: ANN401 - Lightning's
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Nothing is loaded from here."""
        del map_location, weights_only
        raise FileNotFoundError(path)

    def remove_checkpoint(self, path: _PATH) -> None:
        """Forget the checkpoint."""
        del path
        self.checkpoint = None


def _copy_of_state(trainer: Trainer) -> dict[str, Any] | None:
    """All that ``trainer.save_checkpoint`` would write; None on processes that write nothing, and where it fails."""
    memory, to_disk = _Memory(), trainer.strategy.checkpoint_io
    trainer.strategy.checkpoint_io = memory
    try:
        trainer.save_checkpoint("last.ckpt", weights_only=False)
    except Exception as error:  # anybody's state_dict
        rank_zero_warn(
            f"LastCheckpoint: the state after epoch {trainer.current_epoch + 1} cannot be taken, so that "
            f"the one before is kept; the training goes on. {type(error).__name__}: {error}"
        )
        trainer.strategy.barrier("Trainer.save_checkpoint")  # where the processes wait that have not failed
    finally:
        trainer.strategy.checkpoint_io = to_disk
    return memory.checkpoint
