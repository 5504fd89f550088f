"""What frames and layers callbacks may be asked for."""

from collections.abc import Sequence
from numbers import Integral

from xinc_pl.frames import Frame


def check_frames(owner: str, frames: object) -> None:
    """Insist on indices, or on Frames, each once.

    Raises:
        ValueError: Says which is not, or comes twice.
    """
    if frames is None:
        return
    wanted = "give a list of indices, such as [0, 10], or of Frames"
    if isinstance(frames, str) or not isinstance(frames, Sequence) or not frames:
        raise ValueError(f"{owner}: frames is {_shown(frames)}; {wanted}")
    for frame in frames:
        if isinstance(frame, bool) or not isinstance(frame, (Integral, Frame)):
            raise ValueError(f"{owner}: frames has {_shown(frame)}; {wanted}")
    if len({isinstance(frame, Frame) for frame in frames}) > 1:
        raise ValueError(f"{owner}: frames has indices and Frames; give all as the one or the other")
    indices = [frame.index if isinstance(frame, Frame) else int(frame) for frame in frames]
    if min(indices) < 0:
        raise ValueError(f"{owner}: frames has {min(indices)}; frames count from 0")
    twice = [index for index in indices if indices.count(index) > 1]
    if twice:
        raise ValueError(
            f"{owner}: frame {twice[0]} is among the frames {indices.count(twice[0])} times, and its pictures would "
            "overwrite each other; give each index once"
        )


def check_layers(owner: str, layers: object) -> None:
    """Insist on names, or on None for all layers.

    Raises:
        ValueError: Says what is no name.
    """
    if layers is None:
        return
    if isinstance(layers, str) or not isinstance(layers, Sequence):
        raise ValueError(f"{owner}: layers is {_shown(layers)}; give a list of names, or leave it out for all")
    if not layers:
        raise ValueError(f"{owner}: layers is empty; name some, or leave it out for all")
    wrong = [layer for layer in layers if not isinstance(layer, str)]
    if wrong:
        raise ValueError(f"{owner}: layers has {_shown(wrong[0])}; give names of layers")


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, (str, int, float, list, tuple, type(None))) else ""
    return text if 0 < len(text) <= 60 else f"of type {type(value).__name__}"
