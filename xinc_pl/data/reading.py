"""Photographs from disk or from scikit-image, as RGB tensors of one size."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps
import skimage.data
import skimage.io
import torch
from skimage.color import gray2rgb, rgba2rgb
from skimage.util import img_as_float32
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.frames import Size

SAMPLE_IMAGES = (
    "astronaut", "brick", "camera", "cell", "chelsea", "clock", "coffee", "coins", "colorwheel", "grass", "gravel",
    "hubble_deep_field", "immunohistochemistry", "moon", "page", "retina", "rocket", "text",
)  # fmt: skip
"""The images that scikit-image's wheel carries: the others of ``skimage.data`` need a download."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def read_image(image: str | Path) -> Tensor:
    """Read a file, or one of ``SAMPLE_IMAGES`` by name, as float32 RGB (3, H, W) in [0, 1].

    Grey images get three equal channels, 16 bits are scaled, transparent pixels are laid over white.

    Raises:
        ValueError: The image does not exist, is no image, or has an unexpected shape.
    """
    path = Path(image)
    if path.is_file():
        return rgb_from_pixels(_read_file(path), str(path))
    if str(image) in SAMPLE_IMAGES:
        return rgb_from_pixels(getattr(skimage.data, str(image))(), str(image))
    raise ValueError(f"image {str(image)!r} is neither a file nor one of scikit-image's: {', '.join(SAMPLE_IMAGES)}")


def rgb_from_pixels(pixels: npt.NDArray[np.generic], name: str) -> Tensor:
    """Bring pixels (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of any bit depth to float32 (3, H, W) in [0, 1].

    Args:
        pixels: Integers of any width, booleans, or floats in [0, 1].
        name: For the error message.

    Raises:
        ValueError: The shape is none of these, or floats lie outside of [0, 1].
    """
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
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"{name}: floating point images must lie in [0, 1]; scale it first")
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32))


def fit_to_size(images: Tensor, size: Size) -> Tensor:
    """Crop images (..., 3, h, w) around their centre to the shape of ``size`` and resize them: (..., 3, H, W).

    Bicubic with antialiasing, clamped to [0, 1]. (The published code resizes without antialiasing.)
    """
    height, width = images.shape[-2:]
    crop_height = min(height, max(round(width * size[0] / size[1]), 1))
    crop_width = min(width, max(round(height * size[1] / size[0]), 1))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    cropped = images[..., top : top + crop_height, left : left + crop_width]
    if (crop_height, crop_width) == tuple(size):
        return cropped.clamp(0, 1)
    batched = cropped.reshape(-1, *cropped.shape[-3:])
    resized = F.interpolate(batched, size=size, mode="bicubic", antialias=True, align_corners=False)
    return resized.reshape(*images.shape[:-2], *size).clamp(0, 1)


def _read_file(path: Path) -> npt.NDArray[np.generic]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # metadata that a reader does not know is no concern of ours
            # Pillow has no floats and no 16-bit colours, tifffile reads nothing else.
            is_tiff = path.suffix.lower() in (".tif", ".tiff")
            pixels = np.asarray(skimage.io.imread(path)) if is_tiff else _read_with_pillow(path)
    except Exception as error:  # every reader plugin raises errors of its own
        reason = str(error).strip().splitlines()
        raise ValueError(f"{path} cannot be read as an image: {reason[0] if reason else error!r}") from error
    if pixels.ndim == 4:  # an animation or a stack: the first picture
        pixels = pixels[0]
    return pixels


def _read_with_pillow(path: Path) -> npt.NDArray[np.generic]:
    """Pixels of the first picture in a file, the right way up, in one of the layouts of ``rgb_from_pixels``."""
    with PIL.Image.open(path) as picture:
        picture.load()
        upright = PIL.ImageOps.exif_transpose(picture)
    if "transparency" in upright.info:  # one colour, or some entries of the palette
        upright = upright.convert("RGBA")
    elif upright.mode == "I":  # what older Pillows make of a 16-bit PNG
        return np.asarray(upright).astype(np.uint16)
    elif upright.mode not in ("1", "L", "LA", "RGB", "RGBA") and not upright.mode.startswith("I;16"):
        upright = upright.convert("RGBA" if upright.mode in ("PA", "La", "RGBa") else "RGB")
    return np.asarray(upright)
