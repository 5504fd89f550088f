"""Which checkpoint the command line goes on from, checked before anything is written."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from xinc_pl.checkpoints import (
    CheckpointError,
    UnsafeCheckpointError,
    check_continuable,
    check_file,
    check_finite,
    check_loops,
    load_weights,
    read_checkpoint,
)
from xinc_pl.training import INRModule

NEWEST = ("last", "best")
"""Instead of a file: the newest run's."""


def choose_checkpoint(
    asked: str | Path | None, subcommand: str, trainer: Trainer, module: LightningModule, weights_only: bool | None
) -> str | Path | None:
    """The file to go on from; None for a new training.

    Args:
        asked: A file, ``last``, ``best``, or None.
        subcommand: ``fit``, ``validate``, ``test`` or ``predict``.
        trainer: Knows where runs are kept.
        module: Is given the weights, if that is all that Lightning would do with them.
        weights_only: False for a file that may hold anything, and may run anything when it is read.

    Raises:
        CheckpointError: There is none, or it does not do.
    """
    if asked is None and subcommand == "fit":
        return None
    if asked is None:
        raise CheckpointError(
            f"{subcommand} needs a trained network: give --ckpt_path FILE, or last or best for the newest run's "
            f"checkpoint below {folder_of_runs(trainer)}"
        )
    file: str | Path = asked
    if asked in NEWEST:
        file = newest_checkpoint(folder_of_runs(trainer), str(asked))
        rank_zero_info(f"{asked} checkpoint: {file}")
    check_file(file, "ckpt_path")
    if weights_only is False:
        return file
    try:
        checkpoint = read_checkpoint(file)
    except UnsafeCheckpointError as error:
        raise CheckpointError(f"{error}; if you trust it, say --weights_only false") from error
    check_loops(checkpoint, file, subcommand)
    if subcommand == "fit":
        check_continuable(checkpoint, file, trainer.max_epochs)
    check_finite(checkpoint, file)
    if _takes_weights_as_they_are(module):
        load_weights(module, checkpoint, file, "this configuration")
    if subcommand == "fit" and isinstance(module, INRModule):
        _check_optimizer(checkpoint, module, file)
    return file


def folder_of_runs(trainer: Trainer) -> Path:
    """Where a trainer's runs are: the folder in which its logger makes theirs."""
    for logger in trainer.loggers:
        if root := getattr(logger, "root_dir", None):
            return Path(root)
    return Path(trainer.default_root_dir)


def newest_checkpoint(folder: Path, which: str) -> Path:
    """The last or the best checkpoint of the newest run that has any.

    Args:
        folder: Of runs.
        which: ``last`` or ``best``.

    Raises:
        CheckpointError: There is none.
    """
    files = [*folder.glob("*/checkpoints/*.ckpt"), *folder.glob("checkpoints/*.ckpt")]
    if not files:
        raise CheckpointError(f"there is no {which} checkpoint: no run in {folder} has left any; train first, with fit")
    newest = max(files, key=_age).parent
    own = sorted((file for file in files if file.parent == newest), key=_age)
    found = _last_of(own) if which == "last" else _best_of(own)
    if found is None:
        names = ", ".join(file.name for file in own)
        raise CheckpointError(f"the newest run, {newest.parent}, has no {which} checkpoint; it has {names}")
    return found


def _age(file: Path) -> tuple[float, str]:
    return file.stat().st_mtime, str(file)


def _last_of(files: Sequence[Path]) -> Path | None:
    return next((file for file in reversed(files) if file.name.startswith("last")), None)


def _best_of(files: Sequence[Path]) -> Path | None:
    """What ModelCheckpoint had found best when the newest of the files was written; or else what is called so."""
    states = read_checkpoint(files[-1]).get("callbacks")
    for key, state in states.items() if isinstance(states, dict) else ():
        if str(key).startswith("ModelCheckpoint") and isinstance(state, dict):
            name = Path(str(state.get("best_model_path"))).name
            if found := [file for file in files if file.name == name]:
                return found[0]
    return next((file for file in reversed(files) if file.name.startswith("best")), None)


def _takes_weights_as_they_are(module: LightningModule) -> bool:
    """Whether Lightning would do no more with the weights than to load them."""
    own: Any = type(module)
    ours = own.on_load_checkpoint.__module__.startswith("xinc_pl.training.")
    plain = ours or own.on_load_checkpoint is LightningModule.on_load_checkpoint
    return plain and not is_overridden("configure_model", module)


def _check_optimizer(checkpoint: Mapping[str, Any], module: INRModule, file: str | Path) -> None:
    """Insist that the optimizer is of the kind that our modules have: one, for all weights."""
    states = checkpoint["optimizer_states"]
    groups = states[0].get("param_groups") if len(states) == 1 and isinstance(states[0], dict) else None
    if not isinstance(groups, list) or not all(
        isinstance(each, dict) and {"lr", "params"} <= set(each) for each in groups
    ):
        raise CheckpointError(f"checkpoint {str(file)!r} has {len(states)} optimizers; fit goes on with one")
    here, there = len(list(module.network.parameters())), sum(len(group["params"]) for group in groups)
    if here != there:
        raise CheckpointError(f"checkpoint {str(file)!r} has an optimizer of {there} weights; the network has {here}")
