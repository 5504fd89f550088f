"""How much each neuron of a layer contributes to each pixel: one rule per kind of layer (P 3.1 and 3.2)."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from xinc_pl.canvas.backends import Backend
from xinc_pl.canvas.backends.torch_backend import TORCH
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.placement import Placement
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.recording.pixels import Pixels

Convention = Literal["paper", "released", "effect"]
CONVENTIONS: tuple[Convention, ...] = ("paper", "released", "effect")


class Plain(NamedTuple):
    """Maps of some neurons by their formula as it stands.

    Attributes:
        maps: Signed, (n, H, W).
        magnitudes: (n, H, W).
        per_output: (n, outputs, H, W); None where the layer's outputs are no pixels' channels.
    """

    maps: Tensor
    magnitudes: Tensor
    per_output: Tensor | None = None


class ContributionRule(ABC):
    """Contribution maps of one layer's neurons. ``check_rule`` checks all that is said here.

    Args:
        layer: The layer as it was recorded.
        later: The layers after it, up to the output.
        placement: Where in the image the last layer's pixels lie.
        convention: Which of the formulas to follow.

    Attributes:
        neuron_shape: Numbers of neurons along each axis of a neuron's index.
        backend: Who computes statistics, and makes maps where there is more than one way.
    """

    neuron_shape: tuple[int, ...]
    backend: Backend = TORCH
    takes_threads = False
    """Whether several threads may make maps at the same time."""
    known_error: float | None = None
    """What the self-check of its maps has found."""
    is_slow = False
    """Whether a map costs so much that a large layer is better sampled on a CPU."""

    def __init__(self, layer: Layer, later: Sequence[Layer], placement: Placement, convention: Convention) -> None:
        self.layer = layer
        self.later = tuple(later)
        self.placement = placement
        self.size = placement.size
        self.convention = convention
        self.neuron_shape = layer.neuron_shape

    @property
    def num_neurons(self) -> int:
        """How many neurons the layer has."""
        return math.prod(self.neuron_shape)

    @property
    def device(self) -> torch.device:
        """Where maps are made."""
        return self.layer.weight.device

    def all_neurons(self) -> Tensor:
        """Indices of all neurons."""
        return torch.arange(self.num_neurons, device=self.device)

    @abstractmethod
    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """Divide ``neurons`` (n,) into groups. A group may be empty; the same layer always gives the same ones."""

    @abstractmethod
    def per_output(self, neurons: Tensor) -> Tensor:
        """What each neuron adds to each output of the layer: (n, outputs, H, W).

        Raises:
            DissectionError: The layer's outputs are no pixels' channels.
        """

    def within(self, window: Window) -> "ContributionRule":
        """The same layer's maps in a window of the image alone. By default they are cut out of whole ones."""
        return Cropped(self, window)

    def on(self, some: Pixels) -> "ContributionRule | None":
        """The same layer's maps of other pixels, each of which is a network of its own; None if it does not know how.

        Images too large to be kept are dissected by this, some pixels at a time. Its groups repeat no rows or columns.
        """
        del some
        return None

    def tiles(self) -> Sequence[Window]:
        """Windows to go through one after the other where the whole image would take too much memory; else none."""
        return ()

    def checked(self) -> "ContributionRule":
        """The rule that the self-check looks at: of some of the image's pixels, where that is quicker; or itself."""
        return self

    def zero_inputs(self) -> Tensor:
        """Bool (num_neurons,): whether the neuron's own input is zero everywhere."""
        return self.layer.kind.zero_inputs(self.layer.operands)

    @property
    def num_checked(self) -> int:
        """Of how many neurons the maps are checked."""
        return 2 if self.is_slow else 4

    def plain_total(self) -> Tensor | None:
        """The sum of all neurons' maps by output (outputs, H, W), if known without them: for the self-check, too."""
        return None

    def plain(self, neurons: Tensor) -> Plain:
        """Maps by the formula as it stands, in double precision: for the self-check.

        It has to share nothing with ``groups``. By default a neuron's map is the sum over the layer's outputs of its
        term, pixel by pixel (Eq. 1).
        """
        kind, operands = self.layer.kind, self.layer.kind.in_double_precision(self.layer.operands)
        per_output = torch.stack([kind.pixels(operands, term).T for term in kind.terms(operands, neurons)])
        placed = self.placement.placed(per_output)
        return Plain(placed.sum(1), placed.sum(1).abs(), placed)


class Cropped(ContributionRule):
    """Maps in a window, cut out of whole maps."""

    def __init__(self, whole: ContributionRule, window: Window) -> None:
        super().__init__(whole.layer, whole.later, whole.placement, whole.convention)
        self.whole, self.window, self.size = whole, window, window.size
        self.neuron_shape, self.backend, self.takes_threads = whole.neuron_shape, whole.backend, whole.takes_threads

    @property
    def device(self) -> torch.device:
        """Where maps are made."""
        return self.whole.device

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """Those of the whole image, without the rest."""
        return (cropped(group, self.window) for group in self.whole.groups(neurons))

    def per_output(self, neurons: Tensor) -> Tensor:
        """Those of the whole image, without the rest."""
        return self.window.crop(self.whole.per_output(neurons))


def cropped(group: MapGroup, window: Window) -> MapGroup:
    """A group's maps in a window."""

    def crop(values: Tensor) -> Tensor:
        for axis, classes, (start, stop) in ((-2, group.rows, window.rows), (-1, group.columns, window.columns)):
            if classes is None:
                values = values.narrow(axis, start, stop - start)
            else:
                values = values.index_select(axis, classes[start:stop])
        return values.contiguous()

    unsigned = None if group.unsigned is None else lambda part: crop(group.magnitudes(part))
    return MapGroup(group.neurons, lambda part: crop(group.signed(part)), group.values_per_neuron, unsigned=unsigned)
