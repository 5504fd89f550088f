"""What a run has come to, in a few lines."""

import time
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from xinc_pl.callbacks.board import board_of
from xinc_pl.callbacks.outputs import tensorboard_loggers


class RunSummary(Callback):
    """Prints, at the end of ``fit``: the best PSNR, where the logs are, how to look at them, what dissecting cost."""

    def __init__(self) -> None:
        super().__init__()
        self._start = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        del trainer, pl_module
        self._start = time.perf_counter()

    @rank_zero_only
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the summary."""
        del pl_module
        print("\n" + "\n".join(summary_lines(trainer, time.perf_counter() - self._start)), flush=True)


def summary_lines(trainer: Trainer, seconds: float) -> list[str]:
    """The lines of the summary.

    Args:
        trainer: After its ``fit``.
        seconds: How long that took.
    """
    lines = [f"{_quality(trainer)} after {trainer.current_epoch} epochs, {seconds:.1f} s"]
    board = board_of(trainer)
    if board.num_dissections:
        spent = sum(board.seconds_of.values())
        share = spent / seconds if seconds else 0.0
        lines.append(f"dissected: {board.num_dissections} times, {spent:.1f} s ({share:.1%} of the time)")
        lines += [f"           {name}: {each:.1f} s" for name, each in board.seconds_of.items()]
    loggers = tensorboard_loggers(trainer)
    if loggers:
        lines.append(f"logs:      {Path(loggers[0].log_dir)}")
        lines.append(f"look:      tensorboard --logdir {Path(loggers[0].root_dir)} --samples_per_plugin images=500")
    return lines


def _quality(trainer: Trainer) -> str:
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.best_model_score is not None:
            return f"finished:  best {callback.monitor} {float(callback.best_model_score):.2f} dB"
    for key in ("val/psnr", "train/psnr"):
        if key in trainer.callback_metrics:
            return f"finished:  {key} {float(trainer.callback_metrics[key]):.2f} dB"
    return "finished"
