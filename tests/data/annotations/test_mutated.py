"""Annotations in which anything may be anything: they are read, or refused in one line."""

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_datasets import write_cityscapes_vps, write_vipseg

from xinc_pl import CityscapesVPS, VIPSeg
from xinc_pl.data.annotations.categories import read_categories
from xinc_pl.data.annotations.labelme import number_objects, paint, read_labelme

JUNK = [None, True, -1, 0, 3.5, 1e400, 10**30, "", "..", "x", "\0", "a/b", [], {}, [[]], [None], {"id": None}]

OUTLINES = {
    "imageHeight": 8,
    "imageWidth": 9,
    "shapes": [
        {"label": "a", "points": [[0, 0], [3, 0], [3, 3]], "shape_type": "polygon", "group_id": 1},
        {"label": "b", "points": [[0, 0], [3, 3]], "shape_type": "rectangle"},
        {"label": "b", "points": [[2, 2], [3, 3]], "shape_type": "circle"},
    ],
}


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Ways to everything in a nest."""
    if way:
        yield way
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*way, key))


def mutated(value: Any, generator: random.Random) -> Any:
    """The same, with something missing or something else."""
    value = copy.deepcopy(value)
    *way, last = generator.choice(list(places(value)))
    holder = value
    for key in way:
        holder = holder[key]
    if generator.random() < 0.3:
        del holder[last]
    else:
        holder[last] = copy.deepcopy(generator.choice(JUNK))
    return value


def read_outlines(file: Path) -> None:
    drawing = read_labelme(file)
    paint(drawing, number_objects([drawing]))


def assert_read_or_refused(file: Path, content: Any, read: Callable[[], object]) -> None:
    generator = random.Random(0)
    said = []
    for _ in range(150):
        file.write_text(json.dumps(mutated(content, generator)))
        try:
            read()
        except ValueError as error:
            said.append(str(error))
    assert 5 < len(said) < 145
    assert all(file.name in line and "\n" not in line for line in said)


def test_outlines(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    assert_read_or_refused(file, OUTLINES, lambda: read_outlines(file))


def test_categories(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    content = {"1": "car", "2": {"name": "sky", "isthing": 0}, "#010203": "dog"}
    assert_read_or_refused(file, content, lambda: read_categories(file))


@pytest.mark.parametrize("masks", ["panoptic_inst", "panoptic_video"])
def test_cityscapes_vps(tmp_path: Path, masks: Any) -> None:
    file = write_cityscapes_vps(tmp_path) / "panoptic_gt_val_city_vps.json"
    data = CityscapesVPS(str(tmp_path), masks=masks)
    assert_read_or_refused(file, json.loads(file.read_text()), data.find)


def test_vipseg(tmp_path: Path) -> None:
    file = write_vipseg(tmp_path) / "panoptic_gt_VIPSeg.json"
    data = VIPSeg(str(tmp_path), masks="panomasksRGB")
    assert_read_or_refused(file, json.loads(file.read_text()), data.find)
