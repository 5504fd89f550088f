"""Files that are never seen half-written, and what a killed process has left of them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, which does not delete a file that is open
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".aside"

_PLACES = ("checkpoints", "xinc*/**", "reconstruction")
"""Where in a run's folder files are written aside."""


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A file to write instead of ``path``, whose place it takes when all went well. Makes its folder.

    It is locked meanwhile, so that another process does not take it for one that nobody writes any more.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".{path.name}{_SUFFIX}")
    try:
        with _locked(file, insist=False):  # not every network's file system can lock
            yield file
            if not file.stat().st_size:
                raise OSError(f"{file} was not written")  # as by something that writes later, in a thread
            file.replace(path)
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def write_aside(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it, so that it is never seen half-written. Makes its folder."""
    with aside(path) as file:
        file.write_bytes(data)


def clear_asides(run: Path) -> None:
    """Delete what killed processes have left half-written in a run's folder, and in those of earlier runs beside it."""
    for folder in {run, *run.parent.glob("version_*")}:
        for place in _PLACES:
            for file in folder.glob(f"{place}/.*{_SUFFIX}"):
                with suppress(OSError), _locked(file, insist=True):
                    file.unlink()


@contextmanager
def _locked(file: Path, insist: bool) -> Iterator[None]:
    """Hold a file's lock, which ends with the process at the latest.

    Args:
        file: Made if it is not there.
        insist: Raise OSError where it cannot be locked, as when somebody else has done so.
    """
    if fcntl is None:
        yield
        return
    with file.open("ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if insist:
                raise
        yield
