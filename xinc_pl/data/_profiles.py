"""Colour profiles: pixels as they would look in sRGB, which is what every picture here is in."""

import io
from functools import lru_cache

import numpy as np
import PIL.Image
import PIL.ImageCms
from lightning.pytorch.utilities.rank_zero import rank_zero_info

_ALPHA_OF = {"LA": "L", "RGBA": "RGB"}
_PROFILED = ("L", "RGB", "CMYK", "LAB")
"""Modes of pixels that a profile can describe."""


def to_srgb(picture: PIL.Image.Image, name: str) -> PIL.Image.Image:
    """A picture in sRGB: by its colour profile where it has one; CIE Lab always.

    Args:
        picture: ``L``, ``LA``, ``RGB``, ``RGBA``, ``CMYK`` or ``LAB``; others are returned as they are.
        name: For the line that is printed where the profile cannot be used.

    Returns:
        The same object where nothing is to be done; else ``RGB`` or ``RGBA``.
    """
    mode = _ALPHA_OF.get(picture.mode, picture.mode)
    profile = picture.info.get("icc_profile")
    if mode not in _PROFILED or not (profile or mode == "LAB"):
        return picture
    try:
        transform = _transform(profile if mode != "LAB" else None, mode)
    except (PIL.ImageCms.PyCMSError, OSError, ValueError, TypeError):
        rank_zero_info(f"{name}: its colour profile cannot be used, so its colours are taken for sRGB")
        return picture
    if transform is None:
        return picture
    opaque = picture if picture.mode == mode else picture.convert(mode)
    converted = PIL.ImageCms.applyTransform(opaque, transform)
    assert converted is not None, "not in place"
    if picture.mode != mode:
        converted.putalpha(picture.getchannel("A"))
    return converted


def is_srgb(profile: bytes | None, mode: str) -> bool:
    """Whether a profile leaves all colours of a mode as they are. No profile does, and one that cannot be used."""
    try:
        return not profile or _transform(profile, mode) is None
    except (PIL.ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return True


@lru_cache(maxsize=16)
def _transform(profile: bytes | None, mode: str) -> PIL.ImageCms.ImageCmsTransform | None:
    """From a profile (None for CIE Lab) to sRGB; None if that changes nothing."""
    described = io.BytesIO(profile) if profile is not None else PIL.ImageCms.createProfile("LAB")
    source = PIL.ImageCms.ImageCmsProfile(described)
    intent = PIL.ImageCms.Intent(PIL.ImageCms.getDefaultIntent(source))
    transform = PIL.ImageCms.buildTransform(source, PIL.ImageCms.createProfile("sRGB"), mode, "RGB", intent)
    if mode in ("L", "RGB"):
        # sRGB is known by what it does, for its profiles are many. Rounding is not worth a change of all pixels.
        levels = np.arange(0, 256, 15, dtype=np.uint8)
        steps = levels[None] if mode == "L" else np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
        before = PIL.Image.fromarray(steps)
        after = PIL.ImageCms.applyTransform(before, transform)
        change = np.asarray(after, dtype=int) - np.asarray(before.convert("RGB"), dtype=int)
        if np.abs(change).max() <= 1:
            return None
    return transform
