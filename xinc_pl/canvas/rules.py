"""How much each neuron of a layer contributes to each pixel: one rule per kind of layer (P 3.1 and 3.2)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from xinc_pl.canvas.chain import Layer
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.recording import Function

Convention = Literal["paper", "released"]
CONVENTIONS: tuple[Convention, ...] = ("paper", "released")

CHUNK_VALUES = 1 << 21
"""How many float32 values of maps are made at a time: 8 MiB, which stays in the caches of most machines."""


@dataclass(frozen=True, eq=False)
class MapChunk:
    """Maps of some neurons, with only one of each class of equal rows and columns.

    Attributes:
        neurons: int64 (n,).
        values: float32 (n, R, C), signed.
        rows: int64 (H,): the class of each row of the image; None if every row is its own.
        columns: int64 (W,), likewise.
        row_counts: float32 (R,): how many rows each class stands for.
        column_counts: float32 (C,), likewise.
    """

    neurons: Tensor
    values: Tensor
    rows: Tensor | None = None
    columns: Tensor | None = None
    row_counts: Tensor | None = None
    column_counts: Tensor | None = None

    def spread(self, values: Tensor) -> Tensor:
        """Values of classes (..., R, C) over the whole image: (..., H, W)."""
        if self.rows is not None:
            values = values.index_select(-2, self.rows)
        if self.columns is not None:
            values = values.index_select(-1, self.columns)
        return values

    def sum_over_pixels(self, values: Tensor) -> Tensor:
        """Sums over the image of values of classes (n, R, C): float64 (n,)."""
        by_row = values.sum(-1) if self.column_counts is None else values @ self.column_counts
        by_row = by_row.double()
        return by_row.sum(-1) if self.row_counts is None else by_row @ self.row_counts.double()


class ContributionRule(ABC):
    """Contribution maps of one layer's neurons.

    Args:
        layer: The layer as it was recorded.
        later: The layers after it, up to the output.
        size: Height and width of the image.
        convention: Which of the formulas to follow.

    Attributes:
        neuron_shape: Numbers of neurons along each axis of a neuron's index.
    """

    neuron_shape: tuple[int, ...]

    def __init__(self, layer: Layer, later: Sequence[Layer], size: tuple[int, int], convention: Convention) -> None:
        self.layer = layer
        self.later = tuple(later)
        self.size = size
        self.convention = convention

    @abstractmethod
    def chunks(self, neurons: Tensor) -> Iterator[MapChunk]:
        """Maps of ``neurons`` (n,), a bounded number at a time, in any order."""

    @abstractmethod
    def per_output(self, neurons: Tensor) -> Tensor:
        """What each neuron adds to each output of the layer: (n, outputs, H, W).

        Raises:
            DissectionError: The layer's outputs are no pixels' channels.
        """

    @abstractmethod
    def output_sum(self) -> Tensor:
        """Sum over all neurons of what they add to the layer's output, in that output's shape."""

    @abstractmethod
    def zero_inputs(self) -> Tensor:
        """Bool (num_neurons,): whether the neuron's own input is zero everywhere."""


RuleClass = type[ContributionRule]
_RULES: dict[Function, RuleClass] = {}


def contribution_rule(function: Function) -> Callable[[RuleClass], RuleClass]:
    """Class decorator: dissect layers that are calls of ``function`` by this rule."""

    def register(rule: RuleClass) -> RuleClass:
        _RULES[function] = rule
        return rule

    return register


def rule_for(layer: Layer, later: Sequence[Layer], size: tuple[int, int], convention: Convention) -> ContributionRule:
    """The rule that covers ``layer``.

    Raises:
        DissectionError: There is none, or the layer has options that its rule does not cover.
    """
    if layer.function not in _RULES:
        known = ", ".join(sorted(function.__name__ for function in _RULES))
        raise DissectionError(
            f"the layer {layer.name} is a {layer.function.__name__}, for which there is no contribution rule (there "
            f"are rules for {known}); add one with @contribution_rule"
        )
    return _RULES[layer.function](layer, later, size, convention)


def split(neurons: Tensor, values_per_neuron: int) -> Iterator[Tensor]:
    """Consecutive parts of ``neurons`` whose maps have at most ``CHUNK_VALUES`` values; none of no neurons."""
    if len(neurons):
        yield from neurons.split(max(CHUNK_VALUES // max(values_per_neuron, 1), 1))
