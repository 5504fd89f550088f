"""Figures as files: in this process, or in one of its own that does nothing else.

A process that draws says that it is ready, reads jobs from its standard input and answers on its standard output, each
a pickle after its length. It never speaks to anybody but the process that has started it.
"""

import gc
import os
import pickle
import struct
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

import numpy as np
from matplotlib.figure import Figure

from xinc_pl.pictures import Format, Pixels, png_bytes
from xinc_pl.plots.figures import pixels_of, vectors_of, with_note

Drawing = Callable[[], Figure | Pixels]
"""Draws when it is called; may be drawn in another process if it can be pickled, as ``functools.partial`` can."""

_LENGTH = struct.Struct("<Q")
_GREETING = b"xinc_pl is ready to draw\n"


@dataclass(frozen=True)
class Printed:
    """A picture as files.

    Attributes:
        png: Encoded pixels.
        height: In pixels.
        width: In pixels.
        vectors: The files that are no PNG, by their format.
    """

    png: bytes
    height: int
    width: int
    vectors: Mapping[Format, bytes]


def printed(picture: Figure | Pixels, formats: Sequence[Format], note: str = "") -> Printed:
    """A figure, or pixels (H, W, 3), which can be PNG only, as files.

    Args:
        picture: The picture.
        formats: In which there are to be files. A PNG is made in any case, because loggers want it.
        note: A line above the picture, or below where it is no PNG.
    """
    vectors: dict[Format, bytes] = {}
    if isinstance(picture, Figure):
        vectors = {kind: vectors_of(picture, kind, note) for kind in formats if kind != "png"}
        picture = pixels_of(picture)
    if note:
        picture = with_note(picture, note)
    return Printed(png_bytes(picture), picture.shape[0], picture.shape[1], vectors)


def side_by_side(drawings: Sequence[Drawing]) -> Pixels:
    """Several pictures of one height next to each other."""
    pictures = [drawing() for drawing in drawings]
    return np.hstack([pixels_of(each) if isinstance(each, Figure) else each for each in pictures])


def write_message(stream: IO[bytes], message: bytes) -> None:
    """Send some bytes."""
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def read_message(stream: IO[bytes]) -> bytes:
    """Receive some bytes.

    Raises:
        EOFError: Nobody is there any more.
    """
    length = _LENGTH.unpack(_exactly(stream, _LENGTH.size))[0]
    return _exactly(stream, length)


def await_greeting(stream: IO[bytes]) -> None:
    """Wait until a process is ready to draw, and pass over what is printed while it starts (by ``sitecustomize``, say).

    Raises:
        EOFError: It has ended before.
    """
    if not any(line.endswith(_GREETING) for line in iter(stream.readline, b"")):
        raise EOFError("the other process has ended")


def _exactly(stream: IO[bytes], number: int) -> bytes:
    content = stream.read(number)
    if len(content) < number:
        raise EOFError("the other process has ended")
    return content


def serve() -> None:
    """Draw what is asked for, until nobody asks any more. For a process of its own."""
    warnings.simplefilter("ignore")
    gc.freeze()  # what has been imported stays: not to be looked through again with every figure
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whoever prints is not to be taken for an answer
    answers.write(_GREETING)
    answers.flush()
    while True:
        try:
            job = read_message(sys.stdin.buffer)
        except EOFError:
            return
        try:
            drawing, formats, note = pickle.loads(job)
        except Exception:  # of a script or notebook, which is not to be run here
            write_message(answers, pickle.dumps(None))
        else:
            write_message(answers, pickle.dumps(answer_to(drawing, formats, note)))


def answer_to(drawing: Drawing, formats: Sequence[Format], note: str) -> Printed | Exception:
    """A drawing as files, or what goes wrong with it."""
    try:
        return printed(drawing(), formats, note)
    except Exception as error:
        error.add_note("".join(traceback.format_exception(error)))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return RuntimeError(f"{type(error).__name__}: {error}")
        return error
