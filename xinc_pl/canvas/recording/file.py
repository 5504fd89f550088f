"""Recordings on disk: what they start from and what was called, from which all else is computed again.

A file is in the safetensors format. Its tensors are pieces of memory; the entry ``xinc_pl`` of its metadata is JSON
that says which tensors lie in them, which functions were called on these, and what came of that. Nothing in a file is
ever run but the functions of ``allowed.py``, and these only after it is known how much memory they take.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from xinc_pl.canvas.recording.memories import Memories
from xinc_pl.canvas.recording.parts import read_parts, written_parts
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.recording.undisturbed import undisturbed

FORMAT = "xinc_pl recordings"
VERSION = 1
_ENTRY = "xinc_pl"
_MAX_HEADER = 32 * 2**20
"""Bytes that a file's header may have; a large network takes a thousandth of it."""


class RecordingFileError(ValueError):
    """A file is no recording that can be read, or a recording cannot be written; one line says why."""


@dataclass(frozen=True)
class Moment:
    """When something was recorded.

    Args:
        epoch: Number of finished epochs.
        step: Number of finished training steps.
        psnr: Of the image, in dB, if its target is known.
    """

    epoch: int | None = None
    step: int | None = None
    psnr: float | None = None


def save_recordings(
    path: str | os.PathLike[str],
    recordings: Mapping[str, Recording],
    moments: Mapping[str, Moment] | None = None,
    check: bool = True,
) -> None:
    """Write recordings into one file, which is never seen half-written. What they share is written once.

    Args:
        path: The file; its folder is made.
        recordings: By name, such as ``frame_0000``.
        moments: When they were made, by the same names.
        check: Compute each again from what is written, and compare.

    Raises:
        RecordingFileError: A call cannot be written, as one of a function that is not torch's; names it.
    """
    data = serialized(recordings, moments, check)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".{path.name}.aside")
    try:
        file.write_bytes(data)
        file.replace(path)
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def serialized(
    recordings: Mapping[str, Recording], moments: Mapping[str, Moment] | None = None, check: bool = True
) -> bytes:
    """What ``save_recordings`` writes."""
    memories = Memories()
    parts: dict[str, Any] = {}
    for name, recording in recordings.items():
        moment = (moments or {}).get(name, Moment())
        try:
            parts[name] = {**written_parts(recording, memories), "moment": asdict(moment)}
            if check:
                _check_same(parts[name], memories, recording)
        except (ValueError, RuntimeError) as error:
            raise RecordingFileError(f"the recording cannot be written: {_line(error)}") from error
    header = {"format": FORMAT, "version": VERSION, "recordings": parts}
    return save(memories.pieces, {_ENTRY: json.dumps(header, allow_nan=False)})


def _check_same(parts: Any, memories: Memories, recording: Recording) -> None:  # noqa: ANN401 - JSON
    with undisturbed():
        torch.rand(1)  # what draws random numbers is to draw others
        again = read_parts(json.loads(json.dumps(parts)), memories.pieces.__getitem__, recording.device, most_bytes())
    difference = (again.output - recording.output).abs().max()
    if not difference <= _ROUNDING * recording.output.abs().max():
        raise ValueError(
            "computed again, its calls give another image; something was not recorded, or draws random numbers"
        )


_ROUNDING = 1e-4


class RecordingFile:
    """A file of recordings.

    Args:
        path: The file.

    Attributes:
        names: Of the recordings in it.

    Raises:
        RecordingFileError: It is damaged, or something else. Nothing in it was run.
        OSError: It cannot be read at all.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        header = _header(self._path)
        if header.get("format") != FORMAT:
            raise self._error("it holds no recordings of xinc_pl")
        if header.get("version") != VERSION:
            raise self._error(
                f"it has version {str(header.get('version'))[:20]} of the format, and this xinc_pl reads version "
                f"{VERSION}; use a newer one"
            )
        parts = header.get("recordings")
        if not isinstance(parts, dict) or not all(isinstance(part, dict) for part in parts.values()):
            raise self._error("it does not say what was recorded")
        self._parts: dict[str, Any] = parts
        self.names = tuple(parts)

    def moment(self, name: str) -> Moment:
        """When a recording was made."""
        given = self._part(name).get("moment")
        if not isinstance(given, dict) or not given.keys() <= {"epoch", "step", "psnr"}:
            raise self._error("it does not say when it was recorded")
        kinds = {"epoch": int, "step": int, "psnr": int | float}
        if any(value is not None and not isinstance(value, kinds[key]) for key, value in given.items()):
            raise self._error("it does not say in numbers when it was recorded")
        return Moment(**given)

    def load(
        self, name: str | None = None, *, device: torch.device | str = "cpu", max_bytes: int | None = None
    ) -> Recording:
        """Compute a recording again.

        Args:
            name: Which one; may be left out where there is only one.
            device: Where to.
            max_bytes: What all its tensors may take; half of the machine's memory by default.

        Raises:
            RecordingFileError: It is damaged, asks for a function that no file may name, or takes too much memory.
        """
        if name is None:
            if len(self.names) != 1:
                raise self._error(f"it holds {len(self.names)} recordings; give a name: {', '.join(self.names)[:200]}")
            (name,) = self.names
        part, most = self._part(name), most_bytes() if max_bytes is None else max_bytes
        try:
            with safe_open(self._path, framework="pt", device="cpu") as file:
                names = set(file.keys())

                def piece(key: str) -> Tensor:
                    if key not in names:
                        raise ValueError(f"it has no tensor {key[:80]!r}")
                    # A copy, whose place in memory does not depend on the file's.
                    return torch.clone(file.get_tensor(key), memory_format=torch.contiguous_format)

                return read_parts(part, piece, torch.device(device), most)
        except (ValueError, RuntimeError, SafetensorError, RecursionError) as error:
            raise self._error(_line(error)) from error

    def _part(self, name: str) -> Any:  # noqa: ANN401 - JSON
        if name not in self._parts:
            raise self._error(f"there is no recording {name!r}; there are {', '.join(self.names)[:200]}")
        return self._parts[name]

    def _error(self, reason: str) -> RecordingFileError:
        return RecordingFileError(f"{self._path}: {reason}")


def _header(path: Path) -> dict[str, Any]:
    """What stands in a file's metadata, once it is known that the whole file is sound.

    Raises:
        RecordingFileError: It is not.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_MAX_HEADER, path.stat().st_size - 8):
                raise ValueError(f"it is cut off, or is no safetensors file: its header is said to have {length} bytes")
            entries = _parsed(file.read(length))
        with safe_open(path, framework="pt", device="cpu"):  # which checks names, types, sizes and places
            pass
        metadata = entries.get("__metadata__")
        if not isinstance(metadata, dict) or not isinstance(metadata.get(_ENTRY), str):
            raise ValueError("it was not written by xinc_pl")
        return _parsed(metadata[_ENTRY].encode())
    except (ValueError, SafetensorError, RecursionError) as error:
        raise RecordingFileError(f"{path}: {_line(error)}") from error


def _parsed(text: bytes) -> dict[str, Any]:
    """JSON in which no name stands twice."""

    def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            raise ValueError("a name stands twice in its header")
        return entries

    try:
        parsed = json.loads(text, object_pairs_hook=once)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"its header is damaged ({error})") from error
    if not isinstance(parsed, dict):
        raise ValueError("its header is damaged")
    return parsed


def _line(error: BaseException) -> str:
    """What an error says, in one line."""
    if isinstance(error, RecursionError):
        return "its header is nested too deeply"
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else type(error).__name__


def most_bytes() -> int:
    """Half of the machine's memory."""
    with suppress(AttributeError, ValueError, OSError):  # Windows does not tell
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 * 2**30
