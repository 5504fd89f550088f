"""What a notebook shows of a canvas: small maps, as PNG within HTML, without matplotlib."""

import base64
import struct
import zlib
from collections.abc import Sequence
from html import escape

import torch
from torch import Tensor
from torch.nn import functional as F

_SIDE = 96
"""Pixels of a map's longer side."""
_GAP = 3
_FULL = 10.0
"""Where the colours end, in units of the mean magnitude of the maps that are shown."""
_NEGATIVE, _ZERO, _POSITIVE = ((33, 102, 172), (247, 247, 247), (178, 24, 43))


def mosaic(maps: Tensor) -> Tensor:
    """Signed maps side by side: blue where negative, red where positive, by the square root of their magnitude.

    Args:
        maps: (n, H, W), at least one.

    Returns:
        uint8 (height, width, 3), on the CPU.
    """
    scale = _SIDE / max(maps.shape[1:])
    size = (max(round(maps.shape[1] * scale), 1), max(round(maps.shape[2] * scale), 1))
    mode = "area" if scale < 1 else "nearest"
    small = F.interpolate(maps.detach().float().cpu()[:, None], size, mode=mode)[:, 0]
    unit = float(maps.abs().mean()) or 1.0
    strength = (small.abs() / (unit * _FULL)).clamp(0, 1).sqrt()[..., None]
    ends = torch.where(small[..., None] < 0, torch.tensor(_NEGATIVE), torch.tensor(_POSITIVE)).float()
    tiles = torch.lerp(torch.tensor(_ZERO).float(), ends, strength).round().byte()
    tiles = F.pad(tiles, (0, 0, 0, _GAP), value=255)  # a white gap to the right of each
    return tiles.permute(1, 0, 2, 3).reshape(size[0], -1, 3)[:, :-_GAP]


def as_picture(image: Tensor) -> Tensor:
    """An image (C, H, W) in [0, 1] as uint8 (H, W, 3): grey, or its first three channels, the missing ones black."""
    shown = image.detach().float().cpu().clamp(0, 1)
    shown = shown.expand(3, -1, -1) if len(shown) == 1 else F.pad(shown, (0, 0, 0, 0, 0, max(3 - len(shown), 0)))[:3]
    return (shown * 255).round().byte().permute(1, 2, 0)


def png(pixels: Tensor) -> bytes:
    """Encode uint8 (H, W, 3)."""
    height, width, _ = pixels.shape
    rows = F.pad(pixels.reshape(height, width * 3), (1, 0))  # a filter byte before each row: none
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.contiguous().numpy().tobytes())), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def picture_tag(pixels: Tensor, words: str) -> str:
    """A picture within HTML; ``words`` say what it shows."""
    data = base64.b64encode(png(pixels)).decode()
    return f'<img alt="{escape(words)}" title="{escape(words)}" src="data:image/png;base64,{data}">'


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Two columns: words, which are escaped, and HTML, which is not."""
    cells = (
        f'<tr><td style="text-align:left;vertical-align:top">{escape(words)}</td>'
        f'<td style="text-align:left">{html}</td></tr>'
        for words, html in rows
    )
    return f"<table>{''.join(cells)}</table>"
