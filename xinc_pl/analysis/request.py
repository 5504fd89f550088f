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

    def sample(self, num_neurons: int) -> Sample:
        """Which of so many neurons it is about."""
        is_part = self.max_neurons is not None and self.max_neurons < num_neurons
        return Sample(self.max_neurons, self.seed) if is_part else EVERY_NEURON

    @classmethod
    def united(cls, requests: Iterable["Request"]) -> "Request":
        """One request for all that several ask for about the same neurons, each thing once."""
        requests = list(requests)
        return cls(
            tuple(dict.fromkeys(each for request in requests for each in request.partitions)),
            tuple(sorted({each for request in requests for each in request.masses})),
        )
