"""Where results go: pictures and numbers to every logger that takes them, all of it to files."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from PIL import Image

from xinc_pl.analysis.nulls import Null
from xinc_pl.callbacks.aside import write_aside
from xinc_pl.callbacks.board import Board
from xinc_pl.callbacks.desk import PlainDesk
from xinc_pl.callbacks.history import Quantity
from xinc_pl.callbacks.loggers import (
    Picture,
    only_tensorboard,
    picture_shower,
    show_in_tensorboard,
    tensorboard_writers,
)
from xinc_pl.callbacks.projector import Embedding
from xinc_pl.names import path_part
from xinc_pl.pictures import Format, Pixels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from xinc_pl.plots.printing import Drawing, Printed


def check_formats(owner: str, formats: object) -> None:
    """Insist on formats that pictures can be written in.

    Raises:
        ValueError: Says what is none.
    """
    known = get_args(Format)
    if isinstance(formats, str) or not isinstance(formats, Sequence) or not formats or set(formats) - set(known):
        raise ValueError(f"{owner}: formats is {formats!r}; give a list of some of {', '.join(known)}")


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """A trainer's callbacks."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined] # a connector sets it
    return callbacks


def is_rehearsal(trainer: Trainer) -> bool:
    """Whether this is a ``fast_dev_run``, which is to leave nothing behind."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined] # set when the trainer is made


@dataclass(frozen=True)
class Outputs:
    """One analysis's way out, at one moment of the training.

    Tags are ``xinc/<name>/<layer>/<quantity>``, followed by ``/frame_0007`` where there are several frames. Files
    mirror the tag and end in ``_epoch_0030``. A layer's name that cannot stand in a path is written as in a URL.

    Args:
        board: Knows the loggers.
        name: The analysis's.
        directory: Files go below it.
        epoch: Completed epochs.
        step: As for Lightning's own curves.
        several_frames: Whether tags tell the frame.
        note: Stands above the title of every picture, e.g. which weights were dissected.
        recorded: Indices of the frames of which a recording is kept, so that maps need not be.
        formats: In which files are written: ``png``, ``pdf``, ``svg``. Loggers always get pixels.
    """

    board: Board
    name: str
    directory: Path
    epoch: int
    step: int
    several_frames: bool
    note: str = ""
    recorded: frozenset[int] = frozenset()
    formats: tuple[Format, ...] = ("png",)

    def tag(self, layer: str, quantity: str, frame: int | None = None) -> str:
        """The tag of a quantity; ``frame`` is the frame's index, None for what concerns them all."""
        tag = f"xinc/{self.name}/{path_part(layer)}/{quantity}"
        return f"{tag}/frame_{frame:04d}" if self.several_frames and frame is not None else tag

    def image(self, layer: str, quantity: str, picture: "Pixels | Figure | Drawing", frame: int | None = None) -> None:
        """Write a picture, in all formats that are wanted, and show it in every logger that takes pictures.

        Args:
            layer: The layer.
            quantity: What it shows.
            picture: What draws it, which may be called later and in another process if it can be pickled
                (``functools.partial`` of a function and its arguments); a matplotlib figure; or pixels (H, W, 3), which
                can be written as PNG only.
            frame: The frame's index.
        """
        tag = self.tag(layer, quantity, frame)
        print_ = self._printing(picture)

        def write() -> None:
            printed = print_()
            if "png" in self.formats or not printed.vectors:
                write_aside(self._file(tag, ".png"), printed.png)
            for kind, content in printed.vectors.items():
                write_aside(self._file(tag, f".{kind}"), content)
            self._show(tag, Picture(printed.png, printed.height, printed.width))

        if only_tensorboard(self.board.loggers):
            self._later(write)
        else:
            self.board.desk.now(write)

    def film(self, layer: str, quantity: str) -> Path:
        """The file of a film, without an epoch in its name, because it grows."""
        return self.directory / f"{self.tag(layer, quantity).removeprefix('xinc/')}.webp"

    def animation(self, layer: str, quantity: str, encoded: bytes) -> None:
        """Show an animated PNG in TensorBoard; the other loggers would show its first picture."""
        width, height = Image.open(io.BytesIO(encoded)).size
        tag = self.tag(layer, quantity)

        def show() -> None:
            for writer in tensorboard_writers(self.board.loggers):
                show_in_tensorboard(writer, tag, Picture(encoded, height, width), self.step)

        self._later(show)

    def scalars(self, layer: str, values: Mapping[str, float], frame: int | None = None) -> None:
        """Log numbers by quantity to every logger."""
        metrics = {self.tag(layer, quantity, frame): value for quantity, value in values.items()}

        def log() -> None:
            for logger in self.board.loggers:
                logger.log_metrics(metrics, self.step)

        self.board.desk.now(log)
        history = self.board.history
        for quantity, value in values.items():
            history.add(Quantity(self.name, layer, quantity, -1 if frame is None else frame), self.epoch, float(value))

    def nulls(self, layer: str, nulls: Mapping[str, Null], frame: int | None = None) -> None:
        """Log numbers that have a null: each by its quantity, with its ``_z`` and ``_p``; not what does not exist."""
        values = {
            f"{quantity}{end}": value
            for quantity, null in nulls.items()
            for end, value in (("", null.actual), ("_z", null.z), ("_p", null.p))
        }
        self.scalars(layer, {quantity: value for quantity, value in values.items() if math.isfinite(value)}, frame)

    def curve(self, layer: str, quantity: str, frame: int | None = None) -> Mapping[int, float]:
        """All numbers of a kind that this callback has logged in the run, by epoch."""
        of_frame = -1 if frame is None else frame
        return self.board.history.curve(Quantity(self.name, layer, quantity, of_frame))

    def first(self, layer: str, quantity: str, frame: int | None = None) -> tuple[int, float] | None:
        """Epoch and value of the first number of its kind in the run, before this moment; None if there is none."""
        earlier = [point for point in self.curve(layer, quantity, frame).items() if point[0] < self.epoch]
        return earlier[0] if earlier else None

    def arrays(self, layer: str, quantity: str, arrays: Mapping[str, npt.ArrayLike], frame: int | None = None) -> None:
        """Write arrays by name to an ``.npz`` file.

        Raises:
            ValueError: Something is no array of numbers, truth values or words.
        """
        plain = {key: np.array(value) for key, value in arrays.items()}
        for key, array in plain.items():
            if array.dtype.hasobject:  # NumPy below 2.1 can't be told to refuse them
                raise ValueError(f"{quantity}: {key!r} holds Python objects; give numbers, truth values or words")
        file = self._file(self.tag(layer, quantity, frame), ".npz")

        def write() -> None:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **plain)  # type: ignore[arg-type] # allow_pickle is no array's name
            write_aside(file, buffer.getvalue())

        self._later(write)

    def embedding(self, layer: str, quantity: str, embedding: Embedding) -> None:
        """Show points in TensorBoard's PROJECTOR; each moment has its own entry."""

        def show() -> None:
            for writer in tensorboard_writers(self.board.loggers):
                writer.add_embedding(
                    embedding.vectors,
                    metadata=embedding.metadata,
                    metadata_header=list(embedding.header),
                    label_img=embedding.sprites,
                    global_step=self.step,
                    tag=self.tag(layer, quantity),
                )

        self._later(show)

    def flush(self) -> None:
        """Let TensorBoard see all of it now."""

        def flush() -> None:
            for writer in tensorboard_writers(self.board.loggers):
                writer.flush()

        self._later(flush)

    def _printing(self, picture: "Pixels | Figure | Drawing") -> "Callable[[], Printed]":
        desk = self.board.desk
        if isinstance(picture, np.ndarray):
            return desk.printing(partial(np.asarray, picture), self.formats, self.note)
        if callable(picture):
            return desk.printing(picture, self.formats, self.note)
        return PlainDesk().printing(lambda: picture, self.formats, self.note)  # a figure may be changed any time

    def _later(self, action: Callable[[], None]) -> None:
        self.board.desk.later(self.name, self.epoch, action)

    def _show(self, tag: str, picture: Picture) -> None:
        refused = self.board.refused_by
        for number, logger in enumerate(self.board.loggers):
            show = picture_shower(logger)
            if show is None or number in refused:
                continue
            try:
                show(tag, picture, self.step)
            except Exception as error:
                # A service that is away, or a package that is missing: the others and the files are not to suffer.
                refused.add(number)
                rank_zero_warn(
                    f"{type(logger).__name__} refused the picture {tag} and gets no more of them; they go on to "
                    f"{self.directory}. {type(error).__name__}: {error}"
                )

    def _file(self, tag: str, suffix: str) -> Path:
        return self.directory / f"{tag.removeprefix('xinc/')}_epoch_{self.epoch:04d}{suffix}"
