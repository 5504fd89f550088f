"""What a recorded network returns without some of its neurons: not to first order, but as it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from xinc_pl.canvas.effect.ablation import indices_of, over_pixels, term_means
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

    def each(
        self, layer: str, neurons: Sequence[int] | Tensor, means: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Without one neuron at a time.

        Args:
            layer: The layer's name.
            neurons: Indices of the neurons.
            means: For mean ablation: what the layer's bias adds in the place of each of them, as ``means`` gives it.

        Yields:
            Neurons, int64 (n,), and the images (n, C, H, W) without the first of them, without the second, ...

        Raises:
            ValueError: There is no such layer or neuron.
        """
        found = self._layer(layer)
        points = [use.output for use in found.uses]
        replay = Replay(self._recording, points)
        largest = max(replay.largest, *(point.numel() for point in points))
        indices = indices_of(found, neurons)
        for places in torch.arange(len(indices), device=indices.device).split(max(1, _MOST_VALUES // largest)):
            part = indices[places]
            with undisturbed():
                without = [use.output - found.kind.terms(use.operands, part) for use in found.uses]
                if means is not None:
                    own = means.to(indices.device)[places]
                    without = [
                        each + over_pixels(found, use, own) for use, each in zip(found.uses, without, strict=True)
                    ]
                images = _batched(replay, without)
            yield part, torch.stack([as_image(image, self._recording.size) for image in images])

    def together(
        self, neurons: Mapping[str, Sequence[int] | Tensor], means: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Without neurons of one or several layers at once: (C, H, W).

        A layer that comes after another loses the terms that its neurons have without those of the other.

        Args:
            neurons: Indices of the neurons, by layer.
            means: For mean ablation: what biases add in the place of each of them, by layer, as ``means`` gives it.

        Raises:
            ValueError: There is no such layer or neuron; there is not one mean for each.
        """
        taken: dict[int, tuple[Layer, Operands, Tensor, Tensor | float]] = {}
        for name, some in neurons.items():
            layer = self._layer(name)
            chosen = torch.zeros(layer.num_neurons, device=layer.weight.device)
            chosen[indices_of(layer, some)] = 1
            for use in layer.uses:
                kept = 0.0 if means is None else over_pixels(layer, use, _sum_of(layer, some, means))[0]
                taken[use.position] = layer, use.operands, chosen, kept
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
            layer, operands, chosen, kept = taken[positions[id(call)]]
            own = replace(
                operands,
                input=values.get(id(operands.input), operands.input),
                weight=values.get(id(operands.weight), operands.weight),
            )
            return (outputs[0] - layer.kind.weighted(own, chosen) + kept, *outputs[1:])

        with undisturbed():
            return as_image(replayed(self._recording.output, calls, values, without), self._recording.size)

    def means(self, layer: str, neurons: Sequence[int] | Tensor) -> Tensor:
        """What each neuron adds to the layer's outputs on average over its pixels: (n, outputs).

        Where a network is to do without a neuron in several frames, the mean of these over the frames.

        Raises:
            ValueError: There is no such layer or neuron.
        """
        found = self._layer(layer)
        with undisturbed():
            return term_means(found, indices_of(found, neurons))

    def input_rms(self, layer: str) -> Tensor:
        """Root mean square over pixels of each neuron's own input: (N,). 1 for tables and grids, which have none."""
        found = self._layer(layer)
        neurons = torch.arange(found.num_neurons, device=found.weight.device)
        with undisturbed():
            squares = [found.kind.input_rms(use.operands, neurons).square() for use in found.uses]
            return torch.stack(squares).mean(0).sqrt()

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


def _sum_of(layer: Layer, neurons: Sequence[int] | Tensor, means: Mapping[str, Tensor]) -> Tensor:
    """The sum of some neurons' means: (1, outputs)."""
    indices = indices_of(layer, neurons)
    own = means.get(layer.name)
    if own is None or len(own) != len(indices) or len(indices.unique()) != len(indices):
        raise ValueError(
            f"{layer.name}: there are {len(indices)} neurons, and {0 if own is None else len(own)} means; give one "
            "mean for each neuron, and each neuron once"
        )
    return own.to(indices.device).sum(0)[None]
