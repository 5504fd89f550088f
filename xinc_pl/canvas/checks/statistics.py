"""Statistics of a whole layer, against the same of all its magnitudes at once."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from xinc_pl.canvas.checks.differences import compare, must
from xinc_pl.canvas.checks.maps import InSingles, magnitudes
from xinc_pl.canvas.rules.rule import ContributionRule
from xinc_pl.canvas.statistics.results import LayerStatistics
from xinc_pl.canvas.statistics.streaming import stream_layers

_CLOSE = 1e-5
"""Relative: how far sums may be off, and how close to a limit a value may be counted on either side of it."""
_MASSES = (0.1, 0.5)
_THREADS = 3


def check_statistics(what: str, rule: ContributionRule) -> None:
    """Those of all neurons, as they come, one at a time, and with several threads."""
    values = magnitudes(rule, rule.all_neurons()).double().cpu()
    masks = _masks(rule.size)
    kinds = [("statistics", rule, 1), ("statistics one by one", InSingles(rule), 1)]
    if rule.takes_threads:
        kinds.append(("statistics with threads", InSingles(rule), _THREADS))
    for name, each, num_threads in kinds:
        with _torch_threads(num_threads):
            made = stream_layers([each], rule.all_neurons().cpu(), [{"masks": masks}], _MASSES)[0]
        _check(f"{what} ({type(rule.backend).__name__}): {name}", made, values, masks, rule.zero_inputs().cpu())


def _check(what: str, made: LayerStatistics, values: Tensor, masks: Tensor, zero_inputs: Tensor) -> None:
    """Against magnitudes (N, H, W)."""
    neurons, largest = made.neurons, values.amax((1, 2))
    total = values.sum(0)
    compare(f"{what}: total", made.total, total, _CLOSE)
    compare(f"{what}: sum", made.sum, values.sum((1, 2)), _CLOSE, neurons=neurons)
    compare(f"{what}: minimum", made.minimum, values.amin((1, 2)), _CLOSE, neurons=neurons, scale=largest)
    compare(f"{what}: maximum", made.maximum, largest, _CLOSE, neurons=neurons)
    _compare_flags(f"{what}: zero_map", made.zero_map, largest == 0, neurons)
    _compare_flags(f"{what}: zero_input", made.zero_input, zero_inputs, neurons)
    share = total / len(values)
    _compare_counts(f"{what}: pixels_per_neuron", made.pixels_per_neuron, values, share, (1, 2), neurons)
    for mass, threshold in made.thresholds.items():
        _check_threshold(f"{what}: threshold of {mass}", threshold, values, mass)
        above = made.neurons_per_pixel[mass] * len(values)
        _compare_counts(f"{what}: neurons_per_pixel of {mass}", above, values, torch.tensor(threshold), 0)
    _check_histogram(f"{what}: histogram", made, values)
    sums = torch.stack([(values * mask).sum((1, 2)) for mask in masks], 1)
    compare(f"{what}: sums over clusters", made.partitions["masks"].sum, sums, _CLOSE, neurons=neurons)


def _compare_flags(what: str, made: Tensor, meant: Tensor, neurons: Tensor) -> None:
    for neuron in neurons[made != meant].tolist():
        raise AssertionError(f"{what}: neuron {neuron} is said to have what it has not, or the reverse")


def _compare_counts(
    what: str,
    made: Tensor,
    values: Tensor,
    limit: Tensor,
    axes: int | tuple[int, ...],
    neurons: Tensor | None = None,
) -> None:
    """How many values lie above a limit, but for those that are all but equal to it."""
    low, high = ((values > limit * (1 + by)).sum(axes).double() for by in (_CLOSE, -_CLOSE))
    meant = made.double().clamp(low, high)
    compare(what, made.double(), meant, 1e-6, neurons=neurons, scale=torch.ones_like(meant))


def _check_threshold(what: str, threshold: float, values: Tensor, mass: float) -> None:
    """Values from there on add up to the wanted share of all; those beyond do not."""
    target = (1 - mass) * float(values.sum())
    from_there = float(values[values >= threshold * (1 - _CLOSE)].sum())
    beyond = float(values[values > threshold * (1 + _CLOSE)].sum())
    must(
        beyond * (1 - _CLOSE) <= target <= from_there * (1 + _CLOSE),
        f"{what}: values beyond {threshold:.6g} add up to {beyond:.6g}, with it to {from_there:.6g}; {target:.6g} is "
        "wanted",
    )


def _check_histogram(what: str, made: LayerStatistics, values: Tensor) -> None:
    edges, counts, sums = made.histogram
    must(int(counts.sum()) == values.numel(), f"{what}: {int(counts.sum())} values instead of {values.numel()}")
    compare(f"{what}: sums", sums.sum(), values.sum(), _CLOSE)
    ordered = values.flatten().sort().values
    below = torch.cat([counts.new_zeros(1), counts.cumsum(0)])[1:-1].double()
    low, high = (torch.searchsorted(ordered, edges[1:-1] * (1 + by)).double() for by in (-_CLOSE, _CLOSE))
    compare(f"{what}: counts", below, below.clamp(low, high), 1e-6, scale=torch.ones_like(below))
    inside = (sums >= counts * edges[:-1] * (1 - _CLOSE)) & (sums <= counts * edges[1:] * (1 + _CLOSE))
    must(bool(inside.all()), f"{what}: sums of values lie outside of their bin")


def _masks(size: tuple[int, int]) -> Tensor:
    """Two that overlap, of pixels all over the image, and leave some out."""
    draws = torch.rand(2, *size, generator=torch.Generator().manual_seed(3))
    masks = draws < 0.5
    masks[:, -1, -1] = True
    return masks


@contextmanager
def _torch_threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
