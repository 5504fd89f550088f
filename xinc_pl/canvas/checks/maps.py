"""Maps, made as for pictures and statistics, against what they are meant to be."""

from collections.abc import Iterator

import torch
from torch import Tensor

from xinc_pl.canvas.checks.differences import MAPS, compare, must
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.maps.group import CHUNK_VALUES_ON_ACCELERATOR, MapGroup
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.rules.collect import collected
from xinc_pl.canvas.rules.rule import ContributionRule, Plain

_CLOSE = 3e-5
"""What is allowed between maps that are made in two ways: a GPU chooses its algorithms by the size of a batch."""
_THREADS = 3


def signed(rule: ContributionRule, neurons: Tensor, num_threads: int = 1) -> Tensor:
    """Maps of some neurons, as pictures have them: (n, H, W)."""
    return collected(rule, neurons, lambda group, part: group.signed(part), num_threads)


def magnitudes(rule: ContributionRule, neurons: Tensor, num_threads: int = 1) -> Tensor:
    """Magnitudes of some neurons: (n, H, W)."""
    return collected(rule, neurons, MapGroup.magnitudes, num_threads)


def check_formula(what: str, rule: ContributionRule, neurons: Tensor, plain: Plain, tolerance: float = MAPS) -> None:
    """Maps, magnitudes and maps by output are what they are meant to be, which add up."""
    compare(f"{what}: maps", signed(rule, neurons), plain.maps, tolerance, neurons=neurons, scale=_scale(plain))
    compare(
        f"{what}: magnitudes",
        magnitudes(rule, neurons),
        plain.magnitudes,
        tolerance,
        neurons=neurons,
        scale=_scale(plain),
    )
    if plain.per_output is None:
        _check_shape_per_output(what, rule, neurons)
        return
    made = rule.per_output(neurons)
    # What is large by output may cancel in their sum.
    scale = torch.maximum(plain.per_output.abs().amax((1, 2, 3))[:, None, None], _scale(plain))
    compare(f"{what}: per_output", made, plain.per_output, tolerance, neurons=neurons, scale=scale[:, None])
    compare(
        f"{what}: per_output does not add up to maps",
        made.double().sum(1),
        signed(rule, neurons).double(),
        tolerance,
        neurons=neurons,
        scale=scale,
    )


def _scale(plain: Plain) -> Tensor:
    return plain.magnitudes.flatten(1).amax(1)[:, None, None]


def _check_shape_per_output(what: str, rule: ContributionRule, neurons: Tensor) -> None:
    """Where no formula tells outputs apart, they may be refused."""
    try:
        shape = tuple(rule.per_output(neurons).shape)
    except DissectionError:
        return
    fits = len(shape) == 4 and (shape[0], *shape[2:]) == (len(neurons), *rule.size)
    must(fits, f"{what}: per_output: the shape is {shape}, for {len(neurons)} neurons and the size {rule.size}")


def check_groups(what: str, rule: ContributionRule, neurons: Tensor) -> None:
    """Every neuron is in one group, and nothing else; rows and columns are the image's."""
    groups = list(rule.groups(neurons))
    found = torch.cat([group.neurons for group in groups]).sort().values
    expected = neurons.sort().values
    if not torch.equal(found, expected):
        counts = [torch.bincount(each, minlength=rule.num_neurons) for each in (found, expected)]
        wrong = int((counts[0] != counts[1]).nonzero()[0]) if len(counts[0]) == len(counts[1]) else int(found[-1])
        must(False, f"{what}: groups: neuron {wrong} is not in one group once, as asked for")
    for group in groups:
        for name, classes, length in zip(("rows", "columns"), (group.rows, group.columns), rule.size, strict=True):
            fits = classes is None or tuple(classes.shape) == (length,)
            must(fits, f"{what}: groups: {name} has not one entry for each of the image's {length}")
        part = group.neurons[:1]
        if len(part):
            dtypes = {group.signed(part).dtype, group.magnitudes(part).dtype}
            must(dtypes == {torch.float32}, f"{what}: dtype: maps are {dtypes}; they have to be float32")


def check_ways(what: str, rule: ContributionRule, neurons: Tensor) -> None:
    """Neither the order of the neurons, nor how many, nor which part of the image, nor threads change anything."""
    window = _middle(rule.size)
    part = rule.within(window)
    must(part.size == window.size, f"{what}: window: its size is {part.size}; it has to be {window.size}")
    order = torch.randperm(len(neurons), generator=torch.Generator().manual_seed(1)).to(neurons.device)
    for name, make in (("maps", signed), ("magnitudes", magnitudes)):
        made = make(rule, neurons)
        scale = made.abs().flatten(1).amax(1)[:, None, None]
        turned = make(rule, neurons[order])
        compare(f"{what}: order: {name}", turned, made[order], _CLOSE, neurons=neurons[order], scale=scale[order])
        single = torch.cat([make(rule, each) for each in neurons.split(1)])
        compare(f"{what}: chunks: {name} one by one", single, made, _CLOSE, neurons=neurons, scale=scale)
        within = make(part, neurons)
        compare(f"{what}: window: {name}", within, window.crop(made), _CLOSE, neurons=neurons, scale=scale)
        if rule.takes_threads:
            threaded = make(InSingles(rule), neurons, _THREADS)
            compare(f"{what}: threads: {name}", threaded, made, _CLOSE, neurons=neurons, scale=scale)


def _middle(size: tuple[int, int]) -> Window:
    """About the middle third of the rows and columns."""
    rows, columns = ((side // 3, side // 3 + -(-side // 3)) for side in size)
    return Window(rows, columns)


class InSingles(ContributionRule):
    """A rule whose neurons come one at a time.

    Args:
        rule: The rule.
    """

    def __init__(self, rule: ContributionRule) -> None:
        super().__init__(rule.layer, rule.later, rule.placement, rule.convention)
        self._rule = rule
        self.neuron_shape = rule.neuron_shape
        self.backend = rule.backend
        self.takes_threads = rule.takes_threads

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """As if each map were so large that no other has room beside it."""
        for group in self._rule.groups(neurons):
            yield MapGroup(
                group.neurons,
                group.signed,
                CHUNK_VALUES_ON_ACCELERATOR,
                group.rows,
                group.columns,
                group.unsigned,
            )

    def per_output(self, neurons: Tensor) -> Tensor:
        """The rule's."""
        return self._rule.per_output(neurons)

    def zero_inputs(self) -> Tensor:
        """The rule's."""
        return self._rule.zero_inputs()
