"""Recordings on disk: what they start from and what was called, from which all else is computed again.

A file is in the safetensors format. Its tensors are pieces of memory; the entry ``xinc_pl`` of its metadata is JSON
that says which tensors lie in them, which functions were called on these, and what came of that. Nothing in a file is
ever run but the functions of ``allowed.py``, and these only after it is known how much memory they take.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from xinc_pl.canvas.recording.container import Format, RecordingFileError, one_line, opened, write_whole
from xinc_pl.canvas.recording.memories import Memories
from xinc_pl.canvas.recording.parts import read_parts, written_parts
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.recording.undisturbed import undisturbed

FORMAT = Format("xinc_pl recordings", "recordings", version=1)


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
    write_whole(Path(path), serialized(recordings, moments, check))


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
            raise RecordingFileError(f"the recording cannot be written: {one_line(error)}") from error
    return FORMAT.packed(memories.pieces, {"recordings": parts})


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
        parts = FORMAT.header(self._path).get("recordings")
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
        with opened(FORMAT, self._path) as (_, tensors):
            return read_parts(part, tensors.__getitem__, torch.device(device), most)

    def _part(self, name: str) -> Any:  # noqa: ANN401 - JSON
        if name not in self._parts:
            raise self._error(f"there is no recording {name!r}; there are {', '.join(self.names)[:200]}")
        return self._parts[name]

    def _error(self, reason: str) -> RecordingFileError:
        return RecordingFileError(f"{self._path}: {reason}")


def most_bytes() -> int:
    """Half of the machine's memory."""
    with suppress(AttributeError, ValueError, OSError):  # Windows does not tell
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 4 * 2**30
