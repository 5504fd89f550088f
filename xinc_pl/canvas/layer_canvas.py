"""The canvas of one layer: its neurons' contribution maps, made when they are asked for."""

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import islice
from typing import Literal, get_args

import torch
from torch import Tensor

from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.maps.sample import sampled
from xinc_pl.canvas.maps.threads import in_threads
from xinc_pl.canvas.maps.window import Ranking, Window, mask_of, window_of
from xinc_pl.canvas.mosaic import mosaic, picture_tag, table
from xinc_pl.canvas.recording.undisturbed import undisturbed
from xinc_pl.canvas.rules.collect import MakeMaps, collected, signed_maps
from xinc_pl.canvas.rules.rule import ContributionRule
from xinc_pl.canvas.statistics.results import LayerStatistics, LayerTotals
from xinc_pl.canvas.statistics.streaming import Partitions, layer_totals, stream_layers

_SHOWN = 8
"""Neurons whose maps a notebook shows."""

_PARTS_AHEAD = 8
"""So many parts of maps are made before the first of them is handed out, where several threads make them."""

Neurons = Sequence[int] | Tensor
Order = Literal["magnitude", "positive", "negative"]


class LayerCanvas:
    """The contribution maps of one layer's neurons.

    Attributes:
        name: The layer's name.
        neuron_shape: A neuron's index runs over these axes, the last one fastest: (inputs,) for a linear layer,
            (input channels, output channels) for a convolution.
        size: Height H and width W of a map.
        sample: int64, the neurons that statistics are about: all, or a fixed sample of them (``max_neurons``).
        completeness_error: The largest relative error that the self-check has found: of all neurons' terms against what
            the layer returned, of the maps of a sample against their formula, and of the recording, replayed.
    """

    def __init__(self, rule: ContributionRule, completeness_error: float, sample: Tensor | None = None) -> None:
        self._rule = rule
        self.sample = rule.all_neurons().cpu() if sample is None else sample
        self.name = rule.layer.name
        self.neuron_shape = rule.neuron_shape
        self.size = rule.size
        self.completeness_error = completeness_error

    def __repr__(self) -> str:
        return f"LayerCanvas({self.name!r}, {self.num_neurons} neurons, {self.size[0]}x{self.size[1]})"

    def _repr_html_(self) -> str:
        """What a notebook shows: facts, and maps of a few neurons, always the same ones."""
        return table([(self.words(), self.small_maps())])

    def words(self) -> str:
        """The layer in a few words."""
        inputs = "inputs" if len(self.neuron_shape) == 1 else "kernels"
        return (
            f"{self.name}: {self.num_neurons:,} neurons ({' x '.join(map(str, self.neuron_shape))} {inputs}), maps of "
            f"{self.size[0]} x {self.size[1]}, completeness error {self.completeness_error:.1e}"
        )

    def small_maps(self) -> str:
        """Maps of a few neurons, always the same ones, as a picture within HTML."""
        neurons = sampled(self.num_neurons, _SHOWN, seed=0)
        return picture_tag(mosaic(self.maps(neurons)), f"{self.name}, neurons {', '.join(map(str, neurons.tolist()))}")

    @property
    def num_neurons(self) -> int:
        """How many neurons the layer has."""
        return self._rule.num_neurons

    def maps(
        self, neurons: Neurons | None = None, per_output: bool = False, window: tuple[slice, slice] | None = None
    ) -> Tensor:
        """Signed contribution maps, on the network's device.

        Args:
            neurons: Indices of the neurons, in any order; all of them by default.
            per_output: Keep what each neuron adds to each output apart.
            window: Only these rows and columns, such as ``np.s_[10:20, 30:40]``. What lies far from them is not
                computed, where the layer allows it.

        Returns:
            Float32 (n, H, W), or (n, C, H, W) per output.

        Raises:
            ValueError: There is no such neuron or window.
        """
        indices, rule = self._indices(neurons), self._within(window)
        with undisturbed():
            if per_output:
                return rule.per_output(indices).float()
            return collected(rule, indices, signed_maps, self._num_threads)

    def magnitudes(self, neurons: Neurons | None = None, window: tuple[slice, slice] | None = None) -> Tensor:
        """Absolute values of ``maps``, which all statistics use: float32 (n, H, W)."""
        indices, rule = self._indices(neurons), self._within(window)
        with undisturbed():
            return collected(rule, indices, MapGroup.magnitudes, self._num_threads)

    def top(self, where: Tensor | tuple[int, int], k: int = 16, by: Order | Tensor = "magnitude") -> Ranking:
        """The neurons that contribute most at a pixel or at all pixels of a mask.

        All neurons of the layer are looked at, but only near those pixels, where the layer allows it.

        Args:
            where: A pixel, (row, column), or a mask, bool (H, W).
            k: How many neurons; all, if the layer has fewer.
            by: What is largest: ``magnitude``, the mean of the map's absolute value over the pixels; ``positive``, the
                mean of the signed map; ``negative``, the mean of the signed map with the opposite sign; or whatever
                has been found elsewhere, a number for each neuron of the layer, (N,).

        Returns:
            The neurons, largest first; of equal ones that with the lower index.

        Raises:
            ValueError: There is no such pixel; the mask has another shape, or no pixel; k is less than 1; there is no
                such order.
        """
        if k < 1 or not (isinstance(by, Tensor) or by in get_args(Order)):
            raise ValueError(f"k is {k} and by is {by!r}; k must be at least 1, by one of {', '.join(get_args(Order))}")
        if isinstance(by, Tensor) and by.shape != (self.num_neurons,):
            raise ValueError(
                f"by has shape {tuple(by.shape)}; give a number for each neuron of {self.name}: ({self.num_neurons},)"
            )
        mask = mask_of(where, self.size).to(self._rule.device)
        window = Window.around(mask)
        weights = window.crop(mask).double() / mask.sum()
        with undisturbed():
            rule, neurons = self._rule.within(window), self._rule.all_neurons()
            magnitudes = self._means(rule, neurons, weights, MapGroup.magnitudes)
            if isinstance(by, Tensor):
                order = by.to(magnitudes.device)
            elif by == "magnitude":
                order = magnitudes
            else:
                order = self._means(rule, neurons, weights, signed_maps) * (-1 if by == "negative" else 1)
            chosen = order.sort(descending=True, stable=True).indices[:k]
            signed = self._means(rule, chosen, weights, signed_maps)
        total = float(magnitudes.sum())
        values = magnitudes[chosen].cpu()
        shares = values / total if total else torch.zeros_like(values)
        return Ranking(chosen.cpu(), values, signed.cpu(), shares, total, int(mask.sum()))

    def _means(self, rule: ContributionRule, neurons: Tensor, weights: Tensor, make: MakeMaps) -> Tensor:
        """Weighted sums over the pixels (h, w) of some neurons' maps, in their order: float64 (n,)."""
        if tiles := rule.tiles():
            parts = (self._means(rule.within(tile), neurons, tile.crop(weights), make) for tile in tiles)
            return reduce(torch.Tensor.add_, parts)
        places = torch.empty(self.num_neurons, dtype=torch.int64, device=neurons.device)
        places[neurons] = torch.arange(len(neurons), device=neurons.device)
        means = torch.empty(len(neurons), dtype=torch.float64, device=neurons.device)

        def write(item: tuple[MapGroup, Tensor]) -> None:
            group, part = item
            means[places[part]] = group.spread(make(group, part)).double().flatten(1) @ weights.flatten()

        own = [(group, part) for group in rule.groups(neurons) for part in group.parts()]
        in_threads(write, own, self._num_threads)
        return means

    def weights(self, neurons: Neurons | None = None) -> Tensor:
        """Weights of neurons: float32 (n, *kernel) in convolutions, else (n, m), one for each output as a rule.

        Raises:
            ValueError: There is no such neuron.
        """
        layer, indices = self._rule.layer, self._indices(neurons)
        with undisturbed():
            weights = layer.kind.neuron_weights(layer.operands, indices)
        kernel = layer.weight.shape[2:]
        is_kernel = len(kernel) > 0 and kernel.numel() == weights.shape[1]
        return (weights.unflatten(1, tuple(kernel)) if is_kernel else weights).detach().float()

    def label(self, neuron: int) -> str:
        """A neuron's name in pictures: ``12``, or ``3 → 41`` for the kernel from channel 3 to channel 41.

        Raises:
            ValueError: There is no such neuron.
        """
        (index,) = self._indices([neuron]).tolist()
        return self._rule.layer.kind.label(self._rule.layer.operands, index)

    def _within(self, window: tuple[slice, slice] | None) -> ContributionRule:
        return self._rule if window is None else self._rule.within(window_of(window, self.size))

    def stream(self, neurons: Neurons | None = None, signed: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through the magnitudes of neurons, or their signed maps, in bounded memory.

        Yields:
            Neurons, int64 (n,), and their maps, float32 (n, H, W). Every neuron comes once, in no fixed order.
        """
        of_group = signed_maps if signed else MapGroup.magnitudes
        parts = self._parts(self._indices(neurons))

        def make(item: tuple[MapGroup, Tensor]) -> tuple[Tensor, Tensor]:
            group, part = item
            maps = torch.empty(len(part), *self.size, device=part.device)
            self._rule.backend.spread(of_group(group, part), group, maps, torch.arange(len(part), device=part.device))
            return part, maps

        num_threads = 1 if self._rule.tiles() else self._num_threads
        while True:
            with undisturbed():
                wave = list(islice(parts, _PARTS_AHEAD if num_threads > 1 else 1))
                made = in_threads(make, wave, num_threads) if num_threads > 1 else list(map(make, wave))
            if not made:
                return
            while made:  # let go of what was handed out
                yield made.pop(0)

    def totals(self, partitions: Partitions | None = None, neurons: Neurons | None = None) -> LayerTotals:
        """Sums over all neurons of the layer (of its ``sample``), and of each of them, in one streamed pass.

        The same bits as in ``statistics``, in about half the time.

        Args:
            partitions: As for ``statistics``.
            neurons: As for ``statistics``.

        Raises:
            ValueError: A partition does not fit the maps, has negative labels or gaps; there is no such neuron.
        """
        chosen = self._chosen(neurons)
        with undisturbed():
            return layer_totals(self._rule, chosen, partitions or {})

    def statistics(
        self,
        partitions: Partitions | None = None,
        mass: Sequence[float] = (0.1, 0.5),
        neurons: Neurons | None = None,
    ) -> LayerStatistics:
        """Statistics over all neurons of the layer (of its ``sample``), in two streamed passes.

        Args:
            partitions: By name, a label per pixel, integers 0 to K - 1 (H, W), or masks bool (K, H, W), which may
                overlap.
            mass: For which shares x of the whole a threshold is wanted.
            neurons: Indices of the neurons that it is about instead, in any order; the result has them ascending.

        Raises:
            ValueError: A partition does not fit the maps, has negative labels or gaps; a mass is not within (0, 1);
                there is no such neuron.
        """
        chosen = self._chosen(neurons)
        with undisturbed():
            return stream_layers([self._rule], chosen, [partitions or {}], mass)[0]

    def sampled(self, max_neurons: int | None, seed: int = 0) -> Tensor:
        """A seeded sample of at most so many of the neurons that statistics are about: int64 (n,), ascending.

        A larger one for the same seed holds it.
        """
        if max_neurons is None:
            return self.sample
        return self.sample[sampled(len(self.sample), max_neurons, seed)]

    def _parts(self, indices: Tensor) -> Iterator[tuple[MapGroup, Tensor]]:
        for group in self._rule.groups(indices):
            for part in group.parts():
                yield group, part

    def _chosen(self, neurons: Neurons | None) -> Tensor:
        """Whom statistics are about: int64 (n,) on the CPU, ascending."""
        return self.sample if neurons is None else self._indices(neurons).sort().values.cpu()

    @property
    def _num_threads(self) -> int:
        return torch.get_num_threads() if self._rule.takes_threads and self._rule.device.type == "cpu" else 1

    def _indices(self, neurons: Neurons | None) -> Tensor:
        device = self._rule.device
        if neurons is None:
            return torch.arange(self.num_neurons, device=device)
        indices = torch.as_tensor(neurons, dtype=torch.int64, device=device).reshape(-1)
        if not len(indices):
            raise ValueError(f"{self.name}: no neurons were asked for; give at least one index")
        if int(indices.min()) < 0 or int(indices.max()) >= self.num_neurons:
            raise ValueError(f"{self.name} has neurons 0 to {self.num_neurons - 1}; got {indices.tolist()}")
        if len(indices.unique()) != len(indices):
            raise ValueError(f"{self.name}: a neuron was asked for twice in {indices.tolist()}")
        return indices
