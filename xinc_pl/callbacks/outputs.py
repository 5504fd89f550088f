"""Where results go: TensorBoard, every logger's scalars, and files."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from xinc_pl.callbacks.board import board_of
from xinc_pl.callbacks.history import Quantity
from xinc_pl.callbacks.projector import Embedding

Pixels = npt.NDArray[np.uint8]


def write_aside(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it, so that it is never seen half-written. Makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.aside")
    try:
        aside.write_bytes(data)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def png_bytes(pixels: Pixels) -> bytes:
    """Encode an image (H, W, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=2)
    return buffer.getvalue()


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """A trainer's callbacks."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined] # a connector sets it
    return callbacks


def is_rehearsal(trainer: Trainer) -> bool:
    """Whether this is a ``fast_dev_run``, which is to leave nothing behind."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined] # set when the trainer is made


def tensorboard_loggers(trainer: Trainer) -> list[TensorBoardLogger]:
    """All of a trainer's loggers that can show pictures."""
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


@dataclass(frozen=True)
class Outputs:
    """One callback's way out, at one moment of the training.

    Tags are ``xinc/<name>/<layer>/<quantity>``, followed by ``/frame_0007`` where there are several frames. Files
    mirror the tag and end in ``_epoch_0030``.

    Args:
        trainer: Knows the loggers.
        name: The callback's.
        directory: Files go below it.
        epoch: Completed epochs.
        step: As for Lightning's own curves.
        several_frames: Whether tags tell the frame.
    """

    trainer: Trainer
    name: str
    directory: Path
    epoch: int
    step: int
    several_frames: bool

    def tag(self, layer: str, quantity: str, frame: int | None = None) -> str:
        """The tag of a quantity; ``frame`` is the frame's index, None for what concerns them all."""
        tag = f"xinc/{self.name}/{layer}/{quantity}"
        return f"{tag}/frame_{frame:04d}" if self.several_frames and frame is not None else tag

    def image(self, layer: str, quantity: str, pixels: Pixels, frame: int | None = None) -> None:
        """Log a picture (H, W, 3) to TensorBoard, and write it as PNG."""
        tag = self.tag(layer, quantity, frame)
        encoded = png_bytes(pixels)
        self._show(tag, encoded, pixels.shape[0], pixels.shape[1])
        write_aside(self._file(tag, ".png"), encoded)

    def film(self, layer: str, quantity: str, gif: bytes) -> None:
        """Write an animation to a file without an epoch in its name: it replaces the shorter one of before."""
        write_aside(self.directory / f"{self.tag(layer, quantity).removeprefix('xinc/')}.gif", gif)

    def animation(self, layer: str, quantity: str, gif: bytes) -> None:
        """Show an animation in TensorBoard."""
        width, height = Image.open(io.BytesIO(gif)).size
        self._show(self.tag(layer, quantity), gif, height, width)

    def scalars(self, layer: str, values: Mapping[str, float], frame: int | None = None) -> None:
        """Log numbers by quantity to every logger."""
        metrics = {self.tag(layer, quantity, frame): value for quantity, value in values.items()}
        for logger in self.trainer.loggers:
            logger.log_metrics(metrics, self.step)
        history = board_of(self.trainer).history
        for quantity, value in values.items():
            history.add(Quantity(self.name, layer, quantity, -1 if frame is None else frame), self.epoch, float(value))

    def arrays(self, layer: str, quantity: str, arrays: Mapping[str, npt.ArrayLike], frame: int | None = None) -> None:
        """Write arrays by name to an ``.npz`` file.

        Raises:
            ValueError: Something is no array of numbers, truth values or words.
        """
        plain = {key: np.asarray(value) for key, value in arrays.items()}
        for key, array in plain.items():
            if array.dtype.hasobject:  # NumPy below 2.1 can't be told to refuse them
                raise ValueError(f"{quantity}: {key!r} holds Python objects; give numbers, truth values or words")
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **plain)  # type: ignore[arg-type] # mypy takes one for allow_pickle
        write_aside(self._file(self.tag(layer, quantity, frame), ".npz"), buffer.getvalue())

    def embedding(self, layer: str, quantity: str, embedding: Embedding) -> None:
        """Show points in TensorBoard's PROJECTOR; each moment has its own entry."""
        for logger in tensorboard_loggers(self.trainer):
            logger.experiment.add_embedding(
                embedding.vectors,
                metadata=embedding.metadata,
                metadata_header=list(embedding.header),
                label_img=embedding.sprites,
                global_step=self.step,
                tag=self.tag(layer, quantity),
            )

    def flush(self) -> None:
        """Let TensorBoard see all of it now."""
        for logger in tensorboard_loggers(self.trainer):
            logger.experiment.flush()

    def _show(self, tag: str, encoded: bytes, height: int, width: int) -> None:
        # Not add_image, which would encode the picture once more.
        picture = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded)
        for logger in tensorboard_loggers(self.trainer):
            summary = Summary(value=[Summary.Value(tag=tag, image=picture)])
            logger.experiment.file_writer.add_summary(summary, self.step)

    def _file(self, tag: str, suffix: str) -> Path:
        return self.directory / f"{tag.removeprefix('xinc/')}_epoch_{self.epoch:04d}{suffix}"
