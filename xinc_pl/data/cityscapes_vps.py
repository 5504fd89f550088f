"""Cityscapes-VPS: streets, 30 frames per video, six of them with panoptic masks."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from xinc_pl.data.annotations.categories import category_list, category_of, segments_of
from xinc_pl.data.annotations.instances import Category, Meaning
from xinc_pl.data.annotations.json_files import entries, entry, inside, read_json
from xinc_pl.data.fitting import Fit
from xinc_pl.data.panoptic import PanopticDataModule, PanopticFrame
from xinc_pl.frames import Size

NUM_FRAMES = 30
LABELLED = (4, 9, 14, 19, 24, 29)
"""Which frames of a video have masks, from 0."""

_DIVISOR = 1000
_NAME = re.compile(r"\d{4}_(?P<frame>\d{4})_(?P<city>[^_]+)_(?P<sequence>\d+)_(?P<number>\d+)_[a-zA-Z_]+\.png")


class CityscapesVPS(PanopticDataModule):
    """A video of Cityscapes-VPS, or one frame of it, with things and stuff.

    Its licence forbids handing it on: get it from https://github.com/mcahny/vps, and say where it is. In the folder are
    ``panoptic_gt_val_city_vps.json`` and ``val/img_all``, ``val/panoptic_inst``, ``val/panoptic_video``. All 30 frames
    are read; frames 4, 9, 14, 19, 24 and 29 have masks. A frame's time is its place among the 30.

    Args:
        root: The dataset's folder.
        video: Its number. The paper's are 0005, 0175, 0015, 0065, 0155, 0315 and 0495.
        split: Which part of the dataset: ``val``, ``train`` or ``test``, as far as there is a JSON of masks.
        frame: null for the whole video, to be fitted by a network of time; a number from 0 to 29 for that frame as an
            image, to be fitted by a network of coordinates.
        masks: ``panoptic_inst`` (labels are numbers) or ``panoptic_video`` (labels are colours, explained by the JSON).
        size: Height and width to bring every frame to; null for its own, 1024x2048.
        batch_size: Frames of the video per training step.
        steps_per_epoch: Training steps that make up one epoch, of an image.
        seed: Decides, together with the epoch, the order of the frames in training.
        fit: Frames of another shape are cropped around the centre (``crop``), padded with black (``pad``), or
            stretched (``stretch``).
        multiple_of: Where size is null, both sides are rounded down to multiples of this.
    """

    def __init__(
        self,
        root: str = "cityscapes_vps",
        video: str = "0005",
        split: Literal["val", "train", "test"] = "val",
        frame: int | None = None,
        masks: Literal["panoptic_inst", "panoptic_video"] = "panoptic_inst",
        size: Size | None = (128, 256),
        batch_size: int = 2,
        steps_per_epoch: int = 10,
        seed: int = 0,
        fit: Fit = "crop",
        multiple_of: int = 1,
    ) -> None:
        if split not in _SPLITS:
            raise ValueError(f"CityscapesVPS: split is {split!r}; choose from {', '.join(_SPLITS)}")
        if masks not in _MASKS:
            raise ValueError(f"CityscapesVPS: masks is {masks!r}; choose from {', '.join(_MASKS)}")
        wanted = _MASKS[masks]
        super().__init__(root, wanted, frame, NUM_FRAMES, size, batch_size, steps_per_epoch, seed, fit, multiple_of)
        self.video = str(video).zfill(4)
        self.split = split
        self.masks = masks

    def find(self) -> Sequence[PanopticFrame]:
        """Find the 30 frames, and the masks of six."""
        file = self.root / f"panoptic_gt_{self.split}_city_vps.json"
        content = read_json(file)
        categories = category_list(content, file)
        annotations = [
            each
            for each in entries(content, "annotations", file)
            if entry(each, "image_id", str, file).startswith(f"{self.video}_")
        ]
        if not annotations:
            videos = sorted({entry(each, "image_id", str, file)[:4] for each in entries(content, "annotations", file)})
            raise ValueError(f"{file} has no video {self.video!r}; it has {', '.join(videos)}")
        folder = self.root / self.split / self.masks
        starts, masks = set[tuple[str, str, int]](), dict[int, PanopticFrame]()
        for annotation in annotations:
            start, index, mask = _place(entry(annotation, "file_name", str, file), folder, file)
            starts.add(start)
            masks[index] = PanopticFrame(self._image(start, index), mask, self._meaning(annotation, categories, file))
        if len(starts) > 1:
            raise ValueError(f"{file}: the masks of video {self.video} are not five frames apart: of {sorted(starts)}")
        (start,) = starts
        return [
            masks.get(index) or PanopticFrame(self._image(start, index), None, lambda label: None)
            for index in range(NUM_FRAMES)
        ]

    def _image(self, start: tuple[str, str, int], index: int) -> Path:
        city, sequence, first = start
        return self.root / self.split / "img_all" / f"{city}_{sequence}_{first + index:06d}_leftImg8bit.png"

    def _meaning(self, annotation: Mapping[str, Any], categories: Mapping[int, Category], file: Path) -> Meaning:
        if self.masks == "panoptic_video":
            return segments_of(annotation, categories, file).get
        return lambda label: category_of(label, categories, _DIVISOR)


def _place(name: str, folder: Path, source: Path) -> tuple[tuple[str, str, int], int, Path]:
    """Where a mask belongs, by its name.

    Masks are counted through all videos, six each, and the sequences of Cityscapes by their own numbers.

    Returns:
        City, sequence and number of the video's first frame; the mask's frame among the 30; the mask.
    """
    mask = inside(folder, name, source)
    match = _NAME.fullmatch(mask.name)
    if match is None:
        raise ValueError(
            f"{source} names the mask {name!r}; its name has to be video_frame_city_sequence_frame_final_mask.png"
        )
    index = LABELLED[(int(match["frame"]) - 1) % len(LABELLED)]
    return (match["city"], match["sequence"], int(match["number"]) - index), index, mask


_SPLITS = ("val", "train", "test")
_MASKS: dict[str, Literal["numbers", "colours"]] = {"panoptic_inst": "numbers", "panoptic_video": "colours"}
