"""Masks beside frames: pictures of labels, or labelme's outlines, and what they mean."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from xinc_pl.data._pillow import image_suffixes
from xinc_pl.data.annotations.categories import Categories, category_of, read_categories
from xinc_pl.data.annotations.instances import Category, Meaning, instances_of
from xinc_pl.data.annotations.labelme import number_objects, paint, read_labelme
from xinc_pl.data.annotations.labels import read_labels
from xinc_pl.data.clips import files_in
from xinc_pl.data.fitting import Fitting
from xinc_pl.frames import Instance, Size

_EDGE = 255
"""Labels pixels of no object in pictures of 8 bits, beside 0: the edges of DAVIS and VOC, the void of Cityscapes."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A frame as it is read, before it is brought to its size.

    Args:
        name: For messages.
        size: Height and width.
        pixel_aspect: How many times as wide as high a pixel is to be shown.
    """

    name: str
    size: Size
    pixel_aspect: float = 1.0

    def check_follows(self, before: "Shown") -> None:
        """Insist on the size of the frame before.

        Raises:
            ValueError: It is another.
        """
        if self.size != before.size:
            raise ValueError(
                f"{self.name} is {self.size[0]}x{self.size[1]}, but the frames before it are {before.size[0]}x"
                f"{before.size[1]}; all frames of a video must have one size"
            )

    def check(self, size: Sequence[int], file: Path) -> None:
        """Insist that what a file holds, of a shape (..., H, W), is of this frame's size.

        Raises:
            ValueError: It is of another.
        """
        height, width = size[-2:]
        if (height, width) != self.size:
            raise ValueError(
                f"{file} is {height}x{width}, and its frame {self.name} is {self.size[0]}x{self.size[1]}; they must "
                "have one size"
            )


@dataclass(frozen=True)
class Masks:
    """Where the masks of frames are, and what their labels mean.

    Args:
        path: A file, or a folder with one for each frame.
        categories: A file of categories: see ``read_categories``. None: every label is an ``object``.
        label_divisor: A label of at least this is a thing, whose category is the label divided by it; a smaller one is
            the category of stuff.
        owner: Whose arguments these are, for messages.
    """

    path: Path
    categories: Path | None
    label_divisor: int | None
    owner: str

    def __post_init__(self) -> None:
        if self.label_divisor is not None and self.label_divisor < 2:
            raise ValueError(f"{self.owner}: label_divisor is {self.label_divisor}; it must be at least 2")

    def file(self) -> Path:
        """The file of an image's masks.

        Raises:
            ValueError: There is none.
        """
        if not self.path.is_file():
            raise ValueError(f"{self.owner}: there is no file of masks {str(self.path)!r}")
        return self.path

    def files(self, frames: Path) -> list[Path]:
        """The folder's pictures of labels, in order; where it has none, or is that of the frames, labelme's files.

        Raises:
            ValueError: There is no such folder.
        """
        if not self.path.is_dir():
            raise ValueError(f"{self.owner}: there is no folder of masks {str(self.path)!r}")
        same = frames.is_dir() and self.path.samefile(frames)
        return ([] if same else files_in(self.path, image_suffixes())) or files_in(self.path, (".json",))

    def read(
        self, clip: Sequence[Path | None], shown: Mapping[int, Shown], fitting: Fitting
    ) -> dict[int, tuple[Instance, ...]]:
        """The instances of some frames of a clip.

        Args:
            clip: The file of each of its frames; None where there is none.
            shown: The frames that are wanted, by their number in the clip.
            fitting: How they are brought to their size.

        Raises:
            ValueError: A file cannot be read, is of another size than its frame, or no frame has an object.
        """
        known = read_categories(self.categories) if self.categories else None
        files = {number: file for number in shown if (file := clip[number]) is not None}
        if not files:
            raise ValueError(f"{self.owner}: none of the frames that are taken has masks in {self.path}")
        outlined = any(file.suffix.lower() == ".json" for file in files.values())
        source: _Source = _Outlines(clip, known) if outlined else _Pictures(known, self)
        labels = {}
        for number, file in files.items():
            labels[number] = fitting.apply_to_labels(source.read(file, shown[number]), shown[number].pixel_aspect)
        occurring = {label for each in labels.values() for label in each.unique().tolist()}
        found = {
            number: instances_of(each, source.meaning(files[number], occurring)) for number, each in labels.items()
        }
        kept = {instance.id for instances in found.values() for instance in instances}
        if not kept:
            raise ValueError(
                f"{self.owner}: the masks in {self.path} have no object in the frames that are taken: their labels are "
                f"{listed(occurring)}, and none of them stands for one"
            )
        if left_out := occurring - kept - {0}:
            rank_zero_info(f"{self.path}: no object has the labels {listed(left_out)}; they are left out")
        return found


def masks_of(path: str | None, categories: str | None, label_divisor: int | None, owner: str) -> Masks | None:
    """Masks as a datamodule's arguments describe them; None if there are none.

    Raises:
        ValueError: Something is said about masks, and there are none.
    """
    if path is None:
        for name, value in {"categories": categories, "label_divisor": label_divisor}.items():
            if value is not None:
                raise ValueError(f"{owner}: {name} is {value!r}, but there are no masks; set masks")
        return None
    known = None if categories is None else Path(categories).expanduser()
    return Masks(Path(path).expanduser(), known, label_divisor, owner)


class _Source(Protocol):
    """Labels, and what they stand for."""

    def read(self, file: Path, shown: Shown) -> Tensor:
        """Labels of a frame: int64 (H, W), of its size."""

    def meaning(self, file: Path, occurring: Collection[int]) -> Meaning:
        """What the labels of a frame stand for, if these labels occur in the clip."""


class _Outlines:
    """Labelme's files of a clip."""

    def __init__(self, clip: Sequence[Path | None], known: Categories | None) -> None:
        self._drawings = {file: read_labelme(file) for file in clip if file is not None}
        self._ids = number_objects(self._drawings.values())
        names = {} if known is None else known.by_name
        self._meaning = {number: names.get(label, Category(label)) for (label, _), number in self._ids.items()}

    def read(self, file: Path, shown: Shown) -> Tensor:
        shown.check(self._drawings[file].size, file)
        return paint(self._drawings[file], self._ids)

    def meaning(self, file: Path, occurring: Collection[int]) -> Meaning:
        del file, occurring
        return self._meaning.get


class _Pictures:
    """Pictures of labels."""

    def __init__(self, known: Categories | None, masks: Masks) -> None:
        self._known = known
        self._masks = masks

    def read(self, file: Path, shown: Shown) -> Tensor:
        has_ids = self._known is not None and self._known.segments is not None
        labels = read_labels(file, "colours" if has_ids else "any")
        shown.check(labels.shape, file)
        return labels

    def meaning(self, file: Path, occurring: Collection[int]) -> Meaning:
        if self._known is not None and self._known.segments is not None:
            if file.name not in self._known.segments:
                raise ValueError(f"{self._masks.categories} has no annotation of {file.name}")
            return self._known.segments[file.name].get
        divisor = self._masks.label_divisor
        if self._known is not None:
            by_label = self._known.by_label
            return by_label.get if divisor is None else lambda label: category_of(label, by_label, divisor)
        has_edge = max(occurring) == _EDGE and len(set(occurring) - {0, _EDGE}) > 0
        return partial(_unnamed, {0, _EDGE} if has_edge else {0}, divisor)


def _unnamed(void: Collection[int], divisor: int | None, label: int) -> Category | None:
    """What a label stands for where nobody says it."""
    if label in void:
        return None
    if divisor is None:
        return Category("object")
    return Category(f"category {label // divisor if label >= divisor else label}", label >= divisor)


def listed(labels: Collection[int]) -> str:
    """The smallest labels, for messages."""
    some = sorted(labels)[:_NUM_LISTED]
    return ", ".join(map(str, some)) + (f" and {len(labels) - len(some)} more" if len(labels) > len(some) else "")


_NUM_LISTED = 8
