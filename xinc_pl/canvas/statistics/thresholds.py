"""Where thresholds lie, and how many neurons lie above them at each pixel."""

import torch
from torch import Tensor

from xinc_pl.canvas.backends.backend import Backend, Found
from xinc_pl.canvas.maps.bins import LOW_BITS, NUM_BINS, SHIFT, float_of_bits
from xinc_pl.canvas.maps.cells import GroupWeights, every_pixel
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.statistics.sums import PixelSums

_MAX_CANDIDATES = 1 << 24
"""How many values near a threshold are remembered; more, and a third pass counts instead."""
_AT_A_TIME = 1 << 20
"""So many of them are looked at together."""


class Bracket:
    """Where a threshold lies: the bin in which the values from the top first add up to the wanted share.

    Args:
        counts: int64 (NUM_BINS,), how many values lie in each bin.
        sums: float64 (NUM_BINS,), what they add up to.
        mass: x; the threshold is reached at (1 - x) of the whole.
    """

    def __init__(self, counts: Tensor, sums: Tensor, mass: float) -> None:
        from_top = sums.flip(0).cumsum(0).flip(0)
        self.target = (1 - mass) * float(from_top[0])
        self.bin = int((from_top >= self.target).nonzero()[-1]) if self.target > 0 else NUM_BINS - 1
        self.sum_above = float(from_top[self.bin + 1]) if self.bin + 1 < NUM_BINS else 0.0
        self.num_inside = int(counts[self.bin])

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

    def within(self, tile: Window) -> "ThresholdCount":
        """One for a tile of the image, whose maps repeat no rows or columns."""
        return self._beside(self.above.within(tile))

    def take(self, tile: Window, part: "ThresholdCount") -> None:
        """Add what a tile has found, as what was found in the whole image."""
        if self.needs_third_pass:
            self._inside += part._inside
            return
        self.above.put(tile, part.above)
        height, width = self.above.image().shape
        if not self._found:
            self._found = [(every_pixel((height, width), self.above.image().device), Candidates())]
        for _, candidates in part._found:
            found = candidates.found()
            self._found[0][1].add(Found(found.bits, tile.places(found.cells, width)))

    def lane(self) -> "ThresholdCount":
        """One for a lane."""
        return self._beside(self.above.fresh())

    def _beside(self, above: PixelSums) -> "ThresholdCount":
        other = ThresholdCount(self.bracket, above, self._backend)
        other.threshold = self.threshold
        if not self.needs_third_pass:
            other._inside = self._inside  # is filled at the end, from all candidates
        return other

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
        pixels = group.cells.flatten()
        for bits, cells in zip(found.bits.split(_AT_A_TIME), found.cells.split(_AT_A_TIME), strict=True):
            counts = torch.bincount(bits.long() & LOW_BITS, pixels[cells.long()], minlength=1 << SHIFT)
            self._inside += counts.long().cpu()
