"""What the datasets of panoptic video segmentation share: videos by name, whole or one frame of them."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from xinc_pl.arguments import check_whole
from xinc_pl.data.annotations.instances import Meaning, instances_of
from xinc_pl.data.annotations.labels import Wanted, read_labels
from xinc_pl.data.base import FramesDataModule
from xinc_pl.data.fitting import Fit, Fitting
from xinc_pl.data.masks import Shown, listed
from xinc_pl.data.reading import read_image
from xinc_pl.frames import Frame, Instance, Size, frame_time, pixel_coordinates


@dataclass(frozen=True, eq=False)
class PanopticFrame:
    """Where one frame of a dataset is.

    Args:
        image: The picture.
        mask: The picture of labels; None where the frame has none.
        meaning: What its labels stand for.
    """

    image: Path
    mask: Path | None
    meaning: Meaning


class PanopticDataModule(FramesDataModule):
    """One video of a dataset, or one frame of it as an image.

    A subclass finds the frames in ``find``.

    Args:
        root: The dataset's folder.
        wanted: What pixels of its masks are.
        frame: None for the whole video; a number from 0 for that frame as an image.
        num_frames: How many frames every video has; None if only the dataset tells.
        size: Height and width to bring frames to; None for their own.
        batch_size: Frames per training step.
        steps_per_epoch: Training steps of an epoch on an image.
        seed: Decides, together with the epoch, the order of the frames.
        fit: What is done to frames of another shape.
        multiple_of: Where size is None, of which number the sides are multiples.
    """

    def __init__(
        self,
        root: str,
        wanted: Wanted,
        frame: int | None,
        num_frames: int | None,
        size: Size | None,
        batch_size: int,
        steps_per_epoch: int,
        seed: int,
        fit: Fit,
        multiple_of: int,
    ) -> None:
        owner = type(self).__name__
        if frame is not None:
            check_whole(owner, "frame", frame, 0)
        check_whole(owner, "steps_per_epoch", steps_per_epoch, 1)
        of_image = (1, 1, steps_per_epoch)
        super().__init__(size, *((num_frames, batch_size, 1) if frame is None else of_image), seed=seed)
        self.root = Path(root).expanduser()
        self.frame = frame
        self.fitting = Fitting(size, fit, multiple_of, owner)
        self._wanted = wanted

    @abstractmethod
    def find(self) -> Sequence[PanopticFrame]:
        """Find all frames of the video, in their order.

        Raises:
            ValueError: Says what is missing.
        """

    def load(self) -> tuple[Frame, ...]:
        """Read the video, or its one frame."""
        if not self.root.is_dir():
            raise ValueError(
                f"{type(self).__name__}: there is no folder {str(self.root)!r}; get the dataset from its authors, and "
                "set root to its folder"
            )
        found = self.find()
        if self.frame is not None and self.frame >= len(found):
            raise ValueError(
                f"{type(self).__name__}: frame is {self.frame}, and the video has frames 0 to {len(found) - 1}"
            )
        left_out: set[int] = set()
        if self.frame is not None:
            target, instances, _ = self._read(found[self.frame], left_out, None)
            size = (target.shape[-2], target.shape[-1])
            frames = [Frame(0, pixel_coordinates(size), size, target, instances, name=found[self.frame].image.stem)]
        else:
            frames = self._read_video(found, left_out)
        if left_out:
            rank_zero_info(f"{self.root}: labels {listed(left_out)} stand for nothing that is known; they are left out")
        return tuple(frames)

    def _read_video(self, found: Sequence[PanopticFrame], left_out: set[int]) -> list[Frame]:
        # A frame's time is its place among all frames of the video, labelled or not.
        times = frame_time(torch.arange(len(found)), len(found))
        frames: list[Frame] = []
        before: Shown | None = None
        for index, each in enumerate(found):
            target, instances, before = self._read(each, left_out, before)
            size = (target.shape[-2], target.shape[-1])
            name = f"{each.image.stem} ({index})"
            frames.append(Frame(index, times[index : index + 1], size, target, instances, name=name))
        return frames

    def _read(
        self, found: PanopticFrame, left_out: set[int], before: Shown | None
    ) -> tuple[Tensor, tuple[Instance, ...], Shown]:
        """One frame at its size, its instances, and how it was shown; notes labels that stand for nothing."""
        if not found.image.is_file():
            raise ValueError(f"{type(self).__name__}: there is no frame {str(found.image)!r}")
        image = read_image(found.image)
        shown = Shown(str(found.image), (image.shape[-2], image.shape[-1]))
        if before is not None:
            shown.check_follows(before)
        target = self.fitting.apply(image, "" if before else shown.name)
        if found.mask is None:
            return target, (), shown
        if not found.mask.is_file():
            raise ValueError(f"{type(self).__name__}: there is no mask {str(found.mask)!r}")
        labels = read_labels(found.mask, self._wanted)
        shown.check(labels.shape, found.mask)
        labels = self.fitting.apply_to_labels(labels)
        instances = instances_of(labels, found.meaning)
        left_out |= set(labels.unique().tolist()) - {each.id for each in instances} - _VOID
        return target, instances, shown


_VOID = {0, 255}
