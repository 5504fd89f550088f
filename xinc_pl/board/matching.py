"""Which neuron of one run is which of another, as far as ``compare`` has been asked."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from xinc_pl.board.answers import MatchedNeuron, Matches
from xinc_pl.board.pairs import Pairing, PairsFiles
from xinc_pl.board.requests import RequestError

_MOST_REMARKS = 3
_MOST_PAIRINGS = 64
"""In which a neuron is looked for: the nearest to what is shown."""


class Matching:
    """Answers from the files of pairs that lie in folders which TensorBoard lists."""

    def __init__(self) -> None:
        self._files = PairsFiles()

    def matches(
        self,
        folders: Mapping[str, Path],
        root: Path | None,
        runs: tuple[str, str],
        epochs: tuple[int, int],
        frame: int,
        layer: str,
        neurons: Sequence[int],
    ) -> Matches:
        """Neurons of the second run that are matched to those of the first.

        Args:
            folders: Of every run that TensorBoard lists, by name.
            root: Below which all of them lie; None where TensorBoard was given several folders.
            runs: The two.
            epochs: That are shown of each.
            frame: That is shown.
            layer: Its name.
            neurons: Of the first run.

        Raises:
            RequestError: It is one run.
        """
        if folders[runs[0]] == folders[runs[1]]:
            raise RequestError(f"run and other are both {runs[0]}, whose neurons keep their numbers; give two runs")
        pairings, damaged = self._files.between(folders, *runs)

        def distance(pairing: Pairing) -> tuple[bool, int]:
            moved = sum(abs(own - shown) for own, shown in zip(pairing.epochs, epochs, strict=True))
            return pairing.frame != frame, moved

        own = sorted((each for each in pairings if each.layer == layer), key=distance)[:_MOST_PAIRINGS]
        found = tuple(_matched(neuron, own) for neuron in neurons)
        single = [each.neuron for each in found if each.match is None]
        why = _why(single, own, layer, _command(folders, root, runs, frame)) if single else None
        return Matches(found, why, damaged[:_MOST_REMARKS])


def _matched(neuron: int, pairings: Sequence[Pairing]) -> MatchedNeuron:
    for pairing in pairings:
        (places,) = (pairing.neurons[0] == neuron).nonzero()
        if len(places):
            return MatchedNeuron(
                neuron,
                int(pairing.neurons[1, places[0]]),
                float(pairing.similarity[places[0]]),
                pairing.source,
                pairing.epochs,
                pairing.frame,
                pairing.convention,
                pairing.vectors,
                pairing.kind,
                pairing.is_trivial,
            )
    return MatchedNeuron(neuron)


def _why(single: Sequence[int], pairings: Sequence[Pairing], layer: str, command: str) -> str:
    """Why neurons have no match, and how they get one."""
    if not pairings:
        return f"{layer} of these runs has not been compared, so nothing is matched yet: {command}"
    known = f"{pairings[0].source} has matched {pairings[0].neurons.shape[1]:,} neurons of {layer}"
    which = f"neuron {single[0]} is" if len(single) == 1 else f"neurons {', '.join(map(str, single))} are"
    why = "of large layers compare takes a sample, and even maps have no match"
    return f"{known}, and {which} not among them ({why}); for another sample: {command} --seed 1"


def _command(folders: Mapping[str, Path], root: Path | None, runs: tuple[str, str], frame: int) -> str:
    """What to type, so that TensorBoard lists what comes out."""
    parent = folders[runs[0]] if root is None else root
    number = next(number for number in range(10**6) if not (parent / f"compare_{number}").exists())
    words = ["python", "-m", "xinc_pl", "compare", *(str(folders[run]) for run in runs)]
    words += ["--out", str(parent / f"compare_{number}")] + (["--frame", str(frame)] if frame else [])
    return shlex.join(words)
