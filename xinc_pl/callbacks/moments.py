"""Moments of a training as Lightning counts them."""

from collections.abc import Mapping
from typing import Any, Literal

from lightning.pytorch import Trainer

Hook = Literal["start", "validation", "epoch_end", "train_end", "fit_end", "validate"]
"""Where in Lightning's loop something is dissected."""


def curve_step(trainer: Trainer) -> int:
    """The step under which Lightning draws its own curves now.

    That is ``global_step`` with one optimizer. With several, in manual optimization, ``global_step`` counts the steps
    of all of them, while curves count each batch once.
    """
    return int(getattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped", trainer.global_step))


def checkpoint_step(checkpoint: Mapping[str, Any]) -> int:
    """``curve_step`` when a checkpoint was written; its ``global_step`` where it does not tell."""
    step = int(checkpoint["global_step"])
    loops = checkpoint.get("loops") or {}
    counted = loops.get("fit_loop", {}).get("epoch_loop.state_dict", {}).get("_batches_that_stepped", step)
    # Lightning saves during validation before it counts the batch after which it validates.
    return step if step - counted == 1 else int(counted)


def is_last_validation(trainer: Trainer) -> bool:
    """Whether the validation that runs is the epoch's last, as far as can be known."""
    interval, batches = trainer.val_check_batch, trainer.num_training_batches
    if not isinstance(interval, int) or not isinstance(batches, int):
        return True
    done: int = trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return done + interval > batches
