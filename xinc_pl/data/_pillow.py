"""What Pillow reads: pictures of every kind, the right way up and in sRGB, and the pictures of animations."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageFile
import PIL.ImageOps

from xinc_pl.data._profiles import to_srgb

Pixels = npt.NDArray[Any]

_NOT_READ = ("EPS", "MPEG")
"""The first is a program, which Ghostscript would run; of the second Pillow only knows the size."""
_PLUGINS = {
    "HEIF": ("pillow_heif", "register_heif_opener", "pillow-heif"),
    "AVIF": ("pillow_heif", "register_avif_opener", "Pillow 11.3 or later"),
    "JPEG XL": ("pillow_jxl", "", "pillow-jxl-plugin"),
}
"""By kind: the module that reads it where Pillow does not, what registers it there, and what to install."""
_PLUGIN_SUFFIXES = {".heic": "HEIF", ".heif": "HEIF", ".hif": "HEIF", ".avif": "AVIF", ".jxl": "JPEG XL"}
_RAW_SUFFIXES = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw")
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIF"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}


@cache
def formats() -> tuple[str, ...]:
    """Pillow's formats whose pixels it reads itself."""
    PIL.Image.init()
    return tuple(
        name
        for name, (factory, _) in PIL.Image.OPEN.items()
        if name not in _NOT_READ
        and not (isinstance(factory, type) and issubclass(factory, PIL.ImageFile.StubImageFile))
    )


@cache
def image_suffixes() -> tuple[str, ...]:
    """Suffixes of pictures, in lower case: those that Pillow reads, and those that it reads with a plug-in."""
    known = {suffix for suffix, name in PIL.Image.registered_extensions().items() if name in formats()}
    common = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".avif", ".heic", ".bmp", ".gif")
    return common + tuple(sorted((known | set(_PLUGIN_SUFFIXES)) - set(common)))


@contextmanager
def opened(path: Path) -> Iterator[PIL.Image.Image]:
    """Open a picture.

    Raises:
        ValueError: Its kind needs a plug-in, or is the raw data of a camera.
        OSError: It is no picture.
    """
    if path.suffix.lower() in _RAW_SUFFIXES:
        raise ValueError("raw data of a camera; develop it first, to PNG, JPEG or TIFF")
    kind = _kind_of(path)
    try:
        picture = PIL.Image.open(path, formats=formats())
    except PIL.UnidentifiedImageError:
        if kind is None:
            raise
        if not _register(kind):
            raise ValueError(f"{kind} needs a plug-in of Pillow's: pip install {_PLUGINS[kind][2]}") from None
        picture = PIL.Image.open(path)
    with picture:
        yield picture


def pixels_of(picture: PIL.Image.Image, name: str) -> Pixels:
    """Pixels of an opened picture: the right way up, in sRGB, in one of the layouts of ``rgb_from_pixels``.

    Args:
        picture: At the frame that is wanted.
        name: For lines that are printed.
    """
    bits = _bits_per_sample(picture)
    picture.load()
    upright = PIL.ImageOps.exif_transpose(picture)
    if "transparency" in upright.info and upright.mode in ("1", "L", "P", "RGB"):
        upright = upright.convert("RGBA")  # one colour, or some entries of the palette
    if upright.mode == "I" and picture.format in ("PNG", "PPM"):  # which have no more than 16 bits
        return np.asarray(upright).astype(np.uint16)
    if upright.mode.startswith("I;16"):
        values = np.asarray(upright).astype(np.uint16)
        return values if bits in (None, 16) else values / np.float32(2**bits - 1)
    if upright.mode in ("I", "F"):
        return np.asarray(upright)
    if upright.mode in ("P", "PA", "La", "RGBa", "HSV", "YCbCr", "RGBX"):
        upright = upright.convert("RGBA" if upright.mode in ("PA", "La", "RGBa") else "RGB")
    upright = to_srgb(upright, name)
    if upright.mode not in ("1", "L", "LA", "RGB", "RGBA"):
        upright = upright.convert("RGB")
    return np.asarray(upright)


def num_pictures(picture: PIL.Image.Image) -> int:
    """How many pictures an animation or a stack has; 1 of a photograph with a thumbnail or a depth map."""
    return 1 if picture.format in ("MPO", "ICO", "ICNS", "PSD", "HEIF") else int(getattr(picture, "n_frames", 1))


def _kind_of(path: Path) -> str | None:
    """The kind of a picture that may need a plug-in, by its first bytes, or else by its suffix."""
    with path.open("rb") as file:
        start = file.read(12)
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12])
    if start.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "JPEG XL"
    return None


def _register(kind: str) -> bool:
    """Teach Pillow a kind of picture, if its plug-in is installed."""
    module, function, _ = _PLUGINS[kind]
    try:
        plugin = importlib.import_module(module)
        if function:
            getattr(plugin, function)()
    except (ImportError, AttributeError):
        return False
    return True


def _bits_per_sample(picture: PIL.Image.Image) -> int | None:
    """Of a TIFF, which keeps 12 bits in 16; None if it is another kind of picture."""
    tags = getattr(picture, "tag_v2", None)
    bits = tags.get(258) if tags is not None else None
    return int(bits[0]) if bits else None
