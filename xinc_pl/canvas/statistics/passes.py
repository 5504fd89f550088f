"""What is added up while the maps of a layer stream by.

Two passes make the same maps twice, because nothing of the size neurons x pixels is kept. The first adds up, over
neurons, pixels and clusters, and finds, in a histogram over the upper bits of the values, the narrow bin in which each
threshold lies. The second knows totals and bins, and so can count.

The parts of a layer are divided into lanes, which may run in different threads. What is known of each neuron goes to
its own place; what is added up over neurons is added up in every lane, and over the lanes in their order.
"""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from xinc_pl.canvas.backends.backend import Backend
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.maps.bins import NUM_BINS, edges_of, sums_of
from xinc_pl.canvas.maps.cells import GroupWeights
from xinc_pl.canvas.maps.clusters import Clusters
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.statistics.results import Histogram
from xinc_pl.canvas.statistics.sums import PixelSums
from xinc_pl.canvas.statistics.thresholds import Bracket, ThresholdCount


class FirstPass:
    """Totals, sums, also over clusters, extremes and histogram of one layer of one frame.

    Args:
        num_neurons: N.
        size: Height and width.
        device: Where the maps are.
        backend: Who computes.
        clusters: The partitions.
        has_histogram: Whether a second pass follows, which needs it.
    """

    def __init__(
        self,
        num_neurons: int,
        size: tuple[int, int],
        device: torch.device,
        backend: Backend,
        clusters: Sequence[Clusters] = (),
        has_histogram: bool = True,
    ) -> None:
        self._backend = backend
        self._clusters = tuple(clusters)
        self._sums_of: tuple[tuple[bytes, bytes], Callable[[Tensor], Tensor]] | None = None
        self._total = PixelSums(size, torch.float64, device)
        self.sum, self.maximum = (torch.zeros(num_neurons, dtype=torch.float64, device=device) for _ in range(2))
        self.minimum = torch.full_like(self.sum, torch.inf)
        self.cluster_sums = self.sum.new_zeros(num_neurons, sum(len(each.areas) for each in clusters))
        num_bins = NUM_BINS if has_histogram else 0
        self.counts, self._lows = (torch.zeros(num_bins, dtype=torch.int64, device=device) for _ in range(2))

    def lane(self) -> "FirstPass":
        """One that shares what is known of single neurons, and adds up the rest for itself."""
        lane = copy.copy(self)
        lane._total = self._total.fresh()
        lane.counts, lane._lows = torch.zeros_like(self.counts), torch.zeros_like(self._lows)
        return lane

    def within(self, tile: Window | None) -> "FirstPass":
        """One for a tile of the image; itself for all of it."""
        if tile is None:
            return self
        clusters = [each.within(tile, self.total.shape[1]) for each in self._clusters]
        return FirstPass(len(self.sum), tile.size, self.sum.device, self._backend, clusters, len(self.counts) > 0)

    def take(self, tile: Window | None, part: "FirstPass") -> None:
        """Add what a tile has added up."""
        if tile is None:
            return
        self._total.put(tile, part._total)
        self.sum += part.sum
        self.minimum, self.maximum = self.minimum.minimum(part.minimum), self.maximum.maximum(part.maximum)
        self.cluster_sums += part.cluster_sums
        self.counts += part.counts
        self._lows += part._lows

    def add(self, group: GroupWeights, neurons: Tensor, magnitudes: Tensor) -> None:
        """Take in the maps (n, R, C) of some neurons."""
        self.sum[neurons], self.minimum[neurons], self.maximum[neurons] = self._backend.first_sums(
            magnitudes, group, self._total.cells(group), self.counts, self._lows
        )
        if self._clusters:
            if self._sums_of is None or self._sums_of[0] != group.key:
                self._sums_of = group.key, self._backend.membership(group, self._clusters)
            self.cluster_sums[neurons] = self._sums_of[1](magnitudes)

    def absorb(self, lane: "FirstPass") -> None:
        """Add what a lane has added up."""
        self._total += lane._total
        self.counts += lane.counts
        self._lows += lane._lows

    def check(self) -> None:
        """Insist on finite maps.

        Raises:
            DissectionError: Some map is not finite.
        """
        infinite = (~self.maximum.isfinite()).nonzero().flatten().tolist()
        if infinite:
            raise DissectionError(
                f"the contribution maps of {len(infinite)} neurons are NaN or infinite, the first is number "
                f"{infinite[0]}: an activation overflows on single contributions, though not on their sum"
            )

    def finish(self) -> None:
        """Prepare the histogram.

        Raises:
            DissectionError: Some map is not finite.
        """
        self.check()
        self.counts, self.sums = self.counts.cpu(), sums_of(self.counts, self._lows)

    @property
    def total(self) -> Tensor:
        """Sum over neurons: (H, W)."""
        return self._total.image()

    def histogram(self) -> Histogram:
        """The distribution, without the empty bins at both ends."""
        used = self.counts.nonzero().flatten()
        first, last = int(used[0]), int(used[-1])
        return Histogram(edges_of(first, last), self.counts[first : last + 1], self.sums[first : last + 1])


class SecondPass:
    """Counts, for which the first pass had to be finished.

    Args:
        first: The finished first pass.
        masses: Which thresholds.
        backend: Who computes.
    """

    def __init__(self, first: FirstPass, masses: Sequence[float], backend: Backend) -> None:
        num_neurons, size, device = len(first.sum), first.total.shape, first.total.device
        self.share = (first.total / num_neurons).float()
        self.pixels_per_neuron = torch.zeros(num_neurons, dtype=torch.int64, device=device)
        self.change = PixelSums((size[0], size[1]), torch.float64, device)
        self.thresholds = {
            mass: ThresholdCount(
                Bracket(first.counts, first.sums, mass), PixelSums((size[0], size[1]), torch.int32, device), backend
            )
            for mass in masses
        }
        self._backend = backend

    @property
    def needs_third_pass(self) -> bool:
        """Whether so many values lie in one bin that they have to be counted once the threshold is known."""
        return any(each.needs_third_pass for each in self.thresholds.values())

    def lane(self) -> "SecondPass":
        """One that shares what is known of single neurons, and adds up the rest for itself."""
        lane = copy.copy(self)
        lane.change = self.change.fresh()
        lane.thresholds = {mass: each.lane() for mass, each in self.thresholds.items()}
        return lane

    def within(self, tile: Window | None) -> "SecondPass":
        """One for a tile of the image; itself for all of it."""
        if tile is None:
            return self
        part = copy.copy(self)
        part.share = tile.crop(self.share)
        part.pixels_per_neuron = torch.zeros_like(self.pixels_per_neuron)
        part.change = self.change.within(tile)
        part.thresholds = {mass: each.within(tile) for mass, each in self.thresholds.items()}
        return part

    def take(self, tile: Window | None, part: "SecondPass") -> None:
        """Add what a tile has added up."""
        if tile is None:
            return
        self.pixels_per_neuron += part.pixels_per_neuron
        self.change.put(tile, part.change)
        for mass, each in self.thresholds.items():
            each.take(tile, part.thresholds[mass])

    def take_counts(self, tile: Window | None, part: "SecondPass") -> None:
        """Add what the third pass has counted in a tile."""
        for mass, each in self.thresholds.items():
            if tile is not None and each.needs_third_pass:
                each.above.put(tile, part.thresholds[mass].above)

    def add(self, group: GroupWeights, neurons: Tensor, magnitudes: Tensor, before: Tensor | None) -> None:
        """Take in the maps (n, R, C) of some neurons, and those of the frame before."""
        self.pixels_per_neuron[neurons] = self._backend.pixels_above(magnitudes, group, self.share)
        if before is not None:
            self._backend.add_change(magnitudes, before, self.change.cells(group))
        for each in self.thresholds.values():
            each.add(group, magnitudes)

    def absorb(self, lane: "SecondPass") -> None:
        """Add what a lane has added up."""
        self.change += lane.change
        for mass, each in self.thresholds.items():
            each.absorb(lane.thresholds[mass])

    def finish(self) -> None:
        """Find the thresholds."""
        for each in self.thresholds.values():
            each.finish()

    def count(self, group: GroupWeights, magnitudes: Tensor) -> None:
        """Third pass: count the values above the thresholds that were too many to remember."""
        for each in self.thresholds.values():
            if each.needs_third_pass:
                each.count(group, magnitudes)
