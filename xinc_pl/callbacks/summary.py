"""What a run has come to, in a few lines."""

import time

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from xinc_pl.callbacks.board import board_of
from xinc_pl.callbacks.lightnings import AnyCallback
from xinc_pl.callbacks.loggers import tensorboard_folders
from xinc_pl.callbacks.outputs import callbacks_of


class RunSummary(AnyCallback):
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
    if folders := tensorboard_folders(trainer):
        lines.append(f"logs:      {folders[0]}")
        lines.append(f"look:      tensorboard --logdir {folders[1]} --samples_per_plugin images=500")
    elif board.directory is not None:
        lines.append(f"pictures:  {board.directory}")
    return lines


def _quality(trainer: Trainer) -> str:
    for callback in callbacks_of(trainer):
        # Lightning's ModelCheckpoint, from either of its packages.
        if (score := getattr(callback, "best_model_score", None)) is not None:
            return f"finished:  best {getattr(callback, 'monitor', '')} {float(score):.2f} dB"
    for key in ("val/psnr", "train/psnr"):
        if key in trainer.callback_metrics:
            return f"finished:  {key} {float(trainer.callback_metrics[key]):.2f} dB"
    return "finished"
