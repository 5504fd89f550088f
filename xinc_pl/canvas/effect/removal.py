"""What a recorded network returns without some of its neurons: not to first order, but as it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from xinc_pl.canvas.layers.kind import Operands
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.image import as_image
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.recording.replay import Replay, replayed
from xinc_pl.canvas.recording.undisturbed import undisturbed

_MOST_VALUES = 1 << 22
"""Of the largest tensor of the network, over all copies of it that run at the same time: 16 MiB of float32."""


class Removal:
    """A recorded network, replayed without some of its neurons' terms Z_i.

    Args:
        recording: The recording.
        layers: Those that neurons may be taken from, by name.
    """

    def __init__(self, recording: Recording, layers: Mapping[str, Layer]) -> None:
        self._recording = recording
        self._layers = dict(layers)

    @property
    def image(self) -> Tensor:
        """With all neurons: (C, H, W)."""
        return self._recording.image

    def each(self, layer: str, neurons: Sequence[int] | Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Without one neuron at a time.

        Yields:
            Neurons, int64 (n,), and the images (n, C, H, W) without the first of them, without the second, ...

        Raises:
            ValueError: There is no such layer or neuron.
        """
        found = self._layer(layer)
        points = [use.output for use in found.uses]
        replay = Replay(self._recording, points)
        largest = max(replay.largest, *(point.numel() for point in points))
        for part in _indices(found, neurons).split(max(1, _MOST_VALUES // largest)):
            with undisturbed():
                without = [use.output - found.kind.terms(use.operands, part) for use in found.uses]
                images = _batched(replay, without)
            yield part, torch.stack([as_image(image, self._recording.size) for image in images])

    def together(self, neurons: Mapping[str, Sequence[int] | Tensor]) -> Tensor:
        """Without neurons of one or several layers at once: (C, H, W).

        A layer that comes after another loses the terms that its neurons have without those of the other.

        Raises:
            ValueError: There is no such layer or neuron.
        """
        taken: dict[int, tuple[Layer, Operands, Tensor]] = {}
        for name, some in neurons.items():
            layer = self._layer(name)
            chosen = torch.zeros(layer.num_neurons, device=layer.weight.device)
            chosen[_indices(layer, some)] = 1
            taken.update({use.position: (layer, use.operands, chosen) for use in layer.uses})
        if not taken:
            return self.image
        reached: set[int] = set()
        calls: list[Call] = []
        positions: dict[int, int] = {}
        for position, call in enumerate(self._recording.calls):
            if position in taken or any(id(tensor) in reached for tensor in call.tensors()):
                reached.update(map(id, call.outputs))
                positions[id(call)] = position
                calls.append(call)
        values: dict[int, Tensor] = {}

        def without(outputs: tuple[Tensor, ...], call: Call) -> tuple[Tensor, ...]:
            if positions[id(call)] not in taken:
                return outputs
            layer, operands, chosen = taken[positions[id(call)]]
            own = replace(
                operands,
                input=values.get(id(operands.input), operands.input),
                weight=values.get(id(operands.weight), operands.weight),
            )
            return (outputs[0] - layer.kind.weighted(own, chosen), *outputs[1:])

        with undisturbed():
            return as_image(replayed(self._recording.output, calls, values, without), self._recording.size)

    def weight_norms(self, layer: str) -> Tensor:
        """Euclidean norm of each neuron's weights: (N,)."""
        found = self._layer(layer)
        neurons = torch.arange(found.num_neurons, device=found.weight.device)
        return torch.cat(
            [
                torch.linalg.vector_norm(found.kind.neuron_weights(found.operands, part), dim=1)
                for part in neurons.split(1 << 14)
            ]
        )

    def _layer(self, name: str) -> Layer:
        if name not in self._layers:
            raise ValueError(f"there is no layer {name!r}; there are {', '.join(self._layers)}")
        return self._layers[name]


def _batched(replay: Replay, starts: Sequence[Tensor]) -> Tensor:
    """The outputs from some starts, as a batch; one by one where a function cannot be batched."""
    try:
        outputs: Tensor = torch.func.vmap(replay)(*starts)
        return outputs
    except (RuntimeError, NotImplementedError, ValueError):
        return torch.stack([replay(*each) for each in zip(*starts, strict=True)])


def _indices(layer: Layer, neurons: Sequence[int] | Tensor) -> Tensor:
    indices = torch.as_tensor(neurons, dtype=torch.int64, device=layer.weight.device).reshape(-1)
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < layer.num_neurons:
        raise ValueError(f"{layer.name} has neurons 0 to {layer.num_neurons - 1}; got {indices.tolist()}")
    return indices
