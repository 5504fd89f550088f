"""A video from a folder of frames, an animated image or a video file, with what is known about its frames."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from xinc_pl.data.annotations.flow import FlowDirection
from xinc_pl.data.base import FramesDataModule
from xinc_pl.data.clips import frame_names, read_clip
from xinc_pl.data.fitting import Fit, Fitting
from xinc_pl.data.flows import Flows
from xinc_pl.data.masks import Shown, masks_of
from xinc_pl.data.matching import matched
from xinc_pl.frames import Frame, Instance, Size, frame_time


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
        masks: A folder with a picture of labels for each frame (PNG with a palette, grey of 8 or 16 bits, or COCO's
            colours), or with labelme's JSON files. A file belongs to the frame of its name; where no name is the same,
            files are taken in order.
        categories: What labels mean: a file with lines such as ``1: car``, COCO's list of categories, or COCO's
            panoptic JSON. Without it, every label but 0 is an ``object``.
        label_divisor: If labels are category times this plus the object's number: 1000 for Cityscapes, 100 for VIPSeg.
            A smaller label is a category of stuff.
        all_labelled: Insist on masks for every frame; false where only some have them.
        flow: A folder with the optical flow, a file for each frame but the last or the first: ``.npy``, ``.flo``, or
            KITTI's PNG.
        flow_direction: ``to_next``: a frame's file goes from it to the next frame, as most do; ``from_previous``: from
            the frame before to it; ``to_previous``: from it back to the frame before.
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
        masks: str | None = None,
        categories: str | None = None,
        label_divisor: int | None = None,
        all_labelled: bool = True,
        flow: str | None = None,
        flow_direction: FlowDirection = "to_next",
        num_held_out: int = 0,
    ) -> None:
        super().__init__(size, num_frames, batch_size, repeats=1, seed=seed, num_held_out=num_held_out)
        if first_frame < 0 or every_n_frames < 1:
            raise ValueError(
                f"Video: first_frame is {first_frame} and every_n_frames is {every_n_frames}; they must be at "
                "least 0 and 1"
            )
        if flow is not None and every_n_frames > 1:
            raise ValueError(
                f"Video: flow goes from frame to frame, and every_n_frames is {every_n_frames}; set it to 1, or leave "
                "flow out"
            )
        owner = type(self).__name__
        self.path = Path(path).expanduser()
        self.first_frame = first_frame
        self.every_n_frames = every_n_frames
        self.fitting = Fitting(size, fit, multiple_of, owner)
        self.masks = masks_of(masks, categories, label_divisor, owner)
        self.all_labelled = all_labelled
        self.flow = None if flow is None else Flows(Path(flow).expanduser(), flow_direction, owner)

    def load(self) -> tuple[Frame, ...]:
        """Read the clip's frames, and what is known about them."""
        shown: dict[int, Shown] = {}
        targets = list(self._targets(shown))
        if not targets:
            raise ValueError(f"{self.path} has no frame {self.first_frame}; set first_frame to less")
        if self._num_frames is not None and len(targets) < self._num_frames:
            raise ValueError(
                f"{self.path} has only {len(targets)} of the {self._num_frames} frames asked for (from frame "
                f"{self.first_frame}, every {self.every_n_frames}); set num_frames to {len(targets)} or less"
            )
        times = frame_time(torch.arange(len(targets)), len(targets))
        instances, flow = self._annotations(shown)
        return tuple(
            Frame(
                index,
                times[index : index + 1],
                (target.shape[-2], target.shape[-1]),
                target,
                instances.get(number, ()),
                flow.get(number) if index else None,
                name=f"{self.path.stem} {index}",
            )
            for (index, target), number in zip(enumerate(targets), shown, strict=True)
        )

    def _annotations(self, shown: dict[int, Shown]) -> tuple[dict[int, tuple[Instance, ...]], dict[int, Tensor]]:
        """Instances of the frames, and the flow to them, by their number in the video."""
        instances: dict[int, tuple[Instance, ...]] = {}
        flow: dict[int, Tensor] = {}
        if self.masks is None and self.flow is None:
            return instances, flow
        names = frame_names(self.path)
        if self.masks is not None:
            free = () if self.all_labelled else range(len(names))
            remedy = "if only some have them, set all_labelled to false"
            files = matched(names, self.masks.files(self.path), "masks", self.masks.path, free, remedy)
            instances = self.masks.read(files, shown, self.fitting)
        if self.flow is not None:
            files = matched(names, self.flow.files(), "files of flow", self.flow.path, self.flow.without(len(names)))
            flow = self.flow.read(files, shown, self.fitting)
        return instances, flow

    def _targets(self, shown: dict[int, Shown]) -> Iterator[Tensor]:
        """Frames at their size; notes how they were shown, by their number in the video."""
        count = self._num_frames
        stop = None if count is None else self.first_frame + count * self.every_n_frames
        number = self.first_frame
        before: Shown | None = None
        for picture in read_clip(self.path, slice(self.first_frame, stop, self.every_n_frames)):
            frame = Shown(picture.name, (picture.image.shape[-2], picture.image.shape[-1]), picture.pixel_aspect)
            if before is not None:
                frame.check_follows(before)
            name = str(self.path) if before is None else ""
            shown[number] = before = frame
            number += self.every_n_frames
            yield self.fitting.apply(picture.image, name, picture.pixel_aspect)
