"""One axis of a kernel's way to the image, as small matrices over distinct values.

A kernel's output Z (h x w) reaches the image through pixel shuffle, interpolation, box means and nearest upsampling,
with activations f between them. Each of these linear steps treats rows and columns separately, so that a map is

    A_m f( ... f(A_1 f(Z) B_1^T) ... ) B_m^T

with A acting on rows and B on columns. Rows that are equal after a step stay equal: only one of each class is kept,
and the classes are spread over the image at the very end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.layers.steps import Step

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
AxisStep = Callable[[Matrix], Matrix]
"""A linear step along one axis: rows (length before, n) to rows (length after, n)."""


@dataclass(frozen=True, eq=False)
class AxisOperator:
    """A chain of matrices, one per linear step, and where their classes lie in the image.

    Attributes:
        matrices: Float64 when built; the first is applied to f(Z), each next to f of the result before.
        classes: int64 (length of the axis,): for every row (or column) of the image, its class in the last result; None
            if every one is its own, in order.
        span: Which rows of Z it starts from, the first and the one after the last; None for all.
    """

    matrices: tuple[Tensor, ...]
    classes: Tensor | None
    span: tuple[int, int] | None = None

    def like(self, values: Tensor) -> "AxisOperator":
        """The same on the device and in the precision of ``values``."""
        matrices = tuple(matrix.to(values) for matrix in self.matrices)
        return AxisOperator(matrices, None if self.classes is None else self.classes.to(values.device), self.span)

    def within(self, start: int, stop: int, length: int) -> "AxisOperator":
        """What some neighbouring rows of the image need.

        Args:
            start: The first of them.
            stop: The one after the last.
            length: Of the axis of Z. What the first matrix has beyond is the row that holds the activation of zero.
        """
        classes = torch.arange(start, stop) if self.classes is None else self.classes[start:stop].cpu()
        rows, own = classes.unique(return_inverse=True)
        matrices = []
        for matrix in reversed(self.matrices[1:]):
            matrix = matrix[rows.to(matrix.device)]
            rows = (matrix != 0).any(0).nonzero().flatten().cpu()
            # One at least, lest a map that is zero all over has no rows to be made of.
            rows = torch.zeros(1, dtype=torch.int64) if not len(rows) else rows
            matrices.append(matrix[:, rows.to(matrix.device)])
        first = self.matrices[0][rows.to(self.matrices[0].device)]
        (used,) = (first[:, :length] != 0).any(0).nonzero(as_tuple=True)
        span = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        first = torch.cat([first[:, slice(*span)], first[:, length:]], 1)
        return AxisOperator((first, *reversed(matrices)), own.to(first.device), span)


def axis_operator(
    length: int, stride: int, phase: int, segments: Sequence[Sequence[AxisStep]], zero_is_live: bool
) -> AxisOperator:
    """Build the chain of one axis for kernels of one pixel-shuffle phase.

    Args:
        length: Length of the axis of Z.
        stride: Factor of a pixel shuffle that comes before all else; 1 without.
        phase: Which of the ``stride`` positions the kernel feeds; the activation of zero stands at the others.
        segments: What follows: linear steps, and an activation between each two segments.
        zero_is_live: Whether the activation of zero is not zero. Z is then expected with one more row (and
            column), which holds it.
    """
    position = np.arange(length * stride)
    classes = np.where(position % stride == phase, position // stride, length)
    num_classes = length + 1
    matrices: list[Matrix] = []
    for segment in segments:
        rows: Matrix = reduce(lambda rows, step: step(rows), segment, np.eye(num_classes)[classes])
        distinct, classes = _distinct_rows(rows)
        # The last class is the activation of zero, which without zero_is_live nothing has to stand for.
        matrices.append(distinct if matrices or zero_is_live else distinct[:, :length])
        num_classes = len(distinct)
    # Classes are numbered by their first appearance.
    own = len(matrices[-1]) == len(classes)
    return AxisOperator(
        tuple(torch.from_numpy(matrix) for matrix in matrices),
        None if own else torch.from_numpy(classes.astype(np.int64)),
    )


def box_mean(size: int) -> AxisStep:
    """Means of ``size`` (odd) neighbouring rows around each row, with zeros beyond the ends."""

    def step(rows: Matrix) -> Matrix:
        padded = np.pad(rows, ((size // 2, size // 2), (0, 0)))
        means: Matrix = np.sum([padded[start : start + len(rows)] for start in range(size)], axis=0) / size
        return means

    return step


def transposed_mean(size: int, stride: int, padding: int, dilation: int, length: int) -> AxisStep:
    """Means of the rows that a transposed convolution brings to each of ``length`` rows, with zeros beyond the ends.

    Tap t of ``size`` brings row i to row stride * i - padding + dilation * t. Rows that no tap reaches are zero.
    """

    def step(rows: Matrix) -> Matrix:
        sums, taps = np.zeros((length, rows.shape[1])), np.zeros((length, 1))
        position = np.arange(length)
        for tap in range(size):
            source, offset = np.divmod(position + padding - dilation * tap, stride)
            reached = offset == 0
            taps[reached] += 1
            reached &= (source >= 0) & (source < len(rows))
            sums[reached] += rows[source[reached]]
        means: Matrix = sums / np.maximum(taps, 1)
        return means

    return step


def repeated(factor: int) -> AxisStep:
    """Nearest upsampling."""
    return lambda rows: np.repeat(rows, factor, axis=0)


def stuffed(stride: int, phase: int) -> AxisStep:
    """Each row at one of ``stride`` positions, and zeros at the others."""

    def step(rows: Matrix) -> Matrix:
        result = np.zeros((len(rows) * stride, rows.shape[1]))
        result[phase::stride] = rows
        return result

    return step


def interpolated(step: Step, axis: int) -> AxisStep:
    """What an interpolation does along the rows (axis 0) or the columns (axis 1) of images."""
    arguments = step.call.bound(_INTERPOLATE)
    length, wanted = step.data.shape[2 + axis], step.result.shape[2 + axis]
    size, scale = arguments.get("size"), arguments.get("scale_factor")
    if size is not None:
        arguments["size"] = (wanted, 1)
    if isinstance(scale, (tuple, list)):
        scale = scale[axis] if len(scale) == 2 else scale[0]
    if scale is not None:
        arguments["scale_factor"] = (float(scale), 1.0)
    # Every channel holds an image of one column, which is one in a single row.
    arguments["input"] = torch.eye(length, dtype=torch.float64)[None, :, :, None]
    weights: Matrix = F.interpolate(**arguments)[0, :, :, 0].T.numpy()
    return lambda rows: weights @ rows


_INTERPOLATE = (
    "input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias"
)  # fmt: skip


def _distinct_rows(rows: Matrix) -> tuple[Matrix, Indices]:
    """Distinct rows in order of their first appearance, and for every row which of them it is."""
    known: dict[bytes, int] = {}
    # Adding zero makes one of both zeros. For so few rows this is ten times quicker than to sort them.
    classes = np.array([known.setdefault(row.tobytes(), len(known)) for row in rows + 0.0], np.intp)
    _, first = np.unique(classes, return_index=True)
    return rows[first], classes
