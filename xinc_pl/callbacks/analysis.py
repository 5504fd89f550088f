"""What an analysis needs to know and what it makes, whenever that is: while a network trains, or from recordings."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from torch import nn

from xinc_pl.analysis.dissected import DissectedFrame, Output
from xinc_pl.analysis.request import Request
from xinc_pl.arguments import MAX_SEED, check_whole
from xinc_pl.callbacks.arguments import check_frames, check_layers
from xinc_pl.callbacks.board import Board, LayerNames
from xinc_pl.callbacks.guide import Chapter
from xinc_pl.callbacks.outputs import Outputs, check_formats
from xinc_pl.canvas import CONVENTIONS, Convention, Recording
from xinc_pl.frames import Frame
from xinc_pl.names import path_part, trouble_with
from xinc_pl.pictures import Format
from xinc_pl.suggestions import did_you_mean


class Analysis(ABC):
    """Looks at dissected frames, and hands pictures and numbers out. It knows no trainer.

    Attributes:
        meanings: What each quantity that it logs means, for the page in TensorBoard that explains the tags.
        draws: Whether there are pictures among what it makes.
        frames: The frames that it is about, once they have been taken up.

    Args:
        frames: Indices of the frames, or Frames.
        layers: Names of the layers; None for the canvas's main ones.
        convention: The formulas to follow.
        output: Where the image is in what the network returns.
        seed: Decides which neurons are shown.
        name: What tags and files are called; the class's name by default.
        formats: In which files pictures are written.
    """

    meanings: ClassVar[Mapping[str, str]] = {}
    draws: ClassVar[bool] = True

    def __init__(
        self,
        frames: list[int] | list[Frame] | None = None,
        layers: list[str] | None = None,
        convention: Convention = "paper",
        output: Output = None,
        seed: int = 0,
        name: str | None = None,
        formats: Sequence[Format] = ("png",),
    ) -> None:
        super().__init__()
        kind = type(self).__name__
        if convention not in CONVENTIONS:
            raise ValueError(f"{kind}: convention is {convention!r}; choose from {', '.join(CONVENTIONS)}")
        check_layers(kind, layers)
        check_frames(kind, frames)
        check_formats(kind, formats)
        check_whole(kind, "seed", seed, 0, MAX_SEED)
        self.layers = layers
        self.convention: Convention = convention
        self.output: Output = output
        self.seed = seed
        self.formats: tuple[Format, ...] = tuple(formats)
        self.name = name or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()
        if trouble := trouble_with(self.name):
            raise ValueError(
                f"{kind}: name {self.name[:120]!a} {trouble}; files and folders are called so, and it must be able to "
                "stand in a path"
            )
        self.frames_wanted = frames
        self.frames: tuple[Frame, ...] = ()
        self._all_layers: tuple[str, ...] = ()

    @abstractmethod
    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Compute, draw and log.

        Args:
            frames: The dissected frames.
            layers: The layers to look at, input side first.
            outputs: Where the results go.
        """

    def request(self) -> Request:
        """What ``DissectedFrame.statistics`` is to hold. All that are due share one pair of passes over each layer."""
        return Request()

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Curves that belong together: a chart's title, and patterns of ``<layer>/<quantity>``."""
        del layers
        return {}

    def choose_frames(self, indices: Sequence[int] | None, num_frames: int | None) -> Sequence[int]:
        """Which frames to dissect, by index: those of the argument ``frames``, or the first.

        Args:
            indices: What the user has asked for.
            num_frames: How many frames there are, if that is known.
        """
        del num_frames
        return (0,) if indices is None else indices

    def choose_among(self, recorded: Sequence[int]) -> Sequence[int]:
        """Which of the frames that a run has recorded to look at, where the user has named none: the first.

        Args:
            recorded: Their indices, at least one.
        """
        return self.choose_frames(recorded[:1], None)

    def known_layers(self, board: Board, network: nn.Module | Recording) -> LayerNames:
        """Names of the layers that can be dissected.

        Raises:
            DissectionError: None can.
            ValueError: The first frame does not fit the network.
            Exception: Whatever the network raises.
        """
        return board.layer_names(self.frames[0], network, self.convention, self.output)

    def layers_of(self, dissected: DissectedFrame) -> Sequence[str]:
        """The layers to look at, of those that a frame's canvas has."""
        return self._layers_among(dissected.canvas)

    def conclude(self, outputs: Outputs) -> None:
        """Sum up, when the training has ended and everything has been analysed. Nothing by default."""
        del outputs

    def take_up(self, frames: Sequence[Frame], board: Board) -> None:
        """Get to know the frames, before the first of them is dissected.

        Args:
            frames: The frames.
            board: What it shares with other analyses.

        Raises:
            ValueError: They do not do.
        """
        del board
        self.frames = tuple(frames)

    def choose_layers(self, names: LayerNames) -> None:
        """Get to know the layers that can be dissected.

        Raises:
            ValueError: One that is wanted is not among them.
        """
        unknown = [layer for layer in self.layers or () if layer not in names.known]
        if unknown:
            raise ValueError(
                f"there is no layer {unknown[0]!r} to dissect; there are {', '.join(names.known)}"
                f"{did_you_mean(unknown[0], names.known)}"
            )
        if self.layers is None:
            self._all_layers = names.main
        else:
            self._all_layers = tuple(name for name in names.known if name in self.layers)

    def chapter(self) -> Chapter:
        """What the page in TensorBoard tells about this analysis."""
        layers = [path_part(layer) for layer in self._layers_among(self._all_layers)]  # as in the tags
        summary = (type(self).__doc__ or "").strip().split("\n")[0]
        return Chapter(self.name, summary, layers, self.meanings, self.charts(layers))

    def asks_like(self, other: "Analysis", frame: Frame) -> bool:
        """Whether the other looks at the same dissection of a frame."""
        return other.convention == self.convention and other.output == self.output and frame in other.frames

    def dissected(
        self, board: Board, frame: Frame, network: nn.Module | Recording, sharing: "Iterable[Analysis]"
    ) -> DissectedFrame:
        """A frame's dissection, with what all who look at it at this moment request.

        Args:
            board: Keeps it for them.
            frame: The frame.
            network: The network that shows it, or its recording.
            sharing: All who look at this network at this moment.
        """
        requests = tuple(other.request() for other in sharing if self.asks_like(other, frame))
        return board.dissected(frame, network, self.convention, self.output, requests)

    @property
    def follows(self) -> bool:
        """Whether what it finds depends on the moments that it has looked at before."""
        return False

    def records(self, epoch: int) -> bool:
        """Whether it keeps, of its frames, what their maps can be computed from again."""
        del epoch
        return False

    def _layers_among(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in (self._all_layers if self.layers is None else self.layers)]
