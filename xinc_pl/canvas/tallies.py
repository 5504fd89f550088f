"""What is added up while the maps of a layer stream by.

Two passes make the same maps twice, because nothing of the size neurons x pixels is kept. The first finds each pixel's
total and, in a histogram over the upper bits of the values, the narrow bin in which each threshold lies. The second
knows both, and so can count.

The parts of a layer are divided into lanes, which may run in different threads. What is known of each neuron goes to
its own place; what is added up over neurons is added up in every lane, and over the lanes in their order.
"""

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from xinc_pl.canvas.backends import Backend, Found
from xinc_pl.canvas.bins import LOW_BITS, NUM_BINS, SHIFT, edges_of, float_of_bits, sums_of
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.partition import Clusters
from xinc_pl.canvas.statistics import Histogram
from xinc_pl.canvas.sums import PixelSums
from xinc_pl.canvas.weights import GroupWeights

_MAX_CANDIDATES = 1 << 24
"""How many values near a threshold are remembered; more, and a third pass counts instead."""


class FirstPass:
    """Totals, sums, extremes and histogram of one layer of one frame.

    Args:
        num_neurons: N.
        size: Height and width.
        device: Where the maps are.
        backend: Who computes.
    """

    def __init__(self, num_neurons: int, size: tuple[int, int], device: torch.device, backend: Backend) -> None:
        self._backend = backend
        self._total = PixelSums(size, torch.float64, device)
        self.sum, self.minimum, self.maximum = (
            torch.zeros(num_neurons, dtype=torch.float64, device=device) for _ in range(3)
        )
        self.counts, self._lows = (torch.zeros(NUM_BINS, dtype=torch.int64, device=device) for _ in range(2))

    def lane(self) -> "FirstPass":
        """One that shares what is known of single neurons, and adds up the rest for itself."""
        lane = copy.copy(self)
        lane._total = self._total.fresh()
        lane.counts, lane._lows = torch.zeros_like(self.counts), torch.zeros_like(self._lows)
        return lane

    def add(self, group: GroupWeights, neurons: Tensor, magnitudes: Tensor) -> None:
        """Take in the maps (n, R, C) of some neurons."""
        self.sum[neurons], self.minimum[neurons], self.maximum[neurons] = self._backend.first_sums(
            magnitudes, group, self._total.cells(group), self.counts, self._lows
        )

    def absorb(self, lane: "FirstPass") -> None:
        """Add what a lane has added up."""
        self._total += lane._total
        self.counts += lane.counts
        self._lows += lane._lows

    def finish(self) -> None:
        """Prepare the results.

        Raises:
            DissectionError: Some map is not finite.
        """
        infinite = (~self.maximum.isfinite()).nonzero().flatten().tolist()
        if infinite:
            raise DissectionError(
                f"the contribution maps of {len(infinite)} neurons are NaN or infinite, the first is number "
                f"{infinite[0]}: an activation overflows on single contributions, though not on their sum"
            )
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


class Bracket:
    """Where a threshold lies: the bin in which the values from the top first add up to the wanted share.

    Args:
        first: The finished first pass.
        mass: x; the threshold is reached at (1 - x) of the whole.
    """

    def __init__(self, first: FirstPass, mass: float) -> None:
        from_top = first.sums.flip(0).cumsum(0).flip(0)
        self.target = (1 - mass) * float(from_top[0])
        self.bin = int((from_top >= self.target).nonzero()[-1]) if self.target > 0 else NUM_BINS - 1
        self.sum_above = float(from_top[self.bin + 1]) if self.bin + 1 < NUM_BINS else 0.0
        self.num_inside = int(first.counts[self.bin])

    def threshold(self, counts: Tensor) -> float:
        """The exact threshold.

        Args:
            counts: int64 (1 << SHIFT,), how often each value inside the bin occurs in the image.

        Raises:
            RuntimeError: There are not as many values as there were in the first pass.
        """
        if int(counts.sum()) != self.num_inside:
            raise RuntimeError(
                f"the second pass found {int(counts.sum())} values where the first had found {self.num_inside}: the "
                "same maps came out differently when they were made anew"
            )
        low = counts.nonzero().flatten().flip(0)
        if not len(low):
            return 0.0
        values = float_of_bits((self.bin << SHIFT) + low)
        reached = self.sum_above + (values.double() * counts[low]).cumsum(0) >= self.target
        # Rounding may leave the last value a little short of the target.
        return float(values[int(reached.nonzero()[0]) if bool(reached.any()) else -1])


class Candidates:
    """Values inside one bin, in memory that grows by doubling.

    One small tensor per part, each kept among the large ones that come and go, would leave the process's memory full of
    holes: gigabytes, for a video.
    """

    def __init__(self) -> None:
        self._bits = self._cells = torch.empty(0, dtype=torch.int32)
        self._num = 0

    def add(self, found: Found) -> None:
        """Take in what was found in some maps of one group."""
        end = self._num + len(found.bits)
        if end > len(self._bits):
            room = max(2 * len(self._bits), end, 1024)
            self._bits, self._cells = (
                torch.cat([kept[: self._num].to(found.bits.device), new.new_empty(room - self._num, dtype=torch.int32)])
                for kept, new in ((self._bits, found.bits), (self._cells, found.cells))
            )
        self._bits[self._num : end], self._cells[self._num : end] = found.bits, found.cells
        self._num = end

    def found(self) -> Found:
        """All of them."""
        return Found(self._bits[: self._num], self._cells[: self._num])


class ThresholdCount:
    """One threshold, and how many neurons lie above it at each pixel.

    Args:
        bracket: Where the threshold lies.
        above: For the result.
        backend: Who computes.
    """

    def __init__(self, bracket: Bracket, above: PixelSums, backend: Backend) -> None:
        self.bracket = bracket
        self.needs_third_pass = bracket.num_inside > _MAX_CANDIDATES
        self.threshold = 0.0
        self.above = above
        self._backend = backend
        self._inside = torch.zeros(1 << SHIFT, dtype=torch.int64)
        self._found: list[tuple[GroupWeights, Candidates]] = []

    def lane(self) -> "ThresholdCount":
        """One for a lane."""
        lane = ThresholdCount(self.bracket, self.above.fresh(), self._backend)
        lane.threshold = self.threshold
        if not self.needs_third_pass:
            lane._inside = self._inside  # is filled at the end, from all candidates
        return lane

    def add(self, group: GroupWeights, magnitudes: Tensor) -> None:
        """Second pass: count the values beyond the bin, and look at those inside."""
        if not self.needs_third_pass:
            self._backend.count_above(magnitudes, (self.bracket.bin + 1) << SHIFT, self.above.cells(group))
            if not self._found or self._found[-1][0] is not group:
                self._found.append((group, Candidates()))
            self._found[-1][1].add(self._backend.find(magnitudes, self.bracket.bin))
        else:
            self._count_inside(group, self._backend.find(magnitudes, self.bracket.bin))

    def absorb(self, lane: "ThresholdCount") -> None:
        """Add what a lane has found."""
        self.above += lane.above
        if self.needs_third_pass:
            self._inside += lane._inside
        self._found += lane._found
        lane._found = []

    def finish(self) -> None:
        """Find the threshold; count the values inside the bin, unless the third pass has to."""
        for group, candidates in self._found:
            self._count_inside(group, candidates.found())
        self.threshold = self.bracket.threshold(self._inside)
        for group, candidates in self._found:
            found = candidates.found()
            cells = found.cells[float_of_bits(found.bits) > self.threshold].long()
            self.above.cells(group).view(-1).index_add_(0, cells, torch.ones_like(cells, dtype=torch.int32))
        self._found = []

    def count(self, group: GroupWeights, magnitudes: Tensor) -> None:
        """Third pass: count the values above the threshold."""
        next_bits = int(torch.tensor(self.threshold).view(torch.int32)) + 1
        self._backend.count_above(magnitudes, next_bits, self.above.cells(group))

    def _count_inside(self, group: GroupWeights, found: Found) -> None:
        low, pixels = found.bits.long() & LOW_BITS, group.cells.flatten()[found.cells.long()]
        self._inside += torch.bincount(low, pixels, minlength=1 << SHIFT).long().cpu()


class SecondPass:
    """Counts and sums per cluster, for which the first pass had to be finished.

    Args:
        first: The finished first pass.
        masses: Which thresholds.
        clusters: The partitions.
        backend: Who computes.
    """

    def __init__(
        self, first: FirstPass, masses: Sequence[float], clusters: Mapping[str, Clusters], backend: Backend
    ) -> None:
        num_neurons, size, device = len(first.sum), first.total.shape, first.total.device
        self.share = (first.total / num_neurons).float()
        self.pixels_per_neuron = torch.zeros(num_neurons, dtype=torch.int64, device=device)
        self.cluster_sums = torch.zeros(
            num_neurons, sum(len(each.areas) for each in clusters.values()), dtype=torch.float64, device=device
        )
        self.change = PixelSums((size[0], size[1]), torch.float64, device)
        self.thresholds = {
            mass: ThresholdCount(Bracket(first, mass), PixelSums((size[0], size[1]), torch.int32, device), backend)
            for mass in masses
        }
        self._backend = backend
        self._clusters = tuple(clusters.values())
        self._sums_of: tuple[tuple[bytes, bytes], Callable[[Tensor], Tensor]] | None = None

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

    def add(self, group: GroupWeights, neurons: Tensor, magnitudes: Tensor, before: Tensor | None) -> None:
        """Take in the maps (n, R, C) of some neurons, and those of the frame before."""
        self.pixels_per_neuron[neurons] = self._backend.pixels_above(magnitudes, group, self.share)
        if before is not None:
            self._backend.add_change(magnitudes, before, self.change.cells(group))
        for each in self.thresholds.values():
            each.add(group, magnitudes)
        if self._clusters:
            if self._sums_of is None or self._sums_of[0] != group.key:
                self._sums_of = group.key, self._backend.membership(group, self._clusters)
            self.cluster_sums[neurons] = self._sums_of[1](magnitudes)

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
