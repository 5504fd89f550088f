"""Checkpoints: read without running anything, and checked before anything is written."""

import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.migration import migrate_checkpoint
from torch import Tensor

from xinc_pl.arguments import first_not_finite
from xinc_pl.models.released import how_to_load

_VERSION = "pytorch-lightning_version"
_OLD_VERSION = "legacy_pytorch-lightning_version"  # where Lightning keeps it when it has brought a file up to date


class CheckpointError(ValueError):
    """A file is no checkpoint, or none that does here. The message is one line that names it."""


class UnsafeCheckpointError(CheckpointError):
    """A file could run something when it is read, and has not been."""


def read_checkpoint(file: str | Path) -> dict[str, Any]:
    """Read a checkpoint that Lightning has written, brought to the form that this version of Lightning writes.

    Nothing but tensors and plain values is ever loaded, so that a file from anyone is safe to read.

    Args:
        file: On this machine.

    Returns:
        On the CPU: ``state_dict``, ``epoch`` and ``global_step``, and whatever else the training needs to go on.

    Raises:
        UnsafeCheckpointError: It holds more than that.
        CheckpointError: It is no such file.
    """
    check_file(file)
    state = _load(Path(file))
    name = f"checkpoint {str(file)!r}"
    weights = state.get("state_dict") if isinstance(state, dict) else None
    _check_origin(weights if isinstance(weights, dict) else state, name)
    if not isinstance(state, dict) or not {"state_dict", "epoch", "global_step"} <= set(state):
        raise CheckpointError(f"{name} was not written by Lightning: it has no weights, epoch and step")
    if not _is_sound(state):
        raise CheckpointError(f"{name} was not written by Lightning: its weights, epoch or step are something else")
    return _migrated(state, name)


def check_file(file: str | Path, called: str = "checkpoint") -> None:
    """Insist that there is a file to read.

    Args:
        file: On this machine.
        called: What the message calls it.

    Raises:
        CheckpointError: It is an address, a folder, empty or missing.
    """
    name, path = f"{called} {str(file)!r}", Path(file)
    if "://" in str(file):
        raise CheckpointError(f"{name} is an address; download it, and give the file")
    if path.is_dir():
        there = sorted(each for pattern in ("*.ckpt", "checkpoints/*.ckpt") for each in path.glob(pattern))
        remedy = f"give a file in it: {', '.join(map(str, there[:4]))}" if there else "give a file"
        raise CheckpointError(f"{name} is a folder; {remedy}")
    if not path.exists():
        raise CheckpointError(
            f"{name} does not exist; a run keeps its checkpoints in lightning_logs/version_N/checkpoints"
        )
    if not path.is_file():
        raise CheckpointError(f"{name} is no file")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{name} cannot be read: it is damaged, it is empty")


def check_finite(checkpoint: Mapping[str, Any], file: str | Path) -> None:
    """Insist that there is something to go on from, or to look at.

    Raises:
        CheckpointError: Weights are NaN or infinite; names the first.
    """
    name = first_not_finite(checkpoint["state_dict"])
    if name is not None:
        raise CheckpointError(
            f"the checkpoint {str(file)!r} has weights that are not finite, such as {name}; take an earlier one"
        )


def load_weights(module: LightningModule, checkpoint: Mapping[str, Any], file: str | Path, whose: str) -> None:
    """Give a module the weights of a checkpoint.

    Args:
        module: The module.
        checkpoint: As ``read_checkpoint`` returns it.
        file: Where it is from.
        whose: Where the module is from, for the message.

    Raises:
        CheckpointError: The weights do not fit; names the first that is missing, unknown or of another shape.
    """
    weights = checkpoint["state_dict"]
    try:
        module.load_state_dict(weights, strict=module.strict_loading)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {str(file)!r} do not fit the network of {whose}: {_misfit(module, weights, error)}"
        ) from error


def check_loops(checkpoint: Mapping[str, Any], file: str | Path, subcommand: str) -> None:
    """Insist that a checkpoint tells what a subcommand of Lightning's needs to know of the training.

    Args:
        checkpoint: As ``read_checkpoint`` returns it.
        file: Where it is from.
        subcommand: ``fit``, ``validate``, ``test`` or ``predict``.

    Raises:
        CheckpointError: It was written by an old version of Lightning, or by hand.
    """
    needed = subcommand == "fit" or _OLD_VERSION in checkpoint
    if not needed and "loops" not in checkpoint:
        return
    loops = checkpoint.get("loops")
    loop = loops.get(f"{subcommand}_loop") if isinstance(loops, dict) else None
    if not isinstance(loop, dict) or (subcommand == "fit" and "epoch_progress" not in loop):
        version = checkpoint.get(_OLD_VERSION, checkpoint[_VERSION])
        raise CheckpointError(
            f"checkpoint {str(file)!r} does not tell where in its training it was written (Lightning {version}; "
            f"they do from 1.5 on); {subcommand} cannot go on from it"
        )


def check_continuable(checkpoint: Mapping[str, Any], file: str | Path, max_epochs: int | None) -> None:
    """Insist that a checkpoint has what a training needs to go on, and that it has not gone too far.

    Args:
        checkpoint: As ``read_checkpoint`` returns it.
        file: Where it is from.
        max_epochs: Where the training is to end; None or -1 if it need not.

    Raises:
        CheckpointError: Says what it lacks.
    """
    name = f"checkpoint {str(file)!r}"
    if "optimizer_states" not in checkpoint or "lr_schedulers" not in checkpoint:
        raise CheckpointError(
            f"{name} has no optimizer, only weights: fit cannot go on from it; give last.ckpt, or one that was saved "
            "without save_weights_only"
        )
    for key, kind in {"optimizer_states": list, "lr_schedulers": list, "callbacks": dict}.items():
        if not isinstance(checkpoint.get(key, kind()), kind):
            raise CheckpointError(f"{name} was not written by Lightning: its {key} are no {kind.__name__}")
    epoch = checkpoint["epoch"] + 1
    if max_epochs not in (None, -1) and epoch > max_epochs:
        raise CheckpointError(
            f"{name} is of epoch {epoch}, but trainer.max_epochs is {max_epochs}; give {epoch} or more"
        )


def _load(file: Path) -> object:
    name = f"checkpoint {str(file)!r}"
    try:
        is_archive = zipfile.is_zipfile(file)
        if is_archive:
            with zipfile.ZipFile(file) as archive:
                size = sum(record.file_size for record in archive.infolist())
            # torch does not compress. What grows when it is read was made to fill the memory.
            if size > file.stat().st_size:
                raise CheckpointError(
                    f"{name} is refused: it would grow from {file.stat().st_size:,} to {size:,} bytes"
                )
        return torch.load(file, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        if not is_archive:
            raise _damaged(name, error) from error
        _check_origin(_words_in(file), name)
        raise UnsafeCheckpointError(
            f"{name} is refused: it holds more than weights and plain values, and reading that could run any program"
        ) from error
    except Exception as error:  # torch raises almost anything for a file that is damaged
        raise _damaged(name, error) from error


def _words_in(file: Path) -> set[object]:
    """All words of an archive's pickle, which is gone through without making anything of it."""
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        content = archive.read(pickles[0]) if pickles else pickle.dumps(None)
    with suppress(ValueError):  # it need not be whole
        return {argument for _, argument, _ in pickletools.genops(content) if isinstance(argument, str)}
    return set()


def _check_origin(keys: object, name: str) -> None:
    if isinstance(keys, (Mapping, set)) and (remedy := how_to_load(keys)):
        raise CheckpointError(f"{name} is the published code's, which is dissected, not trained on: {remedy}")


def _damaged(name: str, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{name} cannot be read: it is damaged, or holds more than weights and plain values ({type(error).__name__})"
    )


def _misfit(module: LightningModule, theirs: Mapping[str, Any], error: RuntimeError) -> str:
    ours = module.state_dict()
    missing, unknown = sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys())
    if missing:
        return f"they have no {missing[0]}" + (f", but {unknown[0]}" if unknown else "")
    if unknown:
        return f"it has no {unknown[0]}"
    for key, here in ours.items():
        there = theirs[key]
        if isinstance(here, Tensor) and isinstance(there, Tensor) and here.shape != there.shape:
            return f"{key} is {_shape(there)} in the file, and {_shape(here)} in the network"
    return " ".join(str(error).split())


def _is_sound(state: Mapping[str, Any]) -> bool:
    weights = state["state_dict"]
    counts = (state["epoch"], state["global_step"])
    return (
        isinstance(weights, Mapping)
        and all(isinstance(key, str) for key in weights)
        and all(isinstance(value, Tensor) or key.endswith("_extra_state") for key, value in weights.items())
        and all(isinstance(count, int) and count >= 0 for count in counts)
    )


def _migrated(state: dict[str, Any], name: str) -> dict[str, Any]:
    version = state.get(_VERSION)
    if not isinstance(version, str):
        raise CheckpointError(f"{name} does not tell which Lightning wrote it, and cannot be read; it may be very old")
    has_loops = "loops" in state
    try:
        migrated, _ = migrate_checkpoint(state)
    except Exception as error:  # whatever is missing where an old version had it
        raise CheckpointError(
            f"{name} was written by Lightning {version}, which this Lightning cannot read any more "
            f"({type(error).__name__}); write it anew with an older one"
        ) from error
    if not has_loops:
        migrated.pop("loops", None)  # made up
    return migrated


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
