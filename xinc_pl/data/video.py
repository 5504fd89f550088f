"""A video from a folder of frames or from a video file."""

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from xinc_pl.data.base import FramesDataModule
from xinc_pl.data.reading import IMAGE_SUFFIXES, fit_to_size, read_image, rgb_from_pixels
from xinc_pl.frames import Frame, Size, frame_time


class Video(FramesDataModule):
    """A video clip in memory.

    Args:
        path: A folder of images, taken in the order of the numbers in their names, or a video file (which needs
            PyAV: ``pip install av``).
        size: Height and width to crop (around the centre) and resize every frame to.
        num_frames: Length of the clip.
        first_frame: Where in the video the clip starts, from 0.
        every_n_frames: Take one frame of so many.
        batch_size: Frames per training step.
        seed: Decides, together with the epoch, the order of the frames in training.
    """

    def __init__(
        self,
        path: str,
        size: Size = (128, 256),
        num_frames: int = 30,
        first_frame: int = 0,
        every_n_frames: int = 1,
        batch_size: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__(size, num_frames, batch_size, repeats=1, seed=seed)
        if first_frame < 0 or every_n_frames < 1:
            raise ValueError(
                f"Video: first_frame is {first_frame} and every_n_frames is {every_n_frames}; they must be at "
                "least 0 and 1"
            )
        self.path = Path(path)
        self.first_frame = first_frame
        self.every_n_frames = every_n_frames

    def load(self) -> tuple[Frame, ...]:
        """Read the clip's frames."""
        targets = list(self._targets())
        if len(targets) < self.num_frames:
            raise ValueError(
                f"{self.path} has only {len(targets)} of the {self.num_frames} frames asked for (from frame "
                f"{self.first_frame}, every {self.every_n_frames}); set num_frames to {len(targets)} or less"
                if targets
                else f"{self.path} has no frame {self.first_frame}; set first_frame to less"
            )
        times = frame_time(torch.arange(self.num_frames), self.num_frames)
        return tuple(
            Frame(index, times[index : index + 1], self.size, target, name=f"{self.path.stem} {index}")
            for index, target in enumerate(targets)
        )

    def _targets(self) -> Iterator[Tensor]:
        wanted = range(self.first_frame, self.first_frame + self.num_frames * self.every_n_frames, self.every_n_frames)
        if self.path.is_dir():
            frames = _read_folder(self.path, wanted)
        elif self.path.is_file():
            frames = _read_file(self.path, wanted)
        else:
            raise ValueError(f"video {str(self.path)!r} is neither a folder of images nor a file")
        shape: torch.Size | None = None
        for name, frame in frames:
            if shape is not None and frame.shape != shape:
                raise ValueError(
                    f"{name} is {frame.shape[1]}x{frame.shape[2]}, but the frames before it are "
                    f"{shape[1]}x{shape[2]}; all frames of a video must have one size"
                )
            shape = frame.shape
            yield fit_to_size(frame, self.size)


def _read_folder(folder: Path, wanted: range) -> Iterator[tuple[str, Tensor]]:
    files = sorted((file for file in folder.iterdir() if _is_image(file)), key=_natural_order)
    if not files:
        raise ValueError(f"{folder} has no images ({', '.join(IMAGE_SUFFIXES)})")
    for file in files[wanted.start : wanted.stop : wanted.step]:
        yield str(file), read_image(file)


def _read_file(file: Path, wanted: range) -> Iterator[tuple[str, Tensor]]:
    try:
        import av
    except ImportError as error:
        raise ValueError(
            f"reading the video file {file} needs PyAV: pip install av, or give a folder of images"
        ) from error
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise ValueError(f"{file} cannot be read as a video: it has no video stream")
            for index, picture in enumerate(container.decode(video=0)):
                if index in wanted:
                    name = f"{file}, frame {index}"
                    yield name, rgb_from_pixels(picture.to_ndarray(format="rgb24"), name)
                if index >= wanted[-1]:
                    return
    except av.FFmpegError as error:
        raise ValueError(f"{file} cannot be read as a video: {error}") from error


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".") and file.is_file()


def _natural_order(file: Path) -> tuple[list[int | str], str]:
    # Splitting at the numbers alternates text and number, so that only like is compared with like.
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", file.name)], file.name
