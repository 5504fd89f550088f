"""Files in the safetensors format whose metadata has one more entry of JSON: written whole, and read with suspicion."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

_ENTRY = "xinc_pl"
_MAX_HEADER = 32 * 2**20
"""Bytes that a file's header may have; that of a large network takes a thousandth of it."""


class RecordingFileError(ValueError):
    """A file of a recording or a frame cannot be read or written; one line says why."""


@dataclass(frozen=True)
class Format:
    """What a file holds.

    Args:
        name: In its JSON.
        noun: For messages.
        version: The one that is written, and read.
    """

    name: str
    noun: str
    version: int

    def packed(self, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> bytes:
        """A file of tensors, which are contiguous and share nothing, and JSON."""
        header = {"format": self.name, "version": self.version, **content}
        return save(dict(tensors), {_ENTRY: json.dumps(header, allow_nan=False)})

    def header(self, path: Path) -> dict[str, Any]:
        """A file's JSON, once it is known that the whole file is sound.

        Raises:
            RecordingFileError: It is not, or is something else.
            OSError: It cannot be read at all.
        """
        try:
            header = _header(path)
            if header.get("format") != self.name:
                raise ValueError(f"it holds no {self.noun} of xinc_pl")
            if header.get("version") != self.version:
                raise ValueError(
                    f"it has version {str(header.get('version'))[:20]} of the format, and this xinc_pl reads version "
                    f"{self.version}; use a newer one"
                )
        except (ValueError, SafetensorError, RecursionError) as error:
            raise RecordingFileError(f"{path}: {one_line(error)}") from error
        return header


class Tensors:
    """The tensors of a file that is open.

    Args:
        file: As safetensors has it.
    """

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - safetensors has no types
        self._file = file
        self._names = set(file.keys())

    def __getitem__(self, name: str) -> Tensor:
        """A copy, whose place in memory does not depend on the file's.

        Raises:
            ValueError: There is none of that name.
        """
        if name not in self._names:
            raise ValueError(f"it has no tensor {name[:80]!r}")
        return torch.clone(self._file.get_tensor(name), memory_format=torch.contiguous_format)

    def get(self, name: str) -> Tensor | None:
        """The same; None if there is none of that name."""
        return self[name] if name in self._names else None


@contextmanager
def opened(form: Format, path: Path) -> Iterator[tuple[dict[str, Any], Tensors]]:
    """A file's JSON and tensors. What is found to be damaged meanwhile is told with the file's name.

    Raises:
        RecordingFileError: It is damaged, or something else.
        OSError: It cannot be read at all.
    """
    header = form.header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield header, Tensors(file)
    except RecordingFileError:
        raise
    except (ValueError, TypeError, RuntimeError, SafetensorError, RecursionError) as error:
        raise RecordingFileError(f"{path}: {one_line(error)}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it, so that it is never seen half-written. Makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".{path.name}.aside")
    try:
        file.write_bytes(data)
        file.replace(path)
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    if isinstance(error, RecursionError):
        return "its header is nested too deeply"
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else type(error).__name__


def _header(path: Path) -> dict[str, Any]:
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
