"""The canvas of one layer: its neurons' contribution maps, made when they are asked for."""

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.maps.threads import in_threads
from xinc_pl.canvas.recording.undisturbed import undisturbed
from xinc_pl.canvas.rules.collect import collected
from xinc_pl.canvas.rules.rule import ContributionRule
from xinc_pl.canvas.statistics.results import LayerStatistics
from xinc_pl.canvas.statistics.streaming import Partitions, stream_layers

_PARTS_AHEAD = 8
"""So many parts of maps are made before the first of them is handed out, where several threads make them."""


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

    @property
    def num_neurons(self) -> int:
        """How many neurons the layer has."""
        return self._rule.num_neurons

    def maps(self, neurons: Sequence[int] | Tensor | None = None, per_output: bool = False) -> Tensor:
        """Signed contribution maps, on the network's device.

        Args:
            neurons: Indices of the neurons, in any order; all of them by default.
            per_output: Keep what each neuron adds to each output apart.

        Returns:
            Float32 (n, H, W), or (n, C, H, W) per output.

        Raises:
            ValueError: There is no such neuron.
        """
        indices = self._indices(neurons)
        with undisturbed():
            if per_output:
                return self._rule.per_output(indices).float()
            return collected(self._rule, indices, lambda group, part: group.signed(part), self._num_threads)

    def magnitudes(self, neurons: Sequence[int] | Tensor | None = None) -> Tensor:
        """Absolute values of ``maps``, which all statistics use: float32 (n, H, W)."""
        indices = self._indices(neurons)
        with undisturbed():
            return collected(self._rule, indices, MapGroup.magnitudes, self._num_threads)

    def stream(self, neurons: Sequence[int] | Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through the magnitudes of neurons in bounded memory.

        Yields:
            Neurons, int64 (n,), and their magnitudes, float32 (n, H, W). Every neuron comes once, in no fixed order.
        """
        parts = self._parts(self._indices(neurons))

        def make(item: tuple[MapGroup, Tensor]) -> tuple[Tensor, Tensor]:
            group, part = item
            maps = torch.empty(len(part), *self.size, device=part.device)
            self._rule.backend.spread(group.magnitudes(part), group, maps, torch.arange(len(part), device=part.device))
            return part, maps

        num_threads = self._num_threads
        while True:
            with undisturbed():
                wave = list(islice(parts, _PARTS_AHEAD if num_threads > 1 else 1))
                made = in_threads(make, wave, num_threads) if num_threads > 1 else list(map(make, wave))
            if not made:
                return
            while made:  # let go of what was handed out
                yield made.pop(0)

    def statistics(self, partitions: Partitions | None = None, mass: Sequence[float] = (0.1, 0.5)) -> LayerStatistics:
        """Statistics over all neurons of the layer (of its ``sample``), in two streamed passes.

        Args:
            partitions: By name, a label per pixel, integers 0 to K - 1 (H, W), or masks bool (K, H, W), which may
                overlap.
            mass: For which shares x of the whole a threshold is wanted.

        Raises:
            ValueError: A partition does not fit the maps, has negative labels or gaps; a mass is not within (0, 1).
        """
        with undisturbed():
            return stream_layers([self._rule], self.sample, [partitions or {}], mass)[0]

    def _parts(self, indices: Tensor) -> Iterator[tuple[MapGroup, Tensor]]:
        for group in self._rule.groups(indices):
            for part in group.parts():
                yield group, part

    @property
    def _num_threads(self) -> int:
        return torch.get_num_threads() if self._rule.takes_threads and self._rule.device.type == "cpu" else 1

    def _indices(self, neurons: Sequence[int] | Tensor | None) -> Tensor:
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
