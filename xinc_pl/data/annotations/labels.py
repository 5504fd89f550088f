"""Pictures whose pixels are labels: with a palette, grey of any depth, or colours as in COCO's panoptic format."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import PIL.ImageOps
import torch
from torch import Tensor

from xinc_pl.data._pillow import opened
from xinc_pl.data.reading import guarded

Wanted = Literal["any", "numbers", "colours"]

MAX_LABELS = 2000
"""Of one picture; more of them are no masks."""

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
"""Colour types of a PNG."""


def read_labels(file: Path, wanted: Wanted = "any") -> Tensor:
    """Read a picture of labels: int64 (H, W).

    With a palette, the label is the entry's number; grey pictures of 1 to 32 bits are labels as they are; in colours
    it is R + 256 G + 65536 B, COCO's rule. Fully transparent pixels are 0.

    Args:
        file: A PNG, or another picture without loss.
        wanted: ``numbers`` refuses palettes and colours, ``colours`` refuses palettes.

    Raises:
        ValueError: It cannot be read, is none of these or not what is wanted, or has more labels than ``MAX_LABELS``.
    """
    labels = torch.from_numpy(guarded(file, lambda: _read(file, wanted)))
    number = len(labels.unique())
    if number > MAX_LABELS:
        raise ValueError(f"{file} has {number} different labels; that is a photograph rather than masks of objects")
    return labels


def _read(file: Path, wanted: Wanted) -> npt.NDArray[np.int64]:
    depth, colour_type = _png_kind(file)
    with opened(file) as picture:
        if picture.format in ("JPEG", "MPO"):
            raise ValueError("JPEG blurs labels, so that none can be trusted; save masks as PNG")
        picture.load()
        upright = PIL.ImageOps.exif_transpose(picture)
        mode = upright.mode
        if mode in ("RGB", "RGBA", "LA", "La") and depth == 16:
            raise ValueError("it has 16 bits per colour; labels are grey, with a palette, or colours of 8 bits")
        pixels = np.asarray(upright)
    if mode in ("P", "PA"):
        _refuse_palette(wanted)
    elif mode in ("RGB", "RGBA"):
        if wanted == "numbers":
            raise ValueError("it is in colours, and numbers are wanted: grey of 8 or 16 bits")
        return _without_transparent(pixels.astype(np.int64) @ np.array([1, 256, 65536, 0][: pixels.shape[-1]]), pixels)
    elif mode not in ("1", "L", "LA", "I") and not mode.startswith("I;16"):
        raise ValueError(f"its pixels are of Pillow's kind {mode}; labels are grey, with a palette, or RGB")
    if pixels.ndim == 3:
        return _without_transparent(pixels[..., 0].astype(np.int64), pixels)
    labels = pixels.astype(np.int64)
    if colour_type == _GREY and depth in (2, 4):
        labels //= 255 // (2**depth - 1)  # Pillow stretches them to 8 bits
    return labels


def _refuse_palette(wanted: Wanted) -> None:
    if wanted == "numbers":
        raise ValueError("it has a palette, whose 256 entries cannot hold these numbers; save it as grey of 16 bits")
    if wanted == "colours":
        raise ValueError(
            "it has a palette, and the ids wanted are colours (R + 256 G + 65536 B); save it as RGB without a palette"
        )


def _without_transparent(labels: npt.NDArray[np.int64], pixels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    return np.where(pixels[..., -1] == 0, 0, labels) if pixels.shape[-1] in (2, 4) else labels


def _png_kind(file: Path) -> tuple[int | None, int | None]:
    """Bits per sample and colour type of a PNG; None of another file."""
    with file.open("rb") as opened_file:
        start = opened_file.read(26)
    return (start[24], start[25]) if start.startswith(_PNG) and len(start) == 26 else (None, None)
