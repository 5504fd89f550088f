"""How much each neuron of a layer contributes to each pixel: one rule per kind of layer (P 3.1 and 3.2)."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from xinc_pl.canvas.backends.backend import Backend
from xinc_pl.canvas.backends.torch_backend import TORCH
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.layer import Layer, add_layer_function
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.recording.call import Function

Convention = Literal["paper", "released", "effect"]
CONVENTIONS: tuple[Convention, ...] = ("paper", "released", "effect")

MAX_COMPLETENESS_ERROR = 1e-4
"""What the self-check allows, relative, in float32."""


class ContributionRule(ABC):
    """Contribution maps of one layer's neurons.

    Args:
        layer: The layer as it was recorded.
        later: The layers after it, up to the output.
        size: Height and width of the image.
        convention: Which of the formulas to follow.

    Attributes:
        neuron_shape: Numbers of neurons along each axis of a neuron's index.
        backend: Who computes statistics, and makes maps where there is more than one way.
    """

    neuron_shape: tuple[int, ...]
    backend: Backend = TORCH
    takes_threads = False
    """Whether several threads may make maps at the same time."""
    is_slow = False
    """Whether a map costs so much that a large layer is better sampled on a CPU."""

    def __init__(self, layer: Layer, later: Sequence[Layer], size: tuple[int, int], convention: Convention) -> None:
        self.layer = layer
        self.later = tuple(later)
        self.size = size
        self.convention = convention

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

    @abstractmethod
    def output_sum(self) -> Tensor:
        """Sum over all neurons of what they add to the layer's output, in that output's shape."""

    @abstractmethod
    def zero_inputs(self) -> Tensor:
        """Bool (num_neurons,): whether the neuron's own input is zero everywhere."""

    def completeness_error(self) -> float:
        """Self-check: largest difference between what all contributions add up to and what was recorded.

        Through the layer's activation, over the largest magnitude of what the next layer received.
        """
        received = self.layer.received
        difference = (self.layer.replay(self.output_sum()) - received).abs().max()
        return float(difference / received.abs().max().clamp_min(torch.finfo(received.dtype).tiny))


RuleClass = type[ContributionRule]
_RULES: dict[Function, RuleClass] = {}


def contribution_rule(
    function: Function, parameters: tuple[str, ...] | None = None
) -> Callable[[RuleClass], RuleClass]:
    """Class decorator: dissect layers that are calls of ``function`` by this rule.

    Args:
        function: A torch function.
        parameters: Names of its arguments in their order, ``input``, ``weight`` and, if there is one, ``bias`` among
            them. Needed for functions that were not taken for layers before.
    """

    def register(rule: RuleClass) -> RuleClass:
        if parameters is not None:
            add_layer_function(function, parameters)
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
