"""Photographs from disk or from scikit-image, as RGB tensors."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL.Image
import skimage.data
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from skimage.color import gray2rgb, rgba2rgb
from skimage.util import img_as_float32
from torch import Tensor

from xinc_pl.data._pillow import Pixels, num_pictures, opened, pixels_of
from xinc_pl.data._tiff import is_tiff, read_tiff

SAMPLE_IMAGES = (
    "astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "colorwheel", "grass", "gravel",
    "hubble_deep_field", "immunohistochemistry", "moon", "page", "retina", "rocket", "text",
)  # fmt: skip
"""The images that scikit-image's wheel carries: the others of ``skimage.data`` need a download."""

_Result = TypeVar("_Result")


def read_image(image: str | Path) -> Tensor:
    """Read a file, or one of ``SAMPLE_IMAGES`` by name, as float32 RGB (3, H, W) in [0, 1].

    The picture is turned the right way up and its colours are brought to sRGB, as viewers do. Grey images get three
    equal channels, more than 8 bits are scaled, transparent pixels are laid over white. Of an animation or a stack the
    first picture is taken.

    Raises:
        ValueError: The image does not exist, is no image, or has an unexpected shape.
    """
    path = Path(image).expanduser()
    if path.is_file():
        return rgb_from_pixels(guarded(path, lambda: _read_file(path)), str(path))
    if str(image) in SAMPLE_IMAGES:
        return rgb_from_pixels(getattr(skimage.data, str(image))(), str(image))
    raise ValueError(f"image {str(image)!r} is neither a file nor one of scikit-image's: {', '.join(SAMPLE_IMAGES)}")


def rgb_from_pixels(pixels: Pixels, name: str) -> Tensor:
    """Bring pixels (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of any bit depth to float32 (3, H, W) in [0, 1].

    Args:
        pixels: Integers of any width that are not negative, booleans, or floats in [0, 1].
        name: For the error message.

    Raises:
        ValueError: The shape is none of these, or the values are.
    """
    _check_values(pixels, name)
    values = np.asarray(img_as_float32(pixels), dtype=np.float32)
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 2:
        values = gray2rgb(values)
    elif values.ndim == 3 and values.shape[-1] == 2:  # grey with alpha
        values = rgba2rgb(np.concatenate([gray2rgb(values[..., 0]), values[..., 1:]], axis=-1))
    elif values.ndim == 3 and values.shape[-1] == 4:
        values = rgba2rgb(values)
    if values.ndim != 3 or values.shape[-1] != 3:
        raise ValueError(f"{name}: an image of shape {pixels.shape} is neither grey, RGB nor RGBA")
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32))


def guarded(path: Path, read: Callable[[], _Result]) -> _Result:
    """Read a picture; whatever goes wrong is one line that names the file.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # metadata that a reader does not know is no concern of ours
            return read()
    except Exception as error:  # every format's reader raises errors of its own
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise ValueError(f"{path} cannot be read as an image: {reason}") from error


def _check_values(pixels: Pixels, name: str) -> None:
    """Insist on values whose black and white are known."""
    if pixels.dtype.kind not in "buif" or not pixels.size:
        raise ValueError(f"{name}: {pixels.size} values of type {pixels.dtype} are no image")
    if pixels.dtype.kind in "bu":
        return
    low, high = pixels.min(), pixels.max()
    if pixels.dtype.kind == "i" and low < 0:
        raise ValueError(
            f"{name}: its {pixels.dtype} values go from {low} to {high}; an image has none below 0: shift and scale it "
            "first"
        )
    if pixels.dtype.kind == "f" and not (low >= 0 and high <= 1):
        raise ValueError(
            f"{name}: its {pixels.dtype} values go from {low:g} to {high:g}; floating point images must lie in [0, 1]: "
            "scale it first"
        )


def _read_file(path: Path) -> Pixels:
    trouble: Exception | None = None
    if is_tiff(path):
        try:
            pixels = read_tiff(path)
            if pixels is not None:
                return pixels
        except Exception as error:  # tifffile's own, and what it stumbles over
            trouble = error
    try:
        with opened(path) as picture:
            if num_pictures(picture) > 1:
                rank_zero_info(f"{path}: the first of its {num_pictures(picture)} pictures is taken")
            pixels = pixels_of(picture, str(path))
    except PIL.UnidentifiedImageError:
        if trouble is not None:
            raise trouble from None
        others = read_tiff(path, deep_only=False) if is_tiff(path) else None
        if others is None:
            raise ValueError("no kind of picture that Pillow knows") from None
        return others
    if trouble is not None and pixels.dtype == np.uint8:
        rank_zero_info(f"{path}: read with 8 bits per channel, for {trouble}")
    return pixels
