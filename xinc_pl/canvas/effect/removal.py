"""What a recorded network returns without some of its neurons: not to first order, but as it is."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.effect.effect import EffectRule
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.layer import LAYER_FUNCTIONS, Layer
from xinc_pl.canvas.layers.steps import bind
from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.replay import Rest, as_image
from xinc_pl.canvas.recording.undisturbed import undisturbed
from xinc_pl.canvas.rules.convolution import kernel_shape, kernel_weights

_MOST_VALUES = 1 << 22
"""Of the largest tensor of the network, over all copies of it that run at the same time: 16 MiB of float32."""


class Removal:
    """A recorded network, replayed without some of its neurons' terms Z_i.

    Args:
        calls: The recording, on parameters that nobody changes.
        rules: Of the layers that neurons may be taken from.
        result: The network's output.
        size: Height and width of the image.
    """

    def __init__(
        self, calls: Sequence[Call], rules: Mapping[str, EffectRule], result: Tensor, size: tuple[int, int]
    ) -> None:
        self._calls = calls
        self._rules = rules
        self._result = result
        self._size = size

    @property
    def image(self) -> Tensor:
        """With all neurons: (C, H, W)."""
        return as_image(self._result, self._size)

    def each(self, layer: str, neurons: Sequence[int] | Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Without one neuron at a time.

        Yields:
            Neurons, int64 (n,), and the images (n, C, H, W) without the first of them, without the second, ...

        Raises:
            ValueError: There is no such layer or neuron.
        """
        rule = self._rule(layer)
        tensors = (tensor for call in rule.rest.calls for tensor in call.outputs)
        largest = max((tensor.numel() for tensor in tensors), default=rule.preactivation.numel())
        replay = torch.func.vmap(rule.rest)
        for part in _indices(rule, neurons).split(max(1, _MOST_VALUES // largest)):
            with undisturbed():
                outputs = replay(rule.preactivation - rule.directions(part))
            yield part, torch.stack([as_image(output, self._size) for output in outputs])

    def together(self, neurons: Mapping[str, Sequence[int] | Tensor]) -> Tensor:
        """Without neurons of one or several layers at once: (C, H, W).

        Raises:
            ValueError: There is no such layer or neuron.
            DissectionError: Something else uses a layer's weights, too, and would miss them.
        """
        rules = [self._rule(name) for name in neurons]
        if not rules:
            return self.image
        replay = Rest(self._calls, [self._recorded_weight(rule.layer) for rule in rules], self._result)
        with undisturbed():
            weights = [
                _without(rule.layer, _indices(rule, some)) for rule, some in zip(rules, neurons.values(), strict=True)
            ]
            return as_image(replay(*weights), self._size)

    def weight_norms(self, layer: str) -> Tensor:
        """Euclidean norm of each neuron's weights: (N,)."""
        rule = self._rule(layer)
        if rule.layer.function is F.linear:
            by_neuron = rule.layer.weight.T
        else:
            by_neuron = kernel_weights(rule.layer, rule.all_neurons()).flatten(1)
        norms: Tensor = torch.linalg.vector_norm(by_neuron, dim=1)
        return norms

    def _recorded_weight(self, layer: Layer) -> Tensor:
        """The tensor that the layer's call received; the layer itself has a copy."""
        call = next(call for call in self._calls if call.outputs and call.outputs[0] is layer.output)
        weight: Tensor = bind(call, LAYER_FUNCTIONS[layer.function])["weight"]
        if sum(each is weight for call in self._calls for each in call.tensors()) > 1:
            raise DissectionError(
                f"the weights of {layer.name} are used more than once, so that its neurons cannot be taken away "
                "together"
            )
        return weight

    def _rule(self, layer: str) -> EffectRule:
        if layer not in self._rules:
            raise ValueError(f"there is no layer {layer!r}; there are {', '.join(self._rules)}")
        return self._rules[layer]


def _indices(rule: EffectRule, neurons: Sequence[int] | Tensor) -> Tensor:
    indices = torch.as_tensor(neurons, dtype=torch.int64, device=rule.device).reshape(-1)
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < rule.num_neurons:
        raise ValueError(f"{rule.layer.name} has neurons 0 to {rule.num_neurons - 1}; got {indices.tolist()}")
    return indices


def _without(layer: Layer, neurons: Tensor) -> Tensor:
    """The layer's weight with those of some neurons set to zero."""
    weight = layer.weight.clone()
    if layer.function is F.linear:
        weight[:, neurons] = 0
        return weight
    num_outputs = kernel_shape(layer)[1]
    channel, output = neurons // num_outputs, neurons % num_outputs
    weight[(channel, output) if layer.function is F.conv_transpose2d else (output, channel)] = 0
    return weight
