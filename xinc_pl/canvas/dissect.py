"""Dissect a network: what each of its neurons contributes to each pixel."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xinc_pl.canvas.backends import Backend, BackendName
from xinc_pl.canvas.backends.select import select_backend
from xinc_pl.canvas.canvas import Canvas
from xinc_pl.canvas.effect.effect import EffectRule
from xinc_pl.canvas.effect.gram import Gram
from xinc_pl.canvas.effect.removal import Removal
from xinc_pl.canvas.effect.select import effect_rules
from xinc_pl.canvas.effect.tiled import TiledGram, TiledRemoval
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layer_canvas import LayerCanvas
from xinc_pl.canvas.layers.folding import folded
from xinc_pl.canvas.layers.kind import LayerKind
from xinc_pl.canvas.layers.placement import placement_of
from xinc_pl.canvas.layers.reading import KINDS, Reading, left_out, read
from xinc_pl.canvas.maps.sample import sampled
from xinc_pl.canvas.recording.image import Selection
from xinc_pl.canvas.recording.large import in_full
from xinc_pl.canvas.recording.network import record
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.recording.replay import Replay
from xinc_pl.canvas.recording.undisturbed import undisturbed
from xinc_pl.canvas.rules import RULES
from xinc_pl.canvas.rules.check import MAX_ERROR, maps_error, terms_error
from xinc_pl.canvas.rules.rule import CONVENTIONS, ContributionRule, Convention
from xinc_pl.canvas.rules.tiled import tiled

Rules = Mapping[type[LayerKind], type[ContributionRule]]


def dissect(
    network: nn.Module,
    inputs: Any,  # noqa: ANN401 - whatever the network takes
    *,
    size: tuple[int, int] | None = None,
    convention: Convention = "paper",
    output: Selection | None = None,
    max_neurons: int | None = None,
    seed: int = 0,
    backend: BackendName = "auto",
    kinds: Sequence[LayerKind] = KINDS,
    rules: Rules = RULES,
) -> Canvas:
    """Dissect a network on one frame.

    The network is called once and recorded. It, its mode, and the process's random state come back as they were. Of a
    network that treats pixels one by one, only a sample is recorded where the image is large, and memory stays bounded.

    Args:
        network: Any module; for the conventions ``paper`` and ``released`` one that is a chain of layers.
        inputs: What it is called with: coordinates of all pixels (H * W, 2); a time (1,); or any nest of tensors. A
            tuple is its positional arguments; ``Inputs(...)`` takes any.
        size: Height and width of the image. May be left out where the output's shape tells.
        convention: ``paper``; ``released`` for the formulas of the authors' code, which differ in linear layers; or
            ``effect`` for how the output moves, to first order, when the neuron's term is taken away. The latter needs
            no chain of layers.
        output: Which part of what the network returns is the image: a key, an index, a path of them, or a function of
            the result.
        max_neurons: Statistics of larger layers are about a sample of so many neurons. By default all neurons are
            taken, but for ``effect`` on a CPU, where a map costs a pass through the rest of the network unless many
            are asked for: there it is 512.
        seed: Decides which neurons are sampled.
        backend: What computes the maps of convolutions and all statistics: ``numba``, quicker, on the CPU; or
            ``torch``, on any device. By default numba where it is installed, for float32 on the CPU.
        kinds: The kinds of layers to look for; one of your own may be among them.
        rules: Which rule covers which kind.

    Returns:
        A mapping from layer name to ``LayerCanvas``, input side first.

    Raises:
        DissectionError: The network is no chain of layers, or its maps do not pass their check.
        ValueError: An argument does not fit.
    """
    recording = record(network, inputs, size=size, output=output)
    return dissect_recording(
        recording,
        convention=convention,
        max_neurons=max_neurons,
        seed=seed,
        backend=backend,
        kinds=kinds,
        rules=rules,
    )


def dissect_recording(
    recording: Recording,
    *,
    convention: Convention = "paper",
    max_neurons: int | None = None,
    seed: int = 0,
    backend: BackendName = "auto",
    kinds: Sequence[LayerKind] = KINDS,
    rules: Rules = RULES,
) -> Canvas:
    """Dissect what was recorded, as ``dissect`` does."""
    if convention not in CONVENTIONS:
        raise ValueError(f"convention is {convention!r}; choose from {', '.join(CONVENTIONS)}")
    if max_neurons is not None and max_neurons < 1:
        raise ValueError(f"max_neurons is {max_neurons}; it must be at least 1")
    selected = select_backend(backend, recording.device, recording.dtypes)
    with undisturbed():
        own = recording.sample or recording
        reading = read(own, kinds)
        found, skipped = rules_for(reading, convention, selected, rules)
        errors = check(found, own)
        by_tiles = None if recording.sample is None else tiled(found, recording)
        if recording.sample is not None and by_tiles is None:
            return dissect_recording(
                in_full(recording),
                convention=convention,
                max_neurons=max_neurons,
                seed=seed,
                backend=backend,
                kinds=kinds,
                rules=rules,
            )
        found = by_tiles or found
    layers = {name: LayerCanvas(rule, errors[name], _sample(rule, max_neurons, seed)) for name, rule in found.items()}
    main_layers = [] if reading.chain is None else [layer.name for layer in reading.chain.layers]
    if convention != "effect":
        return Canvas(layers, recording, skipped, convention, None, main_layers)
    of_layers = {name: rule.layer for name, rule in found.items()}
    if by_tiles is not None:
        by_tile = TiledRemoval(recording, of_layers), TiledGram(by_tiles)
        return Canvas(layers, recording, skipped, convention, by_tile[0], main_layers, by_tile[1])
    gram = Gram({name: rule for name, rule in found.items() if isinstance(rule, EffectRule)})
    return Canvas(layers, recording, skipped, convention, Removal(recording, of_layers), main_layers, gram)


def rules_for(
    reading: Reading, convention: Convention, backend: Backend, rules: Rules = RULES
) -> tuple[Mapping[str, ContributionRule], Mapping[str, str]]:
    """The rules of all layers that a convention covers, by name, input side first; and why others are left out.

    Raises:
        DissectionError: The network is no chain, or has a layer that no rule covers.
    """
    if convention == "effect":
        return effect_rules(reading, backend)
    if reading.chain is None:
        raise DissectionError(f"{reading.why_no_chain}; or use convention='effect', which needs no chain")
    layers = [folded(layer) for layer in reading.chain.layers]
    placement = placement_of(layers[-1], reading.recording.size)
    found: dict[str, ContributionRule] = {}
    for at, layer in enumerate(layers):
        rule = rules.get(type(layer.kind))
        if rule is None:
            raise DissectionError(
                f"the layer {layer.name} is a {type(layer.kind).__name__}, for which there is no contribution rule; "
                "give one with rules={...}, or use convention='effect'"
            )
        found[layer.name] = rule(layer, layers[at + 1 :], placement, convention)
        found[layer.name].backend = backend
    return found, left_out(reading, list(found))


def check(rules: Mapping[str, ContributionRule], recording: Recording) -> Mapping[str, float]:
    """Check maps: what all neurons add to their layer, what single maps look like, and what the recording gives.

    Returns:
        The largest relative error of each layer.

    Raises:
        DissectionError: One is too large; names the layer.
    """
    replayed = _replay_error(rules, recording)
    errors = {}
    for name, rule in rules.items():
        terms, maps = terms_error(rule.layer), maps_error(rule)
        if not terms <= MAX_ERROR:
            raise DissectionError(
                f"the contributions in {name} add up to something else than what it returned (relative error "
                f"{terms:.2g}): its kind, {type(rule.layer.kind).__name__}, does not say what each neuron adds"
            )
        if not math.isfinite(maps):
            raise DissectionError(f"the contribution maps of {name} are NaN or infinite")
        if not maps <= MAX_ERROR:
            raise DissectionError(
                f"maps of {name} are not what their formula says (relative error {maps:.2g}): {type(rule).__name__} "
                "does not follow it; see docs/adding_a_layer.md for how to find out where"
            )
        errors[name] = max(terms, maps, replayed)
    return errors


def _replay_error(rules: Mapping[str, ContributionRule], recording: Recording) -> float:
    """How far the recording, replayed from its layers on, is from the output; relative to its largest value."""
    points = [use.output for rule in rules.values() for use in rule.layer.uses]
    own = {id(tensor) for call in recording.calls for tensor in call.outputs}
    starts = [point for point in points if id(point) in own]
    output = recording.output
    difference = (Replay(recording, starts)(*starts) - output).abs().max()
    error = float(difference / output.abs().max().clamp_min(torch.finfo(output.dtype).tiny))
    if not error <= MAX_ERROR:
        raise DissectionError(
            f"the contributions in {next(iter(rules))} add up to something else than what the network returned "
            f"(relative error {error:.2g} when its calls are repeated): something was not recorded, draws random "
            "numbers, or changed a tensor in place that had been used before"
        )
    return error


_MAX_SLOW_NEURONS = 512


def _sample(rule: ContributionRule, max_neurons: int | None, seed: int) -> Tensor | None:
    """The neurons that statistics are about; None for all."""
    if max_neurons is None and rule.is_slow and rule.device.type == "cpu":
        max_neurons = _MAX_SLOW_NEURONS
    if max_neurons is None or max_neurons >= rule.num_neurons:
        return None
    return sampled(rule.num_neurons, max_neurons, seed)
