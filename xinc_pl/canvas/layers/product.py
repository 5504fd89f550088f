"""Products of something from upstream with a weight, however they are written."""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.layers.kind import LayerKind, Operands, Origins
from xinc_pl.canvas.recording.call import Batched, Call, Function


class Written(NamedTuple):
    """A product as an equation of ``torch.einsum``.

    Attributes:
        first: One factor.
        second: The other.
        axes: A letter for each axis of the first, the second and the result.
        bias: What is added.
        scale: What the product is multiplied by before.
        fixed: Whether the second is the weight in any case.
    """

    first: Tensor
    second: Tensor
    axes: tuple[str, str, str]
    bias: Tensor | None = None
    scale: float = 1
    fixed: bool = False


@dataclass(frozen=True, eq=False)
class Product:
    """A product in one form: pixels by inputs, times inputs by outputs, for each of some blocks of pixels.

    Args:
        operands: Of the layer; the option ``axes`` has a letter for each axis of input, weight and result.
    """

    operands: Operands

    @cached_property
    def _letters(self) -> tuple[str, str, str, str]:
        """Letters of blocks, pixels, neurons and outputs."""
        first, second, result = self.operands.options["axes"]
        return (
            "".join(letter for letter in first if letter in second and letter in result),
            "".join(letter for letter in first if letter not in second),
            "".join(letter for letter in first if letter in second and letter not in result),
            "".join(letter for letter in second if letter not in first),
        )

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Length of each axis, by its letter."""
        first, second, _ = self.operands.options["axes"]
        sizes: dict[str, int] = {}
        for letters, tensor in ((first, self.operands.input), (second, self.operands.weight)):
            for letter, size in zip(letters, tensor.shape, strict=True):
                sizes[letter] = max(size, sizes.get(letter, 1))
        return sizes

    @property
    def neuron_shape(self) -> tuple[int, ...]:
        """Lengths of the axes that are summed over."""
        return self._shape(self._letters[2])

    @cached_property
    def inputs(self) -> Tensor:
        """(blocks, pixels, neurons)."""
        return self.arranged_input(self.operands.input)

    @cached_property
    def weights(self) -> Tensor:
        """(blocks, neurons, outputs); of one block where all have the same."""
        blocks, _, neurons, outputs = self._letters
        weights = self._arranged(self.operands.weight, self.operands.options["axes"][1], (blocks, neurons, outputs))
        scale = self.operands.options["scale"]
        return weights if scale == 1 else weights * scale

    def restored(self, values: Tensor) -> Tensor:
        """Values (..., blocks, pixels, outputs) in the shape of the result (..., *result)."""
        blocks, pixels, _, outputs = self._letters
        letters = blocks + pixels + outputs
        lead = values.ndim - 3
        values = values.reshape(*values.shape[:lead], *self._shape(letters))
        order = [letters.index(letter) + lead for letter in self.operands.options["axes"][2]]
        return values.permute(*range(lead), *order)

    def arranged_result(self, values: Tensor) -> Tensor:
        """A tensor of the result's shape as (blocks, pixels, outputs)."""
        blocks, pixels, _, outputs = self._letters
        return self._arranged(values, self.operands.options["axes"][2], (blocks, pixels, outputs))

    def arranged_input(self, values: Tensor) -> Tensor:
        """A tensor of the input's shape as (blocks, pixels, neurons)."""
        blocks, pixels, neurons, _ = self._letters
        return self._arranged(values, self.operands.options["axes"][0], (blocks, pixels, neurons))

    @property
    def num_outputs(self) -> int:
        """How many outputs a pixel has."""
        return int(torch.Size(self._shape(self._letters[3])).numel())

    def _shape(self, letters: str) -> tuple[int, ...]:
        return tuple(self.sizes[letter] for letter in letters)

    def _arranged(self, tensor: Tensor, letters: str, groups: Sequence[str]) -> Tensor:
        tensor = tensor.expand(self._shape(letters))
        order = [letters.index(letter) for group in groups for letter in group]
        shape = [torch.Size(self._shape(group)).numel() for group in groups]
        return tensor.permute(order).reshape(shape)


class ProductKind(LayerKind):
    """A product with a weight: a neuron is an input, and its term the product with all other inputs set to zero.

    Whether it is written as ``F.linear``, ``@``, ``matmul``, ``mm``, ``mv``, ``bmm``, ``addmm``, ``baddbmm``,
    ``einsum`` or ``tensordot``.
    """

    def operands(self, call: Call, origins: Origins) -> Operands | None:
        """A product is a layer where one factor is a weight: from parameters, or computed beside the pixels."""
        written = _written(call)
        if written is None:
            return None
        second_is_weight = written.fixed or _which_is_weight(written.first, written.second, origins)
        if second_is_weight is None:
            return None
        pair, axes = (written.first, written.second), written.axes
        if not second_is_weight:
            pair, axes = pair[::-1], (axes[1], axes[0], axes[2])
        options = {"axes": axes, "scale": written.scale}
        operands = Operands(call.function, *pair, written.bias, options)
        summed_alone = [letter for letter in (*axes[0], *axes[1]) if letter not in axes[2]]
        if any(letter not in axes[0] or letter not in axes[1] for letter in summed_alone) or not summed_alone:
            return None
        return operands

    def neuron_shape(self, operands: Operands) -> tuple[int, ...]:
        """One neuron for each input."""
        return Product(operands).neuron_shape

    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        """o_i w_i., for each input i."""
        product = Product(operands)
        inputs = product.inputs[..., neurons].movedim(-1, 0)
        weights = product.weights[:, neurons].movedim(1, 0)
        return product.restored(inputs[..., None] * weights[:, :, None])

    def weighted(self, operands: Operands, weights: Tensor) -> Tensor:
        """One product with the inputs weighted."""
        product = Product(operands)
        return product.restored((product.inputs * weights.to(product.inputs.dtype)) @ product.weights)

    def channel_axis(self, operands: Operands, output: Tensor) -> int:
        """The axis of the outputs."""
        first, _, result = operands.options["axes"]
        outputs = [axis for axis, letter in enumerate(result) if letter not in first]
        return outputs[-1] if outputs else output.ndim - 1

    def output_axes(self, operands: Operands, output: Tensor) -> tuple[int, ...]:
        """Those that only the weight has, in the weight's order."""
        del output
        first, second, result = operands.options["axes"]
        return tuple(result.index(letter) for letter in second if letter not in first)

    def term_sums(self, operands: Operands, output: Tensor, neurons: Tensor) -> Tensor:
        """Inputs, added up over the pixels of each block, times the block's weights."""
        del output
        product = Product(operands)
        inputs, weights = product.inputs[..., neurons].sum(1), product.weights[:, neurons]
        return (inputs[..., None] * weights).sum(0)

    def part(self, operands: Operands, output: Tensor, num_values: int) -> tuple[Operands, Tensor]:
        """Evenly spaced pixels of each block."""
        product = Product(operands)
        blocks, pixels, _ = product.inputs.shape
        number = max(num_values // (blocks * max(product.num_outputs, 1)), 1)
        if number >= pixels:
            return operands, output
        chosen = torch.linspace(0, pixels - 1, number, device=output.device).long()
        bias = self.bias_term(operands, output)
        options = {"axes": ("bpi", "bio", "bpo"), "scale": 1}
        own = Operands(
            operands.function,
            product.inputs[:, chosen],
            product.weights,
            None if bias is None else product.arranged_result(bias.expand(output.shape))[:, chosen],
            options,
        )
        return own, product.arranged_result(output)[:, chosen]

    def pixels(self, operands: Operands, output: Tensor) -> Tensor:
        """All blocks' pixels, one after the other."""
        return Product(operands).arranged_result(output).flatten(0, 1)

    def input_pixels(self, operands: Operands, values: Tensor) -> Tensor:
        """All blocks' pixels, one after the other."""
        return Product(operands).arranged_input(values).flatten(0, 1)

    def bias_term(self, operands: Operands, output: Tensor) -> Tensor | None:
        """As it is: it is added to the last axes."""
        del output
        return operands.bias

    def neuron_weights(self, operands: Operands, neurons: Tensor) -> Tensor:
        """w_i., of all blocks."""
        return Product(operands).weights[:, neurons].movedim(1, 0).flatten(1)

    def input_rms(self, operands: Operands, neurons: Tensor) -> Tensor:
        """Of o_i."""
        inputs = Product(operands).inputs[..., neurons].flatten(0, 1)
        return inputs.abs().square().mean(0).sqrt()

    def zero_inputs(self, operands: Operands) -> Tensor:
        """Whether o_i is zero at every pixel."""
        return (Product(operands).inputs == 0).flatten(0, 1).all(0)


def _which_is_weight(first: Tensor, second: Tensor, origins: Origins) -> bool | None:
    """Whether the second factor is the weight (else the first is); None if neither is, or both are."""
    for differs in (
        origins.is_weight,  # a parameter
        lambda tensor: origins.is_layered(tensor) and not origins.is_input(tensor),  # computed beside the pixels
        origins.is_layered,  # computed by a layer, of what comes from none
    ):
        of_first, of_second = differs(first), differs(second)
        if of_first != of_second:
            return of_second
        if of_first and differs is origins.is_weight:
            return None  # it computes a weight
    return None


def _written(call: Call) -> Written | None:
    if isinstance(call.function, Batched):
        return _of_batch(call, call.function)
    if call.function not in _READERS or len(call.outputs) != 1:
        return None
    try:
        return _READERS[call.function](*call.args, **call.kwargs)
    except (TypeError, ValueError):  # called in a way that is no product of two tensors
        return None


def _of_batch(call: Call, batched: Batched) -> Written | None:
    """A product within ``torch.vmap``."""
    if batched.function not in _READERS and not isinstance(batched.function, Batched):
        return None
    dims = {id(tensor): dim for tensor, dim in zip(call.tensors(), batched.in_dims, strict=True)}

    def single(tensor: Tensor) -> Tensor:
        dim = dims.get(id(tensor))
        return tensor if dim is None else tensor.select(dim, 0)

    inner = _written(Call(batched.function, call.args, call.kwargs, call.outputs, call.module).with_tensors(single))
    outer = [tensor for tensor in call.tensors() if tensor.ndim]
    if inner is None or len(outer) not in (2, 3) or inner.scale != 1:
        return None
    if batched.function in (torch.addmm, torch.baddbmm):
        return None
    used = "".join(inner.axes)
    letter = next(each for each in string.ascii_letters if each not in used)

    def with_letter(letters: str, dim: int | None) -> str:
        return letters if dim is None else letters[:dim] + letter + letters[dim:]

    first, second = outer[:2]
    if batched.function is _RMATMUL:
        first, second = second, first
    if dims[id(first)] is None and dims[id(second)] is None:
        return None
    bias = outer[2] if len(outer) == 3 else None
    if bias is not None and (dim := dims[id(bias)]) is not None:
        own = bias.movedim(dim, 0)
        missing = len(inner.axes[2]) - (own.ndim - 1)
        own = own.reshape(len(own), *[1] * missing, *own.shape[1:])
        bias = own.movedim(0, batched.out_dims[0])
    axes = (
        with_letter(inner.axes[0], dims[id(first)]),
        with_letter(inner.axes[1], dims[id(second)]),
        with_letter(inner.axes[2], batched.out_dims[0]),
    )
    return Written(first, second, axes, bias, 1, inner.fixed)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Written:
    lead = _letters(input.ndim - 1)
    if weight.ndim == 1:
        return Written(input, weight, (lead + "y", "y", lead), bias, fixed=True)
    return Written(input, weight, (lead + "y", "zy", lead + "z"), bias, fixed=True)


def _matmul(input: Tensor, other: Tensor, *, out: None = None) -> Written:
    first = ("" if input.ndim == 1 else "x") + "y"
    second = "y" + ("" if other.ndim == 1 else "z")
    lead = _letters(max(input.ndim, other.ndim, 2) - 2)
    leads = [lead[len(lead) - max(each.ndim - 2, 0) :] for each in (input, other)]
    # An axis that one of them has for nothing is not one of blocks.
    both = zip(*(tensor.shape[: max(tensor.ndim - 2, 0)][::-1] for tensor in (input, other)), strict=False)
    for place, (one, two) in enumerate(both):
        if one != two and 1 not in (one, two):
            raise ValueError(place)
    return Written(input, other, (leads[0] + first, leads[1] + second, (lead + first + second).replace("y", "")))


def _rmatmul(input: Tensor, other: Tensor) -> Written:
    return _matmul(other, input)


def _addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Written:
    return _matmul(mat1, mat2)._replace(bias=input * beta if beta != 1 else input, scale=alpha)


def _baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Written:
    return _addmm(input, batch1, batch2, beta=beta, alpha=alpha)


def _mv(input: Tensor, vec: Tensor) -> Written:
    return _matmul(input, vec)


def _bmm(input: Tensor, mat2: Tensor) -> Written:
    return _matmul(input, mat2)


def _tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: None = None) -> Written:  # noqa: ANN401 - as torch has it
    del out
    if isinstance(dims, int):
        over: tuple[Sequence[int], Sequence[int]] = (range(a.ndim - dims, a.ndim), range(dims))
    else:
        over = (list(dims[0]), list(dims[1]))
    letters = iter(string.ascii_letters)
    first = [next(letters) for _ in range(a.ndim)]
    second = [next(letters) for _ in range(b.ndim)]
    for one, other in zip(*over, strict=True):
        second[other] = first[one]
    result = [letter for letter in first if letter not in second] + [letter for letter in second if letter not in first]
    return Written(a, b, ("".join(first), "".join(second), "".join(result)))


def _einsum(equation: str, *operands: Any) -> Written:  # noqa: ANN401 - tensors, or a list of them
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = tuple(operands[0])
    first, second = operands
    left, _, right = equation.replace(" ", "").partition("->")
    axes = left.split(",")
    free = iter(each for each in string.ascii_letters if each not in left)
    missing = [tensor.ndim - len(letters.replace("...", "")) for tensor, letters in zip(operands, axes, strict=True)]
    dots = "".join(next(free) for _ in range(max(missing)))
    axes = [letters.replace("...", dots[len(dots) - gap :]) for letters, gap in zip(axes, missing, strict=True)]
    if "->" not in equation:
        right = "..." * ("..." in left) + "".join(
            sorted(each for each in set(left) - {",", "."} if left.count(each) == 1)
        )
    if any(len(set(letters)) < len(letters) for letters in axes):
        raise ValueError("a diagonal")
    return Written(first, second, (axes[0], axes[1], right.replace("...", dots)))


def _letters(count: int) -> str:
    return string.ascii_lowercase[:count]


_RMATMUL = torch.Tensor.__rmatmul__

_READERS: dict[Function, Callable[..., Written]] = {
    F.linear: _linear,
    torch.matmul: _matmul,
    torch.Tensor.matmul: _matmul,
    torch.Tensor.__matmul__: _matmul,
    _RMATMUL: _rmatmul,
    torch.mm: _bmm,
    torch.Tensor.mm: _bmm,
    torch.bmm: _bmm,
    torch.Tensor.bmm: _bmm,
    torch.mv: _mv,
    torch.Tensor.mv: _mv,
    torch.addmm: _addmm,
    torch.Tensor.addmm: _addmm,
    torch.baddbmm: _baddbmm,
    torch.Tensor.baddbmm: _baddbmm,
    torch.einsum: _einsum,
    torch.tensordot: _tensordot,
}
