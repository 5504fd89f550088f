"""The checkpoint from which an interrupted run goes on."""

from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from xinc_pl.callbacks.outputs import is_rehearsal


class LastCheckpoint(Checkpoint):
    """Keeps ``checkpoints/last.ckpt``, the state after the last completed epoch.

    ``fit --ckpt_path`` goes on from it as if nothing had happened. It is written aside and renamed, so that there is
    always a whole one, and never from weights that are not finite.

    Args:
        every_n_epochs: Write it after every so many epochs only.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        super().__init__()
        if every_n_epochs < 1:
            raise ValueError(f"LastCheckpoint: every_n_epochs is {every_n_epochs}; it must be at least 1")
        self.every_n_epochs = every_n_epochs
        self._path: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the folder."""
        del pl_module
        log_dir = trainer.log_dir
        if stage == "fit":
            self._path = Path(log_dir or trainer.default_root_dir) / "checkpoints" / "last.ckpt"

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the checkpoint."""
        if is_rehearsal(trainer) or (trainer.current_epoch + 1) % self.every_n_epochs:
            return
        if not all(bool(torch.isfinite(parameter).all()) for parameter in pl_module.parameters()):
            rank_zero_warn(
                f"the weights are not finite after epoch {trainer.current_epoch + 1}; {self._path} stays as it was"
            )
            return
        assert self._path is not None, "setup comes first"
        aside = self._path.with_name(".last.ckpt.aside")
        trainer.save_checkpoint(aside, weights_only=False)
        if trainer.is_global_zero:
            aside.replace(self._path)
