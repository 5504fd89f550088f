"""How the command line refuses: one line, exit code 2, and nothing left behind."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from xinc_pl.complaints import is_parsers, one_line
from xinc_pl.memory import gigabytes


def give_up(error: Exception | str) -> NoReturn:
    """Print one line and exit with 2."""
    message = error if isinstance(error, str) else message_of(error)
    sys.stderr.write(f"xinc: error: {' '.join(message.split())}\n")
    sys.exit(2)


def message_of(error: BaseException) -> str:
    """What an exception says, in one line; with its kind, where that says more."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if match := re.search(r"can't allocate memory: you tried to allocate (\d+) bytes", text):
        return (
            f"there is not enough memory for {gigabytes(int(match[1]))} at once; use a smaller size, network or batch"
        )
    line = one_line(text) if is_parsers(text) else " ".join(text.split())
    if not text.strip():
        return type(error).__name__
    plain = isinstance(error, (ValueError, MisconfigurationException, RuntimeError, ImportError, OSError))
    return line if plain else f"{type(error).__name__}: {line}"


def is_configuration_error(error: BaseException) -> bool:
    """Whether an exception before the first step is told in one line: no code of the user's has a part in it.

    What happens in somebody's own network or data needs its traceback.
    """
    if isinstance(error, MisconfigurationException):
        return True
    return isinstance(error, Exception) and not any(_is_foreign(name) for name in _modules(error.__traceback__))


@contextmanager
def nothing_left_behind(trainer: Trainer) -> Iterator[None]:
    """Take back what has been written, if the run is given up before its first step.

    Lightning makes a run's folder, and files in it, before callbacks and modules are set up. Only files that a run
    always begins with are removed, only those that this process has made, and only if there are no others.
    """
    folders = _log_folders(trainer) if trainer.is_global_zero else []
    before = {file for folder in folders for file in _own_files(folder)}
    missing = {path for folder in folders for path in (folder, *folder.parents) if not path.exists()}
    try:
        yield
    except BaseException:
        if trainer.global_step == 0:
            for logger in trainer.loggers:
                logger.finalize("failed")
            for folder in folders:
                _take_back(folder, before, missing)
        raise


def _take_back(folder: Path, before: set[Path], missing: set[Path]) -> None:
    if folder in missing and folder.is_dir():
        others = [path for path in folder.rglob("*") if path.is_file() and path not in _own_files(folder)]
        if others:
            return
        for below in sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True):
            below.rmdir() if not any(below.iterdir()) else None
    for file in _own_files(folder):
        if file not in before:
            file.unlink(missing_ok=True)
    for path in (folder, *folder.parents):
        if path not in missing or not path.is_dir() or any(path.iterdir()):
            return
        path.rmdir()


def _log_folders(trainer: Trainer) -> list[Path]:
    found = [getattr(logger, "log_dir", None) or getattr(logger, "save_dir", None) for logger in trainer.loggers]
    return [Path(folder).absolute() for folder in found or [trainer.default_root_dir] if folder is not None]


def _own_files(folder: Path) -> list[Path]:
    """What this process has written to a run's folder as every run does."""
    names = [folder / name for name in ("config.yaml", "hparams.yaml", "metrics.csv")]
    return [*(name for name in names if name.is_file()), *folder.glob(f"events.out.tfevents.*.{os.getpid()}.*")]


_LIBRARIES = {
    *("xinc_pl", "lightning", "lightning_fabric", "pytorch_lightning", "lightning_utilities", "torch", "torchmetrics"),
    *("jsonargparse", "tensorboard", "numpy", "PIL", "skimage", "scipy", "yaml", "fsspec", "matplotlib", "av"),
    *sys.stdlib_module_names,
}
"""Packages in whose code no user looks for a mistake."""


def _is_foreign(module: str) -> bool:
    package = module.partition(".")[0]
    return package == "__main__" or package not in _LIBRARIES


def _modules(traceback: TracebackType | None) -> Sequence[str]:
    names = []
    while traceback is not None:
        names.append(str(traceback.tb_frame.f_globals.get("__name__", "")))
        traceback = traceback.tb_next
    return names
