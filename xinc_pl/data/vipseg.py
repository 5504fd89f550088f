"""VIPSeg: videos of all kinds, each frame with panoptic masks."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from xinc_pl.data.annotations.categories import category_list, segments_of
from xinc_pl.data.annotations.instances import Category, Meaning
from xinc_pl.data.annotations.json_files import entries, entry, inside, read_json
from xinc_pl.data.fitting import Fit
from xinc_pl.data.panoptic import PanopticDataModule, PanopticFrame
from xinc_pl.frames import Size

_FIRST_THING, _DIVISOR = 125, 100
_NUM_LISTED = 5


class VIPSeg(PanopticDataModule):
    """A video of VIPSeg, or one frame of it, with things and stuff.

    It is for research: get it from https://github.com/VIPSeg-Dataset/VIPSeg-Dataset, bring it to 720P with its scripts,
    and say where it is. In the folder are ``panoptic_gt_VIPSeg.json``, ``images`` and ``panomasks`` or
    ``panomasksRGB``. Every frame has masks.

    Args:
        root: The dataset's folder ``VIPSeg_720P``.
        video: Its name, or the beginning of its name. The paper's are 12_n-ytHkMceew, 26_cblDl5vCZnw, and those that
            begin with 79_, 127_, 1890_, 20_, 604_, 1327_, 2350_ and 459_.
        split: null for all videos; ``train``, ``val`` or ``test`` for those of ``panoptic_gt_VIPSeg_val.json`` and its
            like.
        frame: null for the whole video, to be fitted by a network of time; a number from 0 for that frame as an image,
            to be fitted by a network of coordinates.
        masks: ``panomasks`` (labels are numbers) or ``panomasksRGB`` (labels are colours, explained by the JSON).
        size: Height and width to bring every frame to; null for its own.
        batch_size: Frames of the video per training step.
        steps_per_epoch: Training steps that make up one epoch, of an image.
        seed: Decides, together with the epoch, the order of the frames in training.
        fit: Frames of another shape are cropped around the centre (``crop``), padded with black (``pad``), or
            stretched (``stretch``).
        multiple_of: Where size is null, both sides are rounded down to multiples of this.
    """

    def __init__(
        self,
        root: str = "VIPSeg_720P",
        video: str = "12_n-ytHkMceew",
        split: Literal["train", "val", "test"] | None = None,
        frame: int | None = None,
        masks: Literal["panomasks", "panomasksRGB"] = "panomasks",
        size: Size | None = (128, 256),
        batch_size: int = 2,
        steps_per_epoch: int = 10,
        seed: int = 0,
        fit: Fit = "crop",
        multiple_of: int = 1,
    ) -> None:
        if split not in _SPLITS:
            raise ValueError(f"VIPSeg: split is {split!r}; choose from train, val, test, or null for all")
        if masks not in _MASKS:
            raise ValueError(f"VIPSeg: masks is {masks!r}; choose from {', '.join(_MASKS)}")
        wanted = _MASKS[masks]
        super().__init__(root, wanted, frame, None, size, batch_size, steps_per_epoch, seed, fit, multiple_of)
        self.video = str(video)
        self.split = split
        self.masks = masks

    def find(self) -> Sequence[PanopticFrame]:
        """Find the video's frames and their masks."""
        file = self.root / f"panoptic_gt_VIPSeg{'' if self.split is None else f'_{self.split}'}.json"
        content = read_json(file)
        categories = category_list(content, file)
        videos = {entry(each, "video_id", str, file): each for each in entries(content, "videos", file)}
        video = self._choose(videos, file)
        name = entry(video, "video_id", str, file)
        annotations = {
            entry(each, "image_id", str, file): each
            for clip in entries(content, "annotations", file)
            if clip.get("video_id") == name
            for each in entries(clip, "annotations", file)
        }
        images = {
            entry(each, "file_name", str, file): entry(each, "id", str, file) for each in entries(video, "images", file)
        }
        if not images:
            raise ValueError(f"{file}: video {name!r} has no images")
        return [self._frame(name, image, annotations.get(images[image]), categories, file) for image in sorted(images)]

    def _choose(self, videos: Mapping[str, Mapping[str, Any]], file: Path) -> Mapping[str, Any]:
        if self.video in videos:
            return videos[self.video]
        found = [name for name in sorted(videos) if name.startswith(self.video)]
        if len(found) == 1:
            return videos[found[0]]
        some = found or sorted(videos)
        listed = ", ".join(some[:_NUM_LISTED]) + (", ..." if len(some) > _NUM_LISTED else "")
        raise ValueError(
            f"{file} has {len(found) or 'no'} videos whose names begin with {self.video!r}; "
            f"{'choose one' if found else 'it has'}: {listed}"
        )

    def _frame(
        self,
        video: str,
        image: str,
        annotation: Mapping[str, Any] | None,
        categories: Mapping[int, Category],
        file: Path,
    ) -> PanopticFrame:
        picture = _inside_video(self.root / "images", video, image, file)
        picture = picture if picture.is_file() else picture.with_suffix(".jpg")
        if annotation is None:
            return PanopticFrame(picture, None, lambda label: None)
        mask = _inside_video(self.root / self.masks, video, entry(annotation, "file_name", str, file), file)
        meaning: Meaning = partial(_category_of, categories)
        if self.masks == "panomasksRGB":
            meaning = segments_of(annotation, categories, file).get
        return PanopticFrame(picture, mask, meaning)


def _inside_video(folder: Path, video: str, name: str, source: Path) -> Path:
    """A video's file, whether its name has the video's in front or not."""
    return inside(folder, f"{video}/{name.removeprefix(f'{video}/')}", source)


def _category_of(categories: Mapping[int, Category], label: int) -> Category | None:
    """What a label of ``panomasks`` is.

    Stuff has its category's number plus one; things have that times 100, plus the object's number.
    """
    is_thing = label >= _FIRST_THING
    category = categories.get((label // _DIVISOR if is_thing else label) - 1)
    return category and Category(category.name, category.is_thing and is_thing)


_SPLITS = (None, "train", "val", "test")
_MASKS: dict[str, Literal["numbers", "colours"]] = {"panomasks": "numbers", "panomasksRGB": "colours"}
