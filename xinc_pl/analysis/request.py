"""What an analysis needs to know of whole layers, so that several share one pair of passes over them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from xinc_pl.analysis.partitions import Partition


class Sample(NamedTuple):
    """Which neurons of each layer statistics are about.

    Attributes:
        max_neurons: At most so many; None for all.
        seed: Decides which.
    """

    max_neurons: int | None
    seed: int


EVERY_NEURON = Sample(None, 0)


@dataclass(frozen=True)
class Request:
    """What statistics of a layer are to hold beyond what they always do, and about which of its neurons they are.

    Args:
        partitions: Sums per cluster of these; ``DissectedFrame.available`` tells which of them the frame allows.
        masses: Thresholds for these shares of the whole (``neurons_per_pixel``).
        max_neurons: Of larger layers a seeded sample of so many neurons will do; None for all.
        seed: Of the sample.
    """

    partitions: tuple[Partition, ...] = ()
    masses: tuple[float, ...] = ()
    max_neurons: int | None = None
    seed: int = 0

    @property
    def sample(self) -> Sample:
        """Which neurons it is about."""
        return EVERY_NEURON if self.max_neurons is None else Sample(self.max_neurons, self.seed)

    @classmethod
    def united(cls, requests: Iterable["Request"], sample: Sample = EVERY_NEURON) -> "Request":
        """One request for all that several ask for about the same neurons, each thing once."""
        same = [each for each in requests if each.sample == sample]
        return cls(
            tuple(dict.fromkeys(each for request in same for each in request.partitions)),
            tuple(sorted({each for request in same for each in request.masses})),
            *sample,
        )
