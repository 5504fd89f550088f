"""A recording that can be dissected, written, and read again."""

import os
from dataclasses import fields
from typing import Any, Self

import torch
from torch import nn

from xinc_pl.canvas.canvas import Canvas
from xinc_pl.canvas.dissect import dissect_recording
from xinc_pl.canvas.layers.reading import read
from xinc_pl.canvas.recording import network as networks
from xinc_pl.canvas.recording import recording as core
from xinc_pl.canvas.recording.file import Moment, RecordingFile, save_recordings
from xinc_pl.canvas.recording.image import Selection
from xinc_pl.canvas.recording.undisturbed import undisturbed


class Recording(core.Recording):
    """What a network computed on one frame: it can be dissected, written into a file, and read again.

    No tensor in it changes, not even where the training goes on: parameters are copies.
    """

    @classmethod
    def of(cls, recorded: core.Recording) -> Self:
        """The same recording, with what can be done with it."""
        return cls(**{field.name: getattr(recorded, field.name) for field in fields(recorded)})

    def dissect(self, **arguments: Any) -> Canvas:  # noqa: ANN401 - those of dissect_recording
        """What each neuron contributes to each pixel.

        Args:
            arguments: Those of ``xinc_pl.dissect`` from ``convention`` on.

        Raises:
            DissectionError: The network is no chain of layers, or its maps do not pass their check.
            ValueError: An argument does not fit.
        """
        return dissect_recording(self, **arguments)

    def layer_names(self) -> tuple[str, ...]:
        """Names of the layers that lead to the image; under ``effect`` all of them can be dissected.

        Raises:
            DissectionError: There is none, or something that was not recorded hides the way to the image.
        """
        with undisturbed():
            return tuple(layer.name for layer in read(self.sample or self).layers)

    def save(self, path: str | os.PathLike[str], moment: Moment | None = None) -> None:
        """Write it into a file in the safetensors format, from which it is computed again without the network's class.

        The file holds weights, inputs and constants, and which functions of torch were called on them.

        Args:
            path: The file; its folder is made. It is never seen half-written.
            moment: When it was made.

        Raises:
            RecordingFileError: A call cannot be written, as one of a function that is not torch's; names it. There is
                no file then.
        """
        save_recordings(path, {"recording": self}, None if moment is None else {"recording": moment})

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        device: torch.device | str = "cpu",
        max_bytes: int | None = None,
    ) -> Self:
        """Read a file, and compute from it what was recorded. A file from a stranger is safe to open.

        Args:
            path: The file.
            name: Which of its recordings; may be left out where there is one.
            device: Where to compute.
            max_bytes: What all tensors may take; half of the machine's memory by default.

        Raises:
            RecordingFileError: The file is damaged, asks for something that no file may, or takes too much memory.
            OSError: It cannot be read at all.
        """
        return cls.of(RecordingFile(path).load(name, device=device, max_bytes=max_bytes))


def record(
    network: nn.Module,
    inputs: Any,  # noqa: ANN401 - whatever a network takes
    *,
    size: tuple[int, int] | None = None,
    output: Selection | None = None,
) -> Recording:
    """Call a network once and record what it computes.

    The network, its mode, and the process's random state come back as they were.

    Where that would take much memory, and every pixel turns out to be a network of its own, it is called on a sample of
    the pixels instead, twice; what it computes for the others is computed again from their inputs when it is asked for.

    Args:
        network: Any module. One in half precision is recorded in full precision.
        inputs: What it is called with: a tensor, or any nest of tensors; a tuple is its positional arguments; or
            ``Inputs``.
        size: Height and width of the image. May be left out where the output's shape tells.
        output: Which part of what it returns is the image: a key, an index, a path of them, or a function of the
            result.

    Raises:
        DissectionError: The output is no image, or not finite.
        ValueError: An argument does not fit.
    """
    return Recording.of(networks.record(network, inputs, size=size, output=output))
