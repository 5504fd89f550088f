"""Everything that a contribution rule promises, checked."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from xinc_pl.canvas.backends import Backend
from xinc_pl.canvas.backends.select import select_backend
from xinc_pl.canvas.backends.torch_backend import TORCH
from xinc_pl.canvas.checks.differences import MAPS, SINGLE, compare, must, told
from xinc_pl.canvas.checks.effect import finite_differences
from xinc_pl.canvas.checks.maps import check_formula, check_groups, check_ways, signed
from xinc_pl.canvas.checks.statistics import check_statistics
from xinc_pl.canvas.checks.twice import read_twice
from xinc_pl.canvas.dissect import rules_for
from xinc_pl.canvas.effect.by_pixel import ByPixel
from xinc_pl.canvas.effect.neck import necks_of
from xinc_pl.canvas.effect.select import ways
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.kind import LayerKind
from xinc_pl.canvas.layers.reading import KINDS, Reading
from xinc_pl.canvas.maps.sample import sampled
from xinc_pl.canvas.recording.image import Selection
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.recording.undisturbed import undisturbed
from xinc_pl.canvas.rules import RULES
from xinc_pl.canvas.rules.rule import ContributionRule, Convention

_AT_A_TIME = 64
"""Neurons whose formula is looked at together."""
_MOST_DIFFERENCES = 64
"""Neurons whose effect is compared with finite differences; a seeded sample of more."""


def check_rule(
    rule: type[ContributionRule],
    kind: LayerKind,
    network: nn.Module,
    inputs: Any,  # noqa: ANN401 - whatever the network takes
    *,
    size: tuple[int, int] | None = None,
    output: Selection | None = None,
    convention: Convention = "paper",
    kinds: Sequence[LayerKind] = KINDS,
    rules: Mapping[type[LayerKind], type[ContributionRule]] = RULES,
) -> None:
    """Check a contribution rule in a network that has layers of its kind: for a test of your own.

    For every backend that there is, and in a copy of the network in double precision:

    - groups: every neuron is in one group, once; maps are float32;
    - maps: those of all neurons, made as for pictures and statistics, are what ``plain`` says, and so are magnitudes
      and maps by output, which add up to the maps; all together are ``plain_total``, if the rule has it;
    - order, chunks, threads: none of them matters;
    - statistics: total, sums, extremes, counts, thresholds, histogram and sums over clusters are those of the
      magnitudes that pictures show, whatever the chunks and threads;
    - precision: float32 and float64 give the same;
    - for ``effect``, maps are finite differences of the network along each neuron's term.

    Use a small network and image: all maps of a layer are in memory at once.

    Args:
        rule: The rule; for ``effect``, one of the ways in which that is computed, which has to be right on all layers
            of the kind that it takes.
        kind: The kind whose rule it is.
        network: A network with at least one layer of this kind; for ``paper`` and ``released`` a chain.
        inputs: What it is called with, as ``dissect`` takes it.
        size: As ``dissect`` takes it.
        output: As ``dissect`` takes it.
        convention: Which of the formulas to follow.
        kinds: Kinds of the network's other layers.
        rules: Rules of its other layers.

    Raises:
        AssertionError: Something does not hold. One line says what, of which layer and neuron, where, and by how much.
        DissectionError: The network cannot be recorded, or is no chain.
    """
    rules = {**rules, type(kind): rule}
    with undisturbed():
        both = read_twice(network, inputs, size, output, [kind, *kinds])
        both.layers(kind)
        exact = {each.layer.name: each for each in _made(rule, kind, both.double, convention, TORCH, rules)}
        for backend in _backends(both.single):
            found = _made(rule, kind, both.single, convention, backend, rules)
            must(bool(found), f"{rule.__name__}: no layer of the network is dissected by it")
            for single in found:
                what = f"{rule.__name__} in {single.layer.name}"
                double = exact.get(single.layer.name)
                must(double is not None, f"{what}: double precision: the layer is dissected by something else")
                assert double is not None
                with told(what):
                    _check(what, single)
                    _check_precision(what, single, double)
                    if convention == "effect":
                        _check_effect(f"{what}: finite differences", single, double, both.double.recording)


def _made(
    rule: type[ContributionRule],
    kind: LayerKind,
    reading: Reading,
    convention: Convention,
    backend: Backend,
    rules: Mapping[type[LayerKind], type[ContributionRule]],
) -> list[ContributionRule]:
    """The rule on each layer that it is made for, input side first."""
    with told(f"{rule.__name__}: making it", DissectionError):
        if convention == "effect":
            own = [layer for layer in reading.layers if layer.kind is kind]
            by_pixel, necks = ByPixel(reading.recording), necks_of(reading)
            found: list[ContributionRule | None] = [
                each for layer in own for each in ways(layer, reading, by_pixel, necks, backend)
            ]
        else:
            found = list(rules_for(reading, convention, backend, rules)[0].values())
        return [each for each in found if isinstance(each, rule) and each.layer.kind is kind]


def _backends(reading: Reading) -> list[Backend]:
    best = select_backend("auto", reading.recording.device, reading.recording.dtypes)
    return [TORCH] if best is TORCH else [TORCH, best]


def _check(what: str, rule: ContributionRule) -> None:
    neurons = rule.all_neurons()
    check_groups(what, rule, neurons)
    check_groups(what, rule, neurons.flip(0)[::2])
    for part in neurons.split(_AT_A_TIME):
        check_formula(what, rule, part, rule.plain(part))
    _check_total(what, rule)
    check_ways(what, rule, neurons)
    check_statistics(what, rule)


def _check_effect(what: str, single: ContributionRule, double: ContributionRule, recording: Recording) -> None:
    """Maps of the network as it is, against how it moves in double precision."""
    neurons = sampled(single.num_neurons, _MOST_DIFFERENCES).to(single.device)
    check_formula(what, single, neurons, finite_differences(double.layer, recording, neurons), SINGLE)


def _check_total(what: str, rule: ContributionRule) -> None:
    total = rule.plain_total()
    if total is None:
        return
    maps = signed(rule, rule.all_neurons()).double()
    scale = maps.abs().sum(0).max()
    compare(f"{what}: plain_total is not the sum of the maps", maps.sum(0), total.sum(0), MAPS, scale=scale)


def _check_precision(what: str, single: ContributionRule, double: ContributionRule) -> None:
    """Maps of the network as it is, and in double precision, which have to be what the formula says of that."""
    for part in single.all_neurons().split(_AT_A_TIME):
        check_formula(f"{what}: in double precision", double, part, double.plain(part))
        made, exact = signed(single, part), signed(double, part)
        scale = double.plain(part).magnitudes.flatten(1).amax(1)[:, None, None]
        compare(f"{what}: precision of maps", made, exact, SINGLE, neurons=part, scale=scale)
