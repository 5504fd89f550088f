"""TIFFs that Pillow cuts down to 8 bits or cannot read: more bits, floats and signed integers in several channels."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from tifffile import TiffPage

from xinc_pl.data._profiles import is_srgb

Pixels = npt.NDArray[Any]

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB = 0, 1, 2
_ASSOCIATED_ALPHA, _ALPHA = 1, 2


def is_tiff(path: Path) -> bool:
    """Whether a file starts as a TIFF does."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff(path: Path, deep_only: bool = True) -> Pixels | None:
    """Pixels of the first picture of a grey or RGB TIFF, the right way up: (H, W), (H, W, 3) or (H, W, 4).

    Args:
        path: The file.
        deep_only: Leave to Pillow what it can read without loss.

    Returns:
        None where Pillow reads all that there is: 8 bits, palettes, other colours than grey and RGB, colour profiles.

    Raises:
        ValueError: The layout of the samples has no meaning as a picture, or they are packed in a way that tifffile
            does not know by itself; of these Pillow's libtiff knows most.
    """
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert isinstance(page, TiffPage)
        grey = page.photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK)
        is_deep = page.dtype is not None and (page.dtype.itemsize > 1 or page.dtype.kind == "i")
        if not (grey or page.photometric == _RGB):
            return None
        if deep_only and not (is_deep and is_srgb(page.iccprofile, "L" if grey else "RGB")):
            return None  # a profile is applied to 8 bits
        if len(file.pages) > 1:
            rank_zero_info(f"{path}: the first of its {len(file.pages)} pictures is taken")
        values = page.asarray()
        if "S" in page.axes:
            values = np.moveaxis(values, page.axes.index("S"), -1)
        if page.axes.replace("S", "") != "YX":
            raise ValueError(f"it has the axes {page.axes}, but a picture has rows, columns and colours")
        return _upright(_as_picture(values, page), page)


def _as_picture(values: Pixels, page: TiffPage) -> Pixels:
    """Samples (H, W) or (H, W, S) with black at zero, full scale at the type's largest number, alpha last."""
    if values.dtype.kind == "u" and page.bitspersample not in (8 * values.dtype.itemsize, 8):
        values = values / np.float32(2**page.bitspersample - 1)  # 10 to 14 bits
    if page.photometric == _MIN_IS_WHITE:
        values = (1 if values.dtype.kind == "f" else np.iinfo(values.dtype).max) - values
    if values.ndim == 2:
        return values
    num_colours = 3 if page.photometric == _RGB else 1
    kinds = list(page.extrasamples)
    if not kinds or kinds[0] not in (_ALPHA, _ASSOCIATED_ALPHA):
        if page.photometric != _RGB and values.shape[-1] not in (1, 3):
            raise ValueError(
                f"it has {values.shape[-1]} channels that are not said to be colours; give one picture per channel, or "
                "Frames of your own"
            )
        return values[..., :3]
    alpha = values[..., num_colours : num_colours + 1]
    colours = values[..., :num_colours]
    if kinds[0] == _ASSOCIATED_ALPHA:
        full = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
        colours = np.divide(colours, alpha / full, out=np.zeros(colours.shape), where=alpha > 0).clip(0, full)
        colours = colours.astype(values.dtype)
    return np.concatenate([colours, alpha], axis=-1)


def _upright(values: Pixels, page: TiffPage) -> Pixels:
    """Turn pixels by the tag Orientation."""
    tag = page.tags.get(274)
    orientation = int(tag.value) if tag is not None else 1
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):  # the first row is at the bottom, or the first column is
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values
