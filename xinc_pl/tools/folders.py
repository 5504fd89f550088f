"""Where a tool writes: a folder of its own, that was not there before."""

import os
from pathlib import Path

from xinc_pl.runs import RunError


def check_target(folder: Path | None) -> None:
    """Insist on a folder that can be made.

    Args:
        folder: None for a new one below ``lightning_logs``.

    Raises:
        RunError: It is there already, or cannot be written to.
    """
    if folder is not None and folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise RunError(f"{str(folder)!r} is there already, and nothing is overwritten; give another folder with --out")
    target = Path("lightning_logs") if folder is None else folder
    existing = next(path for path in (target.absolute(), *target.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        why = "is not writable" if existing.is_dir() else "is no folder"
        raise RunError(f"{str(target)!r} cannot be written to: {str(existing)!r} {why}; give another with --out")


def new_folder(folder: Path | None, prefix: str) -> Path:
    """Make a folder, or the first free ``lightning_logs/<prefix>_<number>``."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    number = 0
    while True:
        free = Path("lightning_logs") / f"{prefix}_{number}"
        try:
            free.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return free
