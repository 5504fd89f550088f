"""One axis of a kernel's way to the image, as small matrices over distinct values.

A kernel's output Z (h x w) reaches the image through pixel shuffle, box means and nearest upsampling, with the
activation f between them. Each of these linear steps treats rows and columns alike and separately, so that a map is

    A_m f( ... f(A_1 f(Z) B_1^T) ... ) B_m^T

with A acting on rows and B on columns. Rows that are equal after a step stay equal: only one of each class is kept,
and the classes are spread over the image at the very end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class AxisOperator:
    """A chain of matrices, one per linear step, and where their classes lie in the image.

    Attributes:
        matrices: Float64 when built; the first is applied to f(Z), each next to f of the result before.
        classes: int64 (length of the axis,): for every row (or column) of the image, its class in the last result; None
            if every one is its own, in order.
    """

    matrices: tuple[Tensor, ...]
    classes: Tensor | None

    def like(self, values: Tensor) -> "AxisOperator":
        """The same on the device and in the precision of ``values``."""
        matrices = tuple(matrix.to(values) for matrix in self.matrices)
        return AxisOperator(matrices, None if self.classes is None else self.classes.to(values.device))


def axis_operator(
    length: int, stride: int, phase: int, boxes: Sequence[int], strides: Sequence[int], zero_is_live: bool
) -> AxisOperator:
    """Build the chain of one axis for kernels of one pixel-shuffle phase.

    Args:
        length: Length of the axis of Z.
        stride: Factor of the layer's own pixel shuffle.
        phase: Which of the ``stride`` positions the kernel feeds; the activation of zero stands at the others.
        boxes: Kernel size of the box mean of each later layer.
        strides: Upsampling factor after each box mean.
        zero_is_live: Whether the activation of zero is not zero. Z is then expected with one more row (and
            column), which holds it.
    """
    position = np.arange(length * stride)
    classes = np.where(position % stride == phase, position // stride, length)
    num_classes = length + 1
    if not boxes:
        distinct, classes = _distinct_rows(np.eye(num_classes)[classes])
        return _operator([distinct if zero_is_live else distinct[:, :length]], classes)
    matrices: list[Matrix] = []
    for box, factor in zip(boxes, strides, strict=True):
        means = _box_means(np.eye(num_classes)[classes], box)
        distinct, classes = _distinct_rows(means)
        # The last class is the activation of zero, which without zero_is_live nothing has to stand for.
        matrices.append(distinct if matrices or zero_is_live else distinct[:, :length])
        classes, num_classes = np.repeat(classes, factor), len(distinct)
    return _operator(matrices, classes)


def _operator(matrices: Sequence[Matrix], classes: Indices) -> AxisOperator:
    # Classes are numbered by their first appearance.
    own = len(matrices[-1]) == len(classes)
    return AxisOperator(
        tuple(torch.from_numpy(matrix) for matrix in matrices),
        None if own else torch.from_numpy(classes.astype(np.int64)),
    )


def _box_means(rows: Matrix, size: int) -> Matrix:
    """Sums of ``size`` neighbouring rows around each row, with zeros beyond the ends, over ``size``."""
    padding = size // 2
    sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])
    start = np.clip(np.arange(len(rows)) - padding, 0, None)
    stop = np.clip(np.arange(len(rows)) + padding + 1, None, len(rows))
    means: Matrix = np.rint(sums[stop] - sums[start]) / size
    return means


def _distinct_rows(rows: Matrix) -> tuple[Matrix, Indices]:
    """Distinct rows in order of their first appearance, and for every row which of them it is."""
    distinct, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return distinct[order], rank[inverse.ravel()]
