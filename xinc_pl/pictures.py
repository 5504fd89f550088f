"""Pixels, and the formats in which pictures are written."""

import io
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Format = Literal["png", "pdf", "svg"]


def png_bytes(pixels: Pixels) -> bytes:
    """Encode an image (H, W, 3), or a grey one (H, W)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=2)
    return buffer.getvalue()
