"""What all neurons of a layer can be ordered by: their totals, their changes, and which of them paint alike."""

import math
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.board.cache import Cache
from xinc_pl.board.requests import RequestError
from xinc_pl.canvas import LayerCanvas
from xinc_pl.canvas.layer_canvas import Order
from xinc_pl.canvas.maps.window import Ranking, Window

ALIKE = 0.7
"""Maps whose cosine with a group's first, whatever its sign, is at least this large are in that group."""
PATIENCE = 120.0
"""Seconds that going through all maps of a layer may take."""
_FIRST_GUESS = 2.0
"""Seconds after which it is said how long it will take."""
_MAX_SIDE = 64
"""Of the maps that are compared with one another; they are made smaller than what is shown."""
_MAX_SMALL_VALUES = 64 << 20
"""Of all small maps of a layer: 256 MB."""
_MAX_VALUES = 4 << 20
"""Of the maps that are made at once."""


Part = TypeVar("Part")
Top = Callable[[int, Order | Tensor], Ranking]
"""Ranks the neurons of a layer at some pixels: how many to give, and by what."""


@dataclass(frozen=True, eq=False)
class Whole:
    """A layer of which all maps may be wanted.

    Attributes:
        canvas: Its canvas.
        key: What it is known by: the same for the same maps.
    """

    canvas: LayerCanvas
    key: Hashable


class Orders:
    """Goes through all maps of a layer once, and keeps what is found, within ``max_bytes``.

    Args:
        max_bytes: Of all that is kept.
        patience: Seconds that going through a layer may take.
    """

    def __init__(self, max_bytes: int, patience: float = PATIENCE) -> None:
        self._kept: Cache[Tensor] = Cache(max_bytes)
        self._patience = patience

    def totals(self, layer: Whole) -> Tensor:
        """The mean magnitude of each neuron over the whole image: float64 (N,).

        Raises:
            RequestError: It would take too long.
        """

        def make() -> Tensor:
            canvas, found = layer.canvas, torch.zeros(layer.canvas.num_neurons, dtype=torch.float64)
            parts = canvas.stream()
            for neurons, magnitudes in self._patiently(parts, canvas, "total", lambda part: len(part[0])):
                found[neurons.cpu()] = magnitudes.flatten(1).sum(1, dtype=torch.float64).cpu()
            return found / math.prod(canvas.size)

        return self._keep(("totals", layer.key), make)

    def focused(self, layer: Whole, top: Top, k: int) -> Ranking:
        """The neurons that are strongest at the pixels of ``top``, next to what they are over the whole image."""
        whole = top(layer.canvas.num_neurons, "magnitude")
        everywhere = self.totals(layer)[whole.neurons]
        focus = torch.where(everywhere > 0, whole.values / everywhere.clamp(min=1e-300), 0.0)
        return _rows(whole, focus.sort(descending=True, stable=True).indices[:k])

    def changes(self, now: LayerCanvas, before: LayerCanvas, mask: Tensor, one_by_one: bool) -> Tensor:
        """The mean change of each neuron's signed map over some pixels: float64 (N,).

        Args:
            now: The layer.
            before: The same at another moment.
            mask: The pixels, bool (H, W).
            one_by_one: Ask for each pixel on its own: quicker where each is felt from far away, as by effects.

        Raises:
            RequestError: It would take too long, or it is not the same layer.
        """
        if before.num_neurons != now.num_neurons or before.size != now.size:
            raise RequestError(f"{now.name} has changed its shape; sort by share, or choose another epoch", 422)
        windows = _pixels(mask) if one_by_one else [Window.around(mask)]
        found = torch.zeros(now.num_neurons, dtype=torch.float64)
        every = torch.arange(now.num_neurons)

        def make() -> Iterator[tuple[Tensor, Tensor]]:
            for window in windows:
                slices, inside = (slice(*window.rows), slice(*window.columns)), window.crop(mask)
                for neurons in every.split(max(1, _MAX_VALUES // window.num_pixels)):
                    moved = (now.maps(neurons, window=slices) - before.maps(neurons, window=slices)).abs().cpu()
                    yield neurons, moved[:, inside].sum(1, dtype=torch.float64)

        for neurons, moved in self._patiently(make(), now, "change", lambda part: len(part[0]) / len(windows)):
            found[neurons] += moved
        return found / int(mask.sum())

    def grouped(self, layer: Whole, top: Top, k: int) -> tuple[Ranking, tuple[int, ...]]:
        """Neurons by groups of those whose maps are alike.

        The neuron that contributes most at the pixels of ``top`` and all that are like it are the first group; that
        which contributes most of the others and all others like it the second, and so on. Of each group the isqrt(k)
        that contribute most are given, its first one first.

        Returns:
            At most k neurons; and how many neurons of the layer are in the group of each.

        Raises:
            RequestError: It would take too long.
        """
        whole, vectors = top(layer.canvas.num_neurons, "magnitude"), self._vectors(layer)
        free = torch.ones(len(whole.neurons), dtype=torch.bool)  # by place in the ranking
        rows: list[int] = []
        sizes: list[int] = []
        for first, neuron in enumerate(whole.neurons.tolist()):
            if len(rows) >= k:
                break
            if not free[first]:
                continue
            own = free & ((vectors @ vectors[neuron]).abs() >= ALIKE)[whole.neurons]
            own[first] = True
            free &= ~own
            some = own.nonzero().flatten()[: math.isqrt(k)].tolist()
            rows += some
            sizes += [int(own.sum())] * len(some)
        return _rows(whole, torch.tensor(rows[:k])), tuple(sizes[:k])

    def _vectors(self, layer: Whole) -> Tensor:
        """All maps, small, as unit vectors (N, d)."""

        def make() -> Tensor:
            canvas, found = layer.canvas, torch.empty(0)
            parts = canvas.stream(signed=True)
            for neurons, maps in self._patiently(parts, canvas, "group", lambda part: len(part[0])):
                vectors = unit_vectors(maps, canvas.num_neurons)
                if not len(found):
                    found = torch.zeros(canvas.num_neurons, vectors.shape[1])
                found[neurons.cpu()] = vectors
            return found

        return self._keep(("vectors", layer.key), make)

    def _keep(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        def measured() -> tuple[Tensor, int]:
            made = make()
            return made, made.numel() * made.element_size()

        return self._kept.get(key, measured)

    def _patiently(
        self, parts: Iterator[Part], canvas: LayerCanvas, order: str, count: Callable[[Part], float]
    ) -> Iterator[Part]:
        """Hand on parts of a layer; as soon as it is seen that all of them would take too long, say so."""
        start, done = time.monotonic(), 0.0
        for part in parts:
            yield part
            done += count(part)
            spent = time.monotonic() - start
            expected = spent / done * canvas.num_neurons
            if spent > min(_FIRST_GUESS, self._patience) and expected > self._patience:
                minutes = math.ceil(expected / 60)
                raise RequestError(
                    f"sorting all {canvas.num_neurons:,} neurons of {canvas.name} by {order} would take {minutes} "
                    f"minute{'s' if minutes > 1 else ''}; sort by share",
                    422,
                )


def unit_vectors(maps: Tensor, num_neurons: int) -> Tensor:
    """Signed maps (n, H, W) as they are compared, made small: float32 (n, d), of length 1, or 0 where there is nothing.

    Args:
        maps: Of some neurons.
        num_neurons: Of the layer: of many, maps are smaller.
    """
    side = max(1, min(_MAX_SIDE, math.isqrt(_MAX_SMALL_VALUES // num_neurons)))
    by = -(-max(maps.shape[-2:]) // side)
    small = F.avg_pool2d(maps[:, None], by, ceil_mode=True, count_include_pad=False)
    return F.normalize(small.flatten(1), dim=1).cpu()


def alike(vectors: Tensor) -> tuple[int, ...]:
    """The group of each unit vector (n, d), 0 for the first one's: as ``Orders.grouped`` finds them, in this order."""
    groups = [-1] * len(vectors)
    cosines = (vectors @ vectors.T).abs()
    number = 0
    for first in range(len(vectors)):
        if groups[first] >= 0:
            continue
        for each in range(first, len(vectors)):
            if groups[each] < 0 and (each == first or cosines[first, each] >= ALIKE):
                groups[each] = number
        number += 1
    return tuple(groups)


def _rows(ranking: Ranking, rows: Tensor) -> Ranking:
    """Some rows of a ranking, in another order."""
    values, signed, shares = ranking.values[rows], ranking.signed[rows], ranking.shares[rows]
    return Ranking(ranking.neurons[rows], values, signed, shares, ranking.total, ranking.num_pixels)


def _pixels(mask: Tensor) -> list[Window]:
    return [Window((row, row + 1), (column, column + 1)) for row, column in mask.nonzero().tolist()]
