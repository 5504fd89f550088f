"""A network read twice: as it is, and in double precision."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xinc_pl.canvas.checks.differences import must, told
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.kind import LayerKind
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.reading import Reading, read
from xinc_pl.canvas.recording.image import Selection
from xinc_pl.canvas.recording.nests import mapped
from xinc_pl.canvas.recording.network import record
from xinc_pl.canvas.recording.recording import Inputs

_WIDER = {
    **dict.fromkeys((torch.float16, torch.bfloat16, torch.float32), torch.float64),
    torch.complex64: torch.complex128,
}


@dataclass(frozen=True, eq=False)
class Twice:
    """A network, read twice.

    Attributes:
        single: As it is.
        double: A copy of it, in double precision.
    """

    single: Reading
    double: Reading

    def layers(self, kind: LayerKind) -> list[tuple[Layer, Layer]]:
        """Each layer of a kind, as it is and in double precision.

        Raises:
            AssertionError: There is none, or they are not the same.
        """
        first, second = (
            {layer.name: layer for layer in reading.layers if layer.kind is kind}
            for reading in (self.single, self.double)
        )
        skipped = "; ".join(f"{name}: {reason}" for name, reason in self.single.skipped.items())
        name = type(kind).__name__
        must(bool(first), f"{name}: no layer of this kind leads to the image{skipped and f' ({skipped})'}")
        must(
            first.keys() == second.keys(),
            f"{name}: double precision: the layers are {list(second)}, in single precision {list(first)}",
        )
        return [(first[name], second[name]) for name in first]


def read_twice(
    network: nn.Module,
    inputs: Any,  # noqa: ANN401 - whatever the network takes
    size: tuple[int, int] | None,
    output: Selection | None,
    kinds: Sequence[LayerKind],
) -> Twice:
    """Read a network, and a copy of it in double precision. The first of the kinds is the one to blame.

    Raises:
        AssertionError: It does not run in double precision.
        DissectionError: It cannot be read.
    """
    what = type(kinds[0]).__name__
    recording = record(network, inputs, size=size, output=output)
    with told(f"{what}: reading the network", DissectionError):
        single = read(recording, kinds)
    exact = copy.deepcopy(network)
    for tensor in (*exact.parameters(), *exact.buffers()):
        tensor.data = _widened(tensor.data)
    given = Inputs.of(inputs)
    wide = Inputs(*mapped(given.args, _widened), **mapped(given.kwargs, _widened))
    with told(f"{what}: double precision: the network does not run in it"):
        return Twice(single, read(record(exact, wide, size=size, output=output), kinds))


def _widened(tensor: Tensor) -> Tensor:
    return tensor.to(_WIDER.get(tensor.dtype, tensor.dtype))
