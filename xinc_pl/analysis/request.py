"""What an analysis needs to know of whole layers, so that several share one pair of passes over them."""

from collections.abc import Iterable
from dataclasses import dataclass

from xinc_pl.analysis.partitions import Partition


@dataclass(frozen=True)
class Request:
    """What statistics of a layer are to hold beyond what they always do.

    Args:
        partitions: Sums per cluster of these; ``DissectedFrame.available`` tells which of them the frame allows.
        masses: Thresholds for these shares of the whole (``neurons_per_pixel``).
    """

    partitions: tuple[Partition, ...] = ()
    masses: tuple[float, ...] = ()

    @classmethod
    def united(cls, requests: Iterable["Request"]) -> "Request":
        """One request for all that several ask for, each thing once."""
        requests = list(requests)
        return cls(
            tuple(dict.fromkeys(each for request in requests for each in request.partitions)),
            tuple(sorted({each for request in requests for each in request.masses})),
        )
