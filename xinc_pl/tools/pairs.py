"""Which neuron is which, in a file for others to read."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xinc_pl.analysis.comparison import LayerComparison
from xinc_pl.analysis.matching import Match

FORMAT = "xinc_pl.pairs/1"


@dataclass(frozen=True)
class Source:
    """Where a run is from.

    Attributes:
        path: Its folder.
        epoch: Completed epochs.
        is_control: Whether it is the run of another signal.
    """

    path: Path
    epoch: int
    is_control: bool = False


def pairs_json(
    sources: Sequence[Source],
    layers: Sequence[LayerComparison],
    folder: Path,
    *,
    frame: int,
    convention: str,
    vectors: str,
) -> str:
    """All matched pairs as JSON.

    An object with

    - ``format``: ``xinc_pl.pairs/1``;
    - ``frame``, ``convention``, ``vectors``: the frame's index, the convention, the partition of the vectors;
    - ``runs``: objects with ``path`` (from the file's own folder), ``epoch`` and ``is_control``, which the last may be;
    - ``matches``: objects with ``layer``, ``kind`` (``other_seed``, ``other_signal`` or ``own_beginning``), ``runs``
      (two places in the list of runs), ``epochs`` (of both), ``is_trivial`` (see ``Match``), and, best pair first,
      ``neurons`` (two lists of indices in the layer, as ``LayerCanvas.maps`` takes them) and ``similarity``.

    Args:
        sources: The runs, and the control if there is one.
        layers: Their layers.
        folder: Where the file will be.
        frame: Index of the frame.
        convention: The formulas followed.
        vectors: What the neurons' vectors are made of.
    """
    return json.dumps(
        {
            "format": FORMAT,
            "frame": frame,
            "convention": convention,
            "vectors": vectors,
            "runs": [
                {"path": _from(folder, each.path), "epoch": each.epoch, "is_control": each.is_control}
                for each in sources
            ],
            "matches": [
                _match_of(layer.layer, kind, pair, match, sources)
                for layer in layers
                for kind, found in layer.matched.items()
                for pair, match in found.items()
            ],
        }
    )


def _match_of(layer: str, kind: str, pair: tuple[int, int], match: Match, sources: Sequence[Source]) -> dict[str, Any]:
    order = match.similarity.argsort(descending=True, stable=True)
    epochs = [sources[place].epoch for place in pair]
    return {
        "layer": layer,
        "kind": kind,
        "runs": list(pair),
        "epochs": [epochs[0], 0] if kind == "own_beginning" else epochs,
        "is_trivial": match.is_trivial,
        "neurons": match.neurons[order].T.tolist(),
        "similarity": [round(value, 6) for value in match.similarity[order].tolist()],
    }


def _from(folder: Path, path: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # on another drive
        return path.resolve().as_posix()
