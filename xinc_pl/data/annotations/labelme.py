"""Outlines drawn with labelme."""

import base64
import io
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch
from skimage.draw import polygon2mask
from torch import Tensor

from xinc_pl.data.annotations.json_files import entries, entry, read_json
from xinc_pl.frames import Size

Key = tuple[str, int]
"""One object over all frames: its label, and its group."""

_Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shape:
    """Something drawn.

    Attributes:
        key: Whose it is.
        draw: Finds its pixels in a frame of a height and width.
    """

    key: Key
    draw: Callable[[Size], npt.NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Drawing:
    """What is drawn on one frame.

    Attributes:
        file: Where it was read from.
        size: Height and width of the frame.
        shapes: In the order in which they were drawn.
    """

    file: Path
    size: Size
    shapes: tuple[Shape, ...]


def read_labelme(file: Path) -> Drawing:
    """Read labelme's JSON of one frame: polygons, rectangles, circles and masks. Points and lines have no area.

    Shapes of one label and one ``group_id`` are one object, in this frame and in others. Without it, the first shape of
    a label is one object, the second another.

    Raises:
        ValueError: It cannot be read, or is no such file.
    """
    content = read_json(file)
    size = (entry(content, "imageHeight", int, file), entry(content, "imageWidth", int, file))
    if not 0 < min(size) <= max(size) <= _MAX_SIDE:
        raise ValueError(f"{file}: imageHeight and imageWidth are {size[0]} and {size[1]}")
    shapes, seen = [], dict[str, int]()
    for shape in entries(content, "shapes", file):
        drawn = _DRAWN.get(str(shape.get("shape_type") or "polygon"))
        if drawn is None:
            continue
        label = entry(shape, "label", str, file)
        group = shape.get("group_id")
        if not isinstance(group, int):
            seen[label] = seen.get(label, 0) + 1
            group = -seen[label]
        shapes.append(Shape((label, group), partial(drawn, _points(shape, file), shape.get("mask"))))
    return Drawing(file, size, tuple(shapes))


def number_objects(drawings: Iterable[Drawing]) -> dict[Key, int]:
    """An id from 1 on for every object of a clip, in the order of their labels."""
    keys = {shape.key for drawing in drawings for shape in drawing.shapes}
    return {key: number for number, key in enumerate(sorted(keys, key=lambda key: (key[0], abs(key[1]), key[1])), 1)}


def paint(drawing: Drawing, ids: Mapping[Key, int]) -> Tensor:
    """Labels of a frame's pixels: int64 (H, W); 0 where nothing is drawn, and what is drawn later lies on top.

    Raises:
        ValueError: A shape cannot be drawn.
    """
    labels = torch.zeros(drawing.size, dtype=torch.int64)
    for shape in drawing.shapes:
        try:
            mask = shape.draw(drawing.size)
        except (ValueError, IndexError, OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
            raise ValueError(f"{drawing.file}: a shape of {shape.key[0]!r} cannot be drawn: {error}") from error
        labels[torch.from_numpy(mask)] = ids[shape.key]
    return labels


_MAX_SIDE = 100_000


def _points(shape: Mapping[str, Any], file: Path) -> _Points:
    """Corners (n, 2): x and y, from the upper left corner of the frame."""
    given = entry(shape, "points", list, file)
    try:
        points = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file}: points of {shape.get('label')!r} are not pairs of numbers") from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(f"{file}: points of {shape.get('label')!r} are not pairs of numbers")
    return points


def _polygon(points: _Points, mask: object, size: Size) -> npt.NDArray[np.bool_]:
    del mask
    if len(points) < 3:
        raise ValueError(f"a polygon has at least 3 corners, and it has {len(points)}")
    return np.asarray(polygon2mask(size, points[:, ::-1] - 0.5))  # a pixel belongs to it if its middle does


def _rectangle(points: _Points, mask: object, size: Size) -> npt.NDArray[np.bool_]:
    del mask
    (left, top), (right, bottom) = points[:2].min(0), points[:2].max(0)
    x, y = _middles(size)
    return np.asarray((x >= left) & (x < right) & (y >= top) & (y < bottom))


def _circle(points: _Points, mask: object, size: Size) -> npt.NDArray[np.bool_]:
    del mask
    x, y = _middles(size)
    return np.asarray(np.hypot(x - points[0, 0], y - points[0, 1]) <= math.dist(points[0], points[1]))


def _mask(points: _Points, mask: object, size: Size) -> npt.NDArray[np.bool_]:
    """A picture, whose upper left corner lies on the first point."""
    with PIL.Image.open(io.BytesIO(base64.b64decode(str(mask))), formats=("PNG",)) as picture:
        pixels = np.asarray(picture.convert("L")) > 0
    left, top = (int(value) for value in points[0])
    if not (0 <= top <= size[0] - pixels.shape[0] and 0 <= left <= size[1] - pixels.shape[1]):
        raise ValueError("its mask reaches out of the frame")
    drawn = np.zeros(size, dtype=np.bool_)
    drawn[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return drawn


def _middles(size: Size) -> tuple[_Points, _Points]:
    """X (1, W) and y (H, 1) of the pixels' middles."""
    rows, columns = (np.arange(side, dtype=np.float64) + 0.5 for side in size)
    return columns[None], rows[:, None]


_DRAWN: dict[str, Callable[[_Points, object, Size], npt.NDArray[np.bool_]]] = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "circle": _circle,
    "mask": _mask,
}
