"""Reads what ``compare`` has written about which neuron is which: a file that may be anybody's, read as data alone."""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xinc_pl.board.cache import Cache

FORMAT = "xinc_pl.pairs/1"
FILE = "pairs.json"
MAX_BYTES = 16 << 20
"""Of one file."""
MAX_FILES = 64
"""That are looked at, those written last."""
MAX_MATCHES = 10_000
"""Of one file: a layer of two runs each."""
_KINDS = ("other_seed", "other_signal", "own_beginning")
_MAX_RUNS = 1000
_MAX_NAME = 400
_MAX_PATH = 4096
_MOST = 10**9 - 1
_OVERHEAD = 2000
"""Bytes that a match without a pair takes, and more than that."""


class DamagedPairsError(ValueError):
    """A file of pairs does not hold what it should. The message is part of a line."""


@dataclass(frozen=True, eq=False)
class Pairing:
    """Neurons of one layer in two runs, matched.

    Attributes:
        source: The run that TensorBoard lists the comparison as.
        folders: Of the two runs.
        layer: Its name.
        kind: ``other_seed`` or ``other_signal``.
        epochs: At which each of the two was compared.
        frame: Index of the frame.
        convention: The formulas followed.
        vectors: What neurons were compared by.
        is_trivial: Whether both have one encoding, so that a match says nothing.
        neurons: int64 (2, n), of the first run and of the second.
        similarity: float64 (n,), Pearson's correlation of each pair.
    """

    source: str
    folders: tuple[str, str]
    layer: str
    kind: str
    epochs: tuple[int, int]
    frame: int
    convention: str
    vectors: str
    is_trivial: bool
    neurons: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float64]

    def turned(self) -> "Pairing":
        """The same, the second run first."""
        folders, epochs = self.folders[::-1], self.epochs[::-1]
        return replace(self, folders=folders, epochs=epochs, neurons=self.neurons[::-1])


class PairsFiles:
    """The files of pairs that lie in folders which TensorBoard lists; what they hold is kept as long as they stay."""

    def __init__(self, max_bytes: int = 256 << 20) -> None:
        self._kept: Cache[tuple[Pairing, ...] | str] = Cache(max_bytes)

    def between(self, folders: Mapping[str, Path], run: str, other: str) -> tuple[tuple[Pairing, ...], tuple[str, ...]]:
        """All pairings of two runs, and a line for each file that is damaged.

        Args:
            folders: Of every run that TensorBoard lists, by name.
            run: One of the two; it comes first in what is found.
            other: The other one.
        """
        wanted = (real(folders[run]), real(folders[other]))
        found: list[Pairing] = []
        damaged = []
        for name, file, written in _files(folders):
            read = self._kept.get((str(file), written), lambda name=name, file=file: _read(file, name))  # type: ignore[misc]
            if isinstance(read, str):
                damaged.append(f"{name}: {FILE} {read}; compare the runs again")
                continue
            found += [each for each in read if each.folders == wanted]
            found += [each.turned() for each in read if each.folders == wanted[::-1]]
        return tuple(found), tuple(damaged)


def real(folder: Path) -> str:
    """A folder's own path, without links."""
    return os.path.realpath(folder)


def _files(folders: Mapping[str, Path]) -> list[tuple[str, Path, tuple[int, int]]]:
    """Files of pairs, the one written last first: the run they lie in, the file, when it was written and its size."""
    found = []
    for name, folder in folders.items():
        try:
            facts = (folder / FILE).lstat()
        except (OSError, ValueError):
            continue
        if stat.S_ISREG(facts.st_mode):
            found.append((name, folder / FILE, (facts.st_mtime_ns, facts.st_size)))
    return sorted(found, key=lambda each: each[2], reverse=True)[:MAX_FILES]


def _read(file: Path, source: str) -> tuple[tuple[Pairing, ...] | str, int]:
    """What a file holds, or what is wrong with it; and how many bytes that takes."""
    try:
        pairings = pairings_of(file, source)
    except DamagedPairsError as error:
        return str(error), 1000
    return pairings, 1000 + sum(_OVERHEAD + each.neurons.nbytes + each.similarity.nbytes for each in pairings)


def pairings_of(file: Path, source: str) -> tuple[Pairing, ...]:
    """The matches between different runs that a file holds.

    Args:
        file: As ``compare`` writes it.
        source: What to call it.

    Raises:
        DamagedPairsError: It is too large, or holds something else.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise DamagedPairsError(f"is larger than {MAX_BYTES >> 20} MB")
        facts = json.loads(text)
    except OSError as error:
        raise DamagedPairsError(f"cannot be read: {error.strerror}") from error
    except DamagedPairsError:
        raise
    except (ValueError, RecursionError) as error:
        raise DamagedPairsError("is damaged: it is not JSON") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise DamagedPairsError(f"is not of the format {FORMAT}")
    about = (
        _whole(facts, "frame", _MOST),
        _word(facts, "convention", _MAX_NAME),
        _word(facts, "vectors", _MAX_NAME),
    )
    base = real(file.parent)
    runs = [_folder_of(base, each) for each in _list(facts, "runs", _MAX_RUNS)]
    pairings = []
    for match in _list(facts, "matches", MAX_MATCHES):
        first, second = (_whole_of(each, "runs", len(runs) - 1) for each in _pair(match, "runs"))
        kind = _word(match, "kind", _MAX_NAME)
        if kind not in _KINDS:
            raise _damaged("kind")
        if first == second:
            continue
        epochs = _pair(match, "epochs")
        pairings.append(
            Pairing(
                source,
                (runs[first], runs[second]),
                _word(match, "layer", _MAX_NAME),
                kind,
                (_whole_of(epochs[0], "epochs", _MOST), _whole_of(epochs[1], "epochs", _MOST)),
                *about,
                _flag(match, "is_trivial"),
                *_pairs(match),
            )
        )
    return tuple(pairings)


def _pairs(match: Mapping[str, Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Neurons (2, n), each once in its run, and similarities (n,)."""
    columns, similarity = _pair(match, "neurons"), _list(match, "similarity", MAX_BYTES)
    for column in columns:
        if not isinstance(column, list) or len(column) != len(similarity):
            raise _damaged("neurons")
        if not all(type(each) is int and 0 <= each <= _MOST for each in column) or len(set(column)) != len(column):
            raise _damaged("neurons")
    if not all(type(each) in (int, float) and -1.001 <= each <= 1.001 for each in similarity):
        raise _damaged("similarity")
    return np.array(columns, np.int64).reshape(2, -1), np.array(similarity, np.float64)


def _folder_of(base: str, run: Any) -> str:  # noqa: ANN401 - what JSON holds
    """Where a run lies. A path is compared with those of listed runs, and never looked at."""
    path = _word(run, "path", _MAX_PATH)
    return os.path.normpath(os.path.join(base, path))


def _list(facts: Any, name: str, most: int) -> Sequence[Any]:  # noqa: ANN401 - what JSON holds
    value = facts.get(name) if isinstance(facts, dict) else None
    if not isinstance(value, list) or len(value) > most:
        raise _damaged(name)
    return value


def _pair(facts: Any, name: str) -> tuple[Any, Any]:  # noqa: ANN401 - what JSON holds
    value = _list(facts, name, 2)
    if len(value) != 2:
        raise _damaged(name)
    return value[0], value[1]


def _word(facts: Any, name: str, most: int) -> str:  # noqa: ANN401 - what JSON holds
    value = facts.get(name) if isinstance(facts, dict) else None
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        raise _damaged(name)
    return value


def _whole(facts: Mapping[str, Any], name: str, most: int) -> int:
    return _whole_of(facts.get(name), name, most)


def _whole_of(value: Any, name: str, most: int) -> int:  # noqa: ANN401 - what JSON holds
    if type(value) is not int or not 0 <= value <= most:
        raise _damaged(name)
    return value


def _flag(facts: Mapping[str, Any], name: str) -> bool:
    value = facts.get(name)
    if not isinstance(value, bool):
        raise _damaged(name)
    return value


def _damaged(name: str) -> DamagedPairsError:
    return DamagedPairsError(f"is damaged: what stands there as {name} cannot be")
