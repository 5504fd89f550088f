"""A video from a folder of frames, an animated image or a video file."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from xinc_pl.data.base import FramesDataModule
from xinc_pl.data.clips import read_clip
from xinc_pl.data.fitting import Fit, Fitting
from xinc_pl.frames import Frame, Size, frame_time


class Video(FramesDataModule):
    """A video clip in memory.

    Args:
        path: A folder of images, taken in the order of the numbers in their names; an animated image (GIF, WebP, APNG,
            a TIFF of pages); or a video file (which needs PyAV: ``pip install av``).
        size: Height and width to bring every frame to; null for the video's own.
        num_frames: Length of the clip; null for all there are.
        first_frame: Where in the video the clip starts, from 0.
        every_n_frames: Take one frame of so many.
        batch_size: Frames per training step.
        seed: Decides, together with the epoch, the order of the frames in training.
        fit: Frames of another shape are cropped around the centre (``crop``), padded with black (``pad``), or
            stretched (``stretch``).
        multiple_of: Where size is null, both sides are rounded down to multiples of this. On the command line it comes
            from the network's strides.
        num_held_out: How many frames, evenly spaced, are not trained on; ``val/psnr_seen`` and ``val/psnr_unseen`` tell
            them apart.
    """

    def __init__(
        self,
        path: str,
        size: Size | None = (128, 256),
        num_frames: int | None = 30,
        first_frame: int = 0,
        every_n_frames: int = 1,
        batch_size: int = 2,
        seed: int = 0,
        fit: Fit = "crop",
        multiple_of: int = 1,
        num_held_out: int = 0,
    ) -> None:
        super().__init__(size, num_frames, batch_size, repeats=1, seed=seed, num_held_out=num_held_out)
        if first_frame < 0 or every_n_frames < 1:
            raise ValueError(
                f"Video: first_frame is {first_frame} and every_n_frames is {every_n_frames}; they must be at "
                "least 0 and 1"
            )
        self.path = Path(path).expanduser()
        self.first_frame = first_frame
        self.every_n_frames = every_n_frames
        self.fitting = Fitting(size, fit, multiple_of, type(self).__name__)

    def load(self) -> tuple[Frame, ...]:
        """Read the clip's frames."""
        targets = list(self._targets())
        if not targets:
            raise ValueError(f"{self.path} has no frame {self.first_frame}; set first_frame to less")
        if self._num_frames is not None and len(targets) < self._num_frames:
            raise ValueError(
                f"{self.path} has only {len(targets)} of the {self._num_frames} frames asked for (from frame "
                f"{self.first_frame}, every {self.every_n_frames}); set num_frames to {len(targets)} or less"
            )
        times = frame_time(torch.arange(len(targets)), len(targets))
        return tuple(
            Frame(
                index,
                times[index : index + 1],
                (target.shape[-2], target.shape[-1]),
                target,
                name=f"{self.path.stem} {index}",
            )
            for index, target in enumerate(targets)
        )

    def _targets(self) -> Iterator[Tensor]:
        count = self._num_frames
        stop = None if count is None else self.first_frame + count * self.every_n_frames
        shape: torch.Size | None = None
        for picture in read_clip(self.path, slice(self.first_frame, stop, self.every_n_frames)):
            if shape is not None and picture.image.shape != shape:
                raise ValueError(
                    f"{picture.name} is {picture.image.shape[1]}x{picture.image.shape[2]}, but the frames before it "
                    f"are {shape[1]}x{shape[2]}; all frames of a video must have one size"
                )
            name = str(self.path) if shape is None else ""
            shape = picture.image.shape
            yield self.fitting.apply(picture.image, name, picture.pixel_aspect)
