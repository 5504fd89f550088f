"""A film that grows: pictures are appended to an animated WebP file, at the same cost however long it is.

Such a file is a list of chunks (name, size, content) in one large RIFF chunk, and every picture is a chunk of its own.
Pillow encodes the pictures; it writes whole films only.
"""

import io
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from xinc_pl.callbacks.aside import write_aside
from xinc_pl.pictures import Pixels

_QUALITY = 90
_EFFORT = 2
"""Of 0 to 6. More takes twice the time and saves a twentieth of the bytes."""
_HEADER = 8
"""Bytes of a chunk's name and size."""
_START = 12
"""Bytes of a file before its first chunk."""


class Film:
    """A film in a file, which is whole whenever somebody looks: a picture counts when the file's size says so.

    Args:
        path: The file, ``*.webp``.
        milliseconds: How long each picture is shown.
    """

    def __init__(self, path: Path, milliseconds: int) -> None:
        self.path = path
        self.milliseconds = milliseconds
        self.num_bytes = 0
        """How long the film is; whatever stands in the file after it is what is left of an interrupted append."""

    def continue_from(self, path: Path, num_bytes: int, size: tuple[int, int]) -> None:
        """Begin with the pictures of another film, up to a length that its ``num_bytes`` once was.

        Args:
            path: Of the other film.
            num_bytes: How much of it.
            size: Height and width of the pictures that are to follow.

        Raises:
            ValueError: The file holds no such film.
            OSError: It cannot be read.
        """
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        with path.open("rb") as file:
            film = file.read(num_bytes)
        start = _whole(_canvas_chunks(*size), [])
        if len(film) != num_bytes or film[_HEADER : len(start)] != start[_HEADER:]:
            raise ValueError(f"{path} does not hold a film of {size[0]}x{size[1]} pixels and {num_bytes} bytes")
        write_aside(self.path, film[:4] + struct.pack("<I", num_bytes - _HEADER) + film[_HEADER:])
        self.num_bytes = num_bytes

    def append(self, pixels: Pixels) -> None:
        """Append a picture (H, W, 3), of the same size as all others."""
        picture = _picture_chunk(pixels, self.milliseconds)
        if self.num_bytes == 0 or not self.path.exists():
            film = _whole(_canvas_chunks(pixels.shape[0], pixels.shape[1]), [picture])
            write_aside(self.path, film)
            self.num_bytes = len(film)
            return
        with self.path.open("r+b") as file:
            try:
                file.seek(self.num_bytes)
                file.write(picture)
                file.flush()
            except BaseException:
                file.truncate(self.num_bytes)
                raise
            file.seek(4)
            file.write(struct.pack("<I", self.num_bytes + len(picture) - _HEADER))
        self.num_bytes += len(picture)

    def excerpt(self, num_pictures: int) -> bytes:
        """An animated PNG of at most so many of the pictures, evenly chosen, the first and the last among them."""
        with self.path.open("rb") as file:
            canvas, places = _chunks(file, self.num_bytes)
            chosen = np.unique(np.linspace(0, len(places) - 1, num_pictures).round().astype(int))
            film = _whole(canvas, [_read(file, *places[index]) for index in chosen])
        pictures = []
        with Image.open(io.BytesIO(film)) as frames:
            for index in range(len(chosen)):
                frames.seek(index)
                pictures.append(frames.convert("RGB"))
        durations = [self.milliseconds] * (len(pictures) - 1) + [3 * self.milliseconds]
        buffer = io.BytesIO()
        pictures[0].save(
            buffer, "PNG", save_all=True, append_images=pictures[1:], duration=durations, loop=0, compress_level=2
        )
        return buffer.getvalue()


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _three_bytes(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(3, "little") for number in numbers)


def _canvas_chunks(height: int, width: int) -> bytes:
    """What stands before the pictures: that it is an animation, its size; a white ground, and that it never ends."""
    is_animation = 0x02
    size = struct.pack("<I", is_animation) + _three_bytes(width - 1, height - 1)
    return _chunk(b"VP8X", size) + _chunk(b"ANIM", b"\xff\xff\xff\xff" + struct.pack("<H", 0))


def _picture_chunk(pixels: Pixels, milliseconds: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=_QUALITY, method=_EFFORT)
    still = buffer.getvalue()[_START:]
    covers_the_one_before = 0x02
    place = _three_bytes(0, 0, pixels.shape[1] - 1, pixels.shape[0] - 1, milliseconds) + bytes([covers_the_one_before])
    return _chunk(b"ANMF", place + still)


def _whole(canvas: bytes, pictures: Sequence[bytes]) -> bytes:
    return _chunk(b"RIFF", b"WEBP" + canvas + b"".join(pictures))


def _chunks(file: BinaryIO, num_bytes: int) -> tuple[bytes, list[tuple[int, int]]]:
    """What stands before the pictures, and where each of these begins and ends."""
    starts, place = [], _START
    while place < num_bytes:
        name, size = struct.unpack("<4sI", _read(file, place, place + _HEADER))
        if name == b"ANMF":
            starts.append(place)
        place += _HEADER + size + size % 2
    return _read(file, _START, starts[0]), list(pairwise([*starts, num_bytes]))


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)
