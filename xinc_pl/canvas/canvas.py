"""Dissect a network: contribution maps of every neuron of every layer, made when they are asked for."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

import xinc_pl.canvas.convolution
import xinc_pl.canvas.linear  # noqa: F401 - both register their rules
from xinc_pl.canvas.backends import BackendName, select_backend
from xinc_pl.canvas.chain import read_chain
from xinc_pl.canvas.effect import effect_rules
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.folding import folded
from xinc_pl.canvas.recording import Call, record, uncompiled, undisturbed
from xinc_pl.canvas.rules import CONVENTIONS, MAX_COMPLETENESS_ERROR, ContributionRule, Convention, rule_for
from xinc_pl.canvas.statistics import LayerStatistics
from xinc_pl.canvas.streaming import Partitions, check_same_layer, stream_layers


class LayerCanvas:
    """The contribution maps of one layer's neurons.

    Attributes:
        name: The layer's name.
        neuron_shape: A neuron's index runs over these axes, the last one fastest: (inputs,) for a linear layer,
            (input channels, output channels) for a convolution.
        size: Height H and width W of a map.
        sample: int64, the neurons that statistics are about: all, or a fixed sample of them (``max_neurons``).
        completeness_error: Largest difference between what all contributions add up to (through the layer's
            activation) and what the next layer really received, over the largest magnitude of the latter. For the
            convention ``effect``, the residual of linearity on some neurons.
    """

    def __init__(self, rule: ContributionRule, sample: Tensor | None = None) -> None:
        self._rule = rule
        self.sample = rule.all_neurons().cpu() if sample is None else sample
        self.name = rule.layer.name
        self.neuron_shape = rule.neuron_shape
        self.size = rule.size
        self.completeness_error = rule.completeness_error()

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
        with undisturbed(_NO_NETWORK):
            if per_output:
                return self._rule.per_output(indices).float()
            maps = torch.empty(len(indices), *self.size, device=indices.device)
            places = torch.empty(self.num_neurons, dtype=torch.int64, device=indices.device)
            places[indices] = torch.arange(len(indices), device=indices.device)
            for group in self._rule.groups(indices):
                for part in group.parts():
                    maps[places[part]] = group.spread(group.signed(part))
        return maps

    def magnitudes(self, neurons: Sequence[int] | Tensor | None = None) -> Tensor:
        """Absolute values of ``maps``, which all statistics use: float32 (n, H, W)."""
        magnitudes = list(self.stream(neurons))
        order = torch.cat([part for part, _ in magnitudes]).argsort()
        ranks = self._indices(neurons).argsort().argsort()
        return torch.cat([maps for _, maps in magnitudes])[order][ranks]

    def stream(self, neurons: Sequence[int] | Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Go through the magnitudes of neurons in bounded memory.

        Yields:
            Neurons, int64 (n,), and their magnitudes, float32 (n, H, W). Every neuron comes once, in no fixed order.
        """
        for group in self._rule.groups(self._indices(neurons)):
            for part in group.parts():
                with undisturbed(_NO_NETWORK):
                    magnitudes = group.spread(group.magnitudes(part))
                yield part, magnitudes

    def statistics(self, partitions: Partitions | None = None, mass: Sequence[float] = (0.1, 0.5)) -> LayerStatistics:
        """Statistics over all neurons of the layer (of its ``sample``), in two streamed passes.

        Args:
            partitions: By name, a label per pixel, integers 0 to K - 1 (H, W), or masks bool (K, H, W), which may
                overlap.
            mass: For which shares x of the whole a threshold is wanted.

        Raises:
            ValueError: A partition does not fit the maps, has negative labels or gaps; a mass is not within (0, 1).
        """
        with undisturbed(_NO_NETWORK):
            return stream_layers([self._rule], self.sample, [partitions or {}], mass)[0]

    def _indices(self, neurons: Sequence[int] | Tensor | None) -> Tensor:
        device = self._rule.layer.weight.device
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


def stream_statistics(
    canvases: Sequence[LayerCanvas],
    partitions: Sequence[Partitions] | None = None,
    mass: Sequence[float] = (0.1, 0.5),
) -> list[LayerStatistics]:
    """Statistics of one layer on consecutive frames of a video, in lock-step.

    The same as ``statistics`` of each canvas, and ``change`` against the frame before, without ever holding the maps
    of a frame.

    Args:
        canvases: The layer's canvas on each frame.
        partitions: Of each frame.
        mass: For which shares x of the whole a threshold is wanted.

    Raises:
        ValueError: The canvases are of different layers, weights or samples; otherwise as ``statistics``.
    """
    if not canvases:
        raise ValueError("no canvases were given; give that of at least one frame")
    rules = [canvas._rule for canvas in canvases]
    check_same_layer(rules)
    if not all(torch.equal(canvas.sample, canvases[0].sample) for canvas in canvases[1:]):
        raise ValueError(f"the canvases of {canvases[0].name} have different samples of neurons; use one seed for all")
    if partitions is not None and len(partitions) != len(canvases):
        raise ValueError(f"there are {len(canvases)} canvases, but partitions for {len(partitions)} of them")
    with undisturbed(_NO_NETWORK):
        return stream_layers(rules, canvases[0].sample, [{}] * len(rules) if partitions is None else partitions, mass)


class Canvas(Mapping[str, LayerCanvas]):
    """The implicit neural canvas of one frame: a mapping from layer name to its canvas, input side first.

    Attributes:
        output: What the network returned, detached.
        skipped: Layers that cannot be dissected, with the reason.
        convention: The formulas followed.
    """

    def __init__(
        self, layers: Mapping[str, LayerCanvas], output: Tensor, skipped: Mapping[str, str], convention: Convention
    ) -> None:
        self._layers = dict(layers)
        self.output = output
        self.skipped = MappingProxyType(dict(skipped))
        self.convention = convention

    def __getitem__(self, name: str) -> LayerCanvas:
        if name not in self._layers:
            raise KeyError(f"there is no layer {name!r}; there are {', '.join(self._layers)}")
        return self._layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self) -> str:
        return f"Canvas({', '.join(f'{layer.name}: {layer.num_neurons}' for layer in self._layers.values())})"


def dissect(
    network: nn.Module,
    inputs: Tensor,
    *,
    size: tuple[int, int] | None = None,
    convention: Convention = "paper",
    output: str | int | None = None,
    max_neurons: int | None = None,
    seed: int = 0,
    backend: BackendName = "auto",
) -> Canvas:
    """Dissect a network on one frame.

    The network is called once and recorded. It, its mode, and the process's random state come back as they were.

    Args:
        network: A module that is a chain of layers.
        inputs: What it is called with: coordinates of all pixels, row by row (H * W, 2); or a time (1,).
        size: Height and width of the image. May be left out where the output is one, (1, C, H, W).
        convention: ``paper``; ``released`` for the formulas of the authors' code, which differ in linear layers; or
            ``effect`` for how the output moves, to first order, when the neuron's term is taken away. The latter needs
            no chain of layers.
        output: Which entry of the network's output is the image, where that is a dict or a tuple.
        max_neurons: Statistics of larger layers are about a sample of so many neurons. By default all neurons are
            taken, but for ``effect`` on a CPU, where the maps of a convolution that two or more others follow cost a
            pass through these for each neuron: there it is 512.
        seed: Decides which neurons are sampled.
        backend: What computes the maps of convolutions and all statistics: ``numba``, quicker, on the CPU; or
            ``torch``, on any device. By default numba where it is installed, for float32 on the CPU.

    Returns:
        A mapping from layer name to ``LayerCanvas``.

    Raises:
        DissectionError: The network is no chain of layers, or the contributions do not add up to what it computed.
        ValueError: An argument does not fit.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention is {convention!r}; choose from {', '.join(CONVENTIONS)}")
    if max_neurons is not None and max_neurons < 1:
        raise ValueError(f"max_neurons is {max_neurons}; it must be at least 1")
    network = uncompiled(network)
    with undisturbed(network):
        if _HALF_PRECISION & {parameter.dtype for parameter in network.parameters()}:
            # Their sums would not be exact.
            network = copy.deepcopy(network).float()
            inputs = inputs.float() if inputs.dtype in _HALF_PRECISION else inputs
        parameter = next(network.parameters(), None)
        device = inputs.device if parameter is None else parameter.device
        selected = select_backend(backend, device, {each.dtype for each in network.parameters()})
        result, calls = record(network, inputs.to(device).clone())
        image = _select(result, output)
        if not torch.isfinite(image).all():
            raise DissectionError("the network's output is NaN or infinite: there is nothing to dissect")
        size = _image_size(image) if size is None else (int(size[0]), int(size[1]))
        names = getattr(network, "layer_names", {})
        rules: Mapping[str, ContributionRule]
        if convention == "effect":
            rules, skipped = effect_rules(image, calls, names, tuple(_tensors_in(result)), size)
        else:
            rules, skipped = _chain_rules(image, calls, names, tuple(_tensors_in(result)), size, convention)
        layers = {}
        for name, rule in rules.items():
            rule.backend = selected
            layers[name] = LayerCanvas(rule, _sample(rule, max_neurons, seed))
            _check_completeness(
                layers[name], f"{rule.later[0].name} received" if rule.later else "the network returned"
            )
    return Canvas(layers, image.detach(), skipped, convention)


_NO_NETWORK = nn.Identity()
_MAX_SLOW_NEURONS = 512


def _chain_rules(
    image: Tensor,
    calls: Sequence[Call],
    names: Mapping[str, str],
    returned: Sequence[Tensor],
    size: tuple[int, int],
    convention: Convention,
) -> tuple[Mapping[str, ContributionRule], Mapping[str, str]]:
    try:
        chain = read_chain(image, calls, names, returned)
    except DissectionError as error:
        raise DissectionError(f"{error}; or use convention='effect', which needs no chain") from error
    layers = [folded(layer) for layer in chain.layers]
    rules = {layer.name: rule_for(layer, layers[at + 1 :], size, convention) for at, layer in enumerate(layers)}
    return rules, chain.skipped


def _sample(rule: ContributionRule, max_neurons: int | None, seed: int) -> Tensor | None:
    """The neurons that statistics are about; None for all."""
    if max_neurons is None and rule.is_slow and rule.device.type == "cpu":
        max_neurons = _MAX_SLOW_NEURONS
    if max_neurons is None or max_neurons >= rule.num_neurons:
        return None
    order = torch.randperm(rule.num_neurons, generator=torch.Generator().manual_seed(seed))
    return order[:max_neurons].sort().values


_HALF_PRECISION = {torch.float16, torch.bfloat16}


def _tensors_in(result: Any) -> Iterator[Tensor]:  # noqa: ANN401 - whatever a network returns
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, Mapping):
        for item in result.values():
            yield from _tensors_in(item)
    elif isinstance(result, (tuple, list)):
        for item in result:
            yield from _tensors_in(item)


def _select(result: Any, output: str | int | None) -> Tensor:  # noqa: ANN401 - whatever a network returns
    if output is not None:
        if isinstance(result, Tensor):
            raise ValueError(f"the network returns one tensor, which has no entry {output!r}; leave output out")
        try:
            result = result[output]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"the network's output has no entry {output!r}: it is a {type(result).__name__}"
            ) from error
    if not isinstance(result, Tensor):
        keys = f" with {', '.join(map(repr, result))}" if isinstance(result, Mapping) else ""
        raise ValueError(
            f"the network returns a {type(result).__name__}{keys}; say with output=... which entry is the image"
        )
    return result


def _image_size(image: Tensor) -> tuple[int, int]:
    if image.ndim == 4:
        return image.shape[2], image.shape[3]
    raise ValueError(f"the network's output of shape {tuple(image.shape)} does not tell the image's size; give size=")


def _check_completeness(canvas: LayerCanvas, what_followed: str) -> None:
    if not canvas.completeness_error <= MAX_COMPLETENESS_ERROR:
        raise DissectionError(
            f"the contributions in {canvas.name} add up to something else than what {what_followed} (relative error "
            f"{canvas.completeness_error:.2g}): something between the two was not recorded, or changed a tensor in "
            "place that had been used before"
        )
