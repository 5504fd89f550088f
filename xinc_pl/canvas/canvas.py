"""Dissect a network: contribution maps of every neuron of every layer, made when they are asked for."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

import xinc_pl.canvas.rules.convolution
import xinc_pl.canvas.rules.linear  # noqa: F401 - both register their rules
from xinc_pl.canvas.backends.backend import BackendName
from xinc_pl.canvas.backends.select import select_backend
from xinc_pl.canvas.effect.find import effects
from xinc_pl.canvas.effect.removal import Removal
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layer_canvas import LayerCanvas
from xinc_pl.canvas.layers.chain import read_chain
from xinc_pl.canvas.layers.folding import folded
from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.record import record, uncompiled
from xinc_pl.canvas.recording.undisturbed import undisturbed
from xinc_pl.canvas.rules.rule import CONVENTIONS, MAX_COMPLETENESS_ERROR, ContributionRule, Convention, rule_for


class Canvas(Mapping[str, LayerCanvas]):
    """The implicit neural canvas of one frame: a mapping from layer name to its canvas, input side first.

    Attributes:
        output: What the network returned, detached.
        skipped: Layers that cannot be dissected, with the reason.
        convention: The formulas followed.
    """

    def __init__(
        self,
        layers: Mapping[str, LayerCanvas],
        output: Tensor,
        skipped: Mapping[str, str],
        convention: Convention,
        removal: Removal | None = None,
    ) -> None:
        self._layers = dict(layers)
        self._removal = removal
        self.output = output
        self.skipped = MappingProxyType(dict(skipped))
        self.convention = convention

    @property
    def removal(self) -> Removal:
        """The network without some of its neurons.

        Raises:
            ValueError: The convention is another than ``effect``, which alone keeps the whole recording.
        """
        if self._removal is None:
            raise ValueError(
                f"neurons can be removed where the convention is effect; this canvas follows {self.convention}"
            )
        return self._removal

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
            taken, but for ``effect`` on a CPU, where the maps of a convolution that three or more others follow cost
            a pass through these for each neuron, unless many are asked for: there it is 512.
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
        removal = None
        if convention == "effect":
            rules, skipped, removal = effects(image, calls, names, tuple(_tensors_in(result)), size)
        else:
            rules, skipped = _chain_rules(image, calls, names, tuple(_tensors_in(result)), size, convention)
        layers = {}
        for name, rule in rules.items():
            rule.backend = selected
            layers[name] = LayerCanvas(rule, _sample(rule, max_neurons, seed))
            _check_completeness(
                layers[name], f"{rule.later[0].name} received" if rule.later else "the network returned"
            )
    return Canvas(layers, image.detach(), skipped, convention, removal)


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
