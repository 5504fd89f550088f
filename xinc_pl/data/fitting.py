"""Pictures of one shape brought to another: cropped, padded or stretched; and the native size."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.frames import Size

Fit = Literal["crop", "pad", "stretch"]
FITS: tuple[Fit, ...] = get_args(Fit)


@dataclass(frozen=True)
class Fitting:
    """How pictures are brought to their size.

    Args:
        size: Height and width; None for the pictures' own.
        fit: What is done to pictures of another shape: see ``fit_to_size``.
        multiple_of: Of which number the sides of a size of their own are multiples.
        owner: Whose arguments these are, for messages.
    """

    size: Size | None
    fit: Fit
    multiple_of: int
    owner: str

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise ValueError(f"{self.owner}: fit is {self.fit!r}; choose from {', '.join(FITS)}")
        if self.multiple_of < 1:
            raise ValueError(f"{self.owner}: multiple_of is {self.multiple_of}; it must be at least 1")

    def apply(self, image: Tensor, name: str, pixel_aspect: float = 1.0) -> Tensor:
        """Bring an image (C, h, w) to its size.

        Args:
            image: In [0, 1].
            name: For the line that tells what is done to an image of another shape; empty for none.
            pixel_aspect: How many times as wide as high a pixel is to be shown.
        """
        height, width = image.shape[-2:]
        if self.size is not None:
            size, told = self.size, describe_fit(height, width, self.size, self.fit, pixel_aspect)
        else:
            size = native_size(height, width, self.multiple_of, pixel_aspect)
            told = describe_native(height, width, size, self.multiple_of, pixel_aspect)
            image = cropped_to_native(image, size) if pixel_aspect == 1 else image
        if told and name:
            rank_zero_info(f"{name}: {told}")
        return fit_to_size(image, size, self.fit, pixel_aspect)

    def apply_to_labels(self, labels: Tensor, pixel_aspect: float = 1.0) -> Tensor:
        """Bring labels (..., h, w) of an image's pixels to where ``apply`` brings the image: (..., H, W).

        Each pixel takes the label at its middle; where the image is padded, labels are 0.
        """
        height, width = labels.shape[-2:]
        if self.size is not None:
            return labels_to_size(labels, self.size, self.fit, pixel_aspect)
        size = native_size(height, width, self.multiple_of, pixel_aspect)
        labels = cropped_to_native(labels, size) if pixel_aspect == 1 else labels
        return labels_to_size(labels, size, self.fit, pixel_aspect)

    def scale(self, height: int, width: int, pixel_aspect: float = 1.0) -> tuple[float, float]:
        """By how much images of a size are enlarged, (vertically, horizontally): below 1 where they shrink."""
        size = self.size
        if size is None:
            size = native_size(height, width, self.multiple_of, pixel_aspect)
            if pixel_aspect == 1 and height >= size[0] and width >= size[1]:
                return 1.0, 1.0
        if self.fit == "crop":
            crop = _crop(height, width, size, pixel_aspect)
            return size[0] / crop[0], size[1] / crop[1]
        inner = size if self.fit == "stretch" else _inner(height, width, size, pixel_aspect)
        return inner[0] / height, inner[1] / width


def fit_to_size(images: Tensor, size: Size, fit: Fit = "crop", pixel_aspect: float = 1.0) -> Tensor:
    """Bring images (..., C, h, w) to a size: (..., C, H, W).

    Bicubic with antialiasing, clamped to [0, 1]. (The published code resizes without antialiasing.)

    Args:
        images: In [0, 1].
        size: Height and width.
        fit: ``crop`` around the centre to the shape of ``size``, ``pad`` with black to it, or ``stretch``.
        pixel_aspect: How many times as wide as high a pixel of the images is to be shown.
    """
    height, width = images.shape[-2:]
    if fit == "crop":
        crop_height, crop_width = _crop(height, width, size, pixel_aspect)
        top, left = (height - crop_height) // 2, (width - crop_width) // 2
        return _resized(images[..., top : top + crop_height, left : left + crop_width], size)
    if fit == "stretch":
        return _resized(images, size)
    inner_height, inner_width = _inner(height, width, size, pixel_aspect)
    top, left = (size[0] - inner_height) // 2, (size[1] - inner_width) // 2
    padded = images.new_zeros(*images.shape[:-2], *size)
    padded[..., top : top + inner_height, left : left + inner_width] = _resized(images, (inner_height, inner_width))
    return padded


def labels_to_size(labels: Tensor, size: Size, fit: Fit = "crop", pixel_aspect: float = 1.0) -> Tensor:
    """Bring labels (..., h, w) of images' pixels to a size as ``fit_to_size`` does the images: (..., H, W).

    Each pixel takes the label at its middle. Where images are padded, labels are 0.
    """
    height, width = labels.shape[-2:]
    if fit == "crop":
        crop_height, crop_width = _crop(height, width, size, pixel_aspect)
        top, left = (height - crop_height) // 2, (width - crop_width) // 2
        return _nearest(labels[..., top : top + crop_height, left : left + crop_width], size)
    if fit == "stretch":
        return _nearest(labels, size)
    inner_height, inner_width = _inner(height, width, size, pixel_aspect)
    top, left = (size[0] - inner_height) // 2, (size[1] - inner_width) // 2
    padded = labels.new_zeros(*labels.shape[:-2], *size)
    padded[..., top : top + inner_height, left : left + inner_width] = _nearest(labels, (inner_height, inner_width))
    return padded


def describe_fit(height: int, width: int, size: Size, fit: Fit, pixel_aspect: float = 1.0) -> str:
    """What is done to images of another shape than ``size``, in a line; empty where the shape is the same."""
    before, after = f"{height}x{width}", f"{size[0]}x{size[1]}"
    if pixel_aspect != 1:
        before += f" with pixels {pixel_aspect:g} times as wide as high"
    crop = _crop(height, width, size, pixel_aspect)
    if crop == (height, width):
        return ""
    if fit == "crop":
        lost = 1 - crop[0] * crop[1] / (height * width)
        sides = "left and right" if crop[0] == height else "top and bottom"
        return (
            f"{before} is cropped to its middle {crop[0]}x{crop[1]} for the shape of {after}: {lost:.1%} are lost "
            f"{sides} (fit: pad or stretch keeps them, size: null the shape)"
        )
    if fit == "stretch":
        return f"{before} is stretched to the shape of {after}"
    inner = _inner(height, width, size, pixel_aspect)
    return f"{before} is padded with black from {inner[0]}x{inner[1]} to {after}"


def describe_native(height: int, width: int, size: Size, multiple_of: int, pixel_aspect: float = 1.0) -> str:
    """What is done to images of their ``native_size``, in a line; empty where nothing is."""
    if size == (height, width):
        return ""
    reason = f"multiples of {multiple_of}" if pixel_aspect == 1 else f"whose pixels are {pixel_aspect:g} to 1"
    return f"{height}x{width} becomes {size[0]}x{size[1]}, {reason}"


def native_size(height: int, width: int, multiple_of: int, pixel_aspect: float = 1.0) -> Size:
    """The largest size, of sides that are multiples of a number, that images of a size fill without being enlarged.

    Where pixels are not square, the shorter side of a pixel is stretched to the longer one.
    """
    shown = (round(height / min(pixel_aspect, 1.0)), round(width * max(pixel_aspect, 1.0)))
    rows, columns = (max(side // multiple_of, 1) * multiple_of for side in shown)
    return rows, columns


def cropped_to_native(images: Tensor, size: Size) -> Tensor:
    """Images (..., C, h, w) cut to their ``native_size`` around the centre where they are larger along both axes."""
    height, width = images.shape[-2:]
    if height < size[0] or width < size[1]:
        return images
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return images[..., top : top + size[0], left : left + size[1]]


def _crop(height: int, width: int, size: Size, pixel_aspect: float) -> Size:
    """Height and width of the largest part that has the shape of ``size``."""
    return (
        min(height, max(round(width * pixel_aspect * size[0] / size[1]), 1)),
        min(width, max(round(height * size[1] / (size[0] * pixel_aspect)), 1)),
    )


def _inner(height: int, width: int, size: Size, pixel_aspect: float) -> Size:
    """Height and width of the whole image within ``size``."""
    scale = min(size[0] / height, size[1] / (width * pixel_aspect))
    return (
        min(size[0], max(round(height * scale), 1)),
        min(size[1], max(round(width * pixel_aspect * scale), 1)),
    )


def _nearest(labels: Tensor, size: Size) -> Tensor:
    """Of each pixel, the label that its middle falls on. In whole numbers: there is nothing to round."""
    rows, columns = (
        (2 * torch.arange(after) + 1) * before // (2 * after)
        for before, after in zip(labels.shape[-2:], size, strict=True)
    )
    return labels[..., rows[:, None], columns]


def _resized(images: Tensor, size: Size) -> Tensor:
    if tuple(images.shape[-2:]) == tuple(size):
        return images.clamp(0, 1)
    batched = images.reshape(-1, *images.shape[-3:])
    resized = F.interpolate(batched, size=size, mode="bicubic", antialias=True, align_corners=False)
    return torch.reshape(resized, (*images.shape[:-2], *size)).clamp(0, 1)
