"""PNGs of kinds that Pillow does not write, by the format's own rules."""

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt


def write_png(file: Path, rows: bytes, size: tuple[int, int], depth: int, colour_type: int) -> None:
    """Write packed rows, without their filter bytes: ``colour_type`` 0 is grey, 2 RGB."""
    stride = len(rows) // size[0]
    raw = b"".join(b"\0" + rows[start : start + stride] for start in range(0, len(rows), stride))
    header = struct.pack(">IIBBBBB", size[1], size[0], depth, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    with file.open("wb") as png:
        png.write(b"\x89PNG\r\n\x1a\n")
        for name, data in parts:
            png.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))


def write_rgb48(file: Path, pixels: npt.NDArray[np.uint16]) -> None:
    """(H, W, 3) of 16 bits each, as in KITTI's flow."""
    write_png(file, pixels.astype(">u2").tobytes(), pixels.shape[:2], 16, 2)
