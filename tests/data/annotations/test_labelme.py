"""Outlines drawn with labelme."""

import base64
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from PIL import Image

from xinc_pl.data.annotations.labelme import number_objects, paint, read_labelme

SIZE = (12, 20)


def shape(label: str, points: list[Any], **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": "polygon", "flags": {}, **more}


def drawn(folder: Path, *shapes: dict[str, Any], name: str = "x.json", **more: Any) -> Path:
    content = {"version": "5.5.0", "imagePath": "x.jpg", "imageData": None, "shapes": list(shapes)}
    file = folder / name
    file.write_text(json.dumps(content | {"imageHeight": SIZE[0], "imageWidth": SIZE[1]} | more))
    return file


def painted(file: Path) -> list[list[int]]:
    drawing = read_labelme(file)
    return paint(drawing, number_objects([drawing])).tolist()


def test_a_polygon_has_the_pixels_whose_middle_it_contains(tmp_path: Path) -> None:
    corners = [[2.3, 1.2], [17.6, 3.7], [11.1, 10.9], [8.4, 5.2], [3.3, 9.6]]
    labels = painted(drawn(tmp_path, shape("car", corners)))
    inside = Outline(corners)
    expected = [[int(inside.contains_point((x + 0.5, y + 0.5))) for x in range(SIZE[1])] for y in range(SIZE[0])]
    assert labels == expected
    assert 20 < np.sum(labels) < 200


def test_rectangles_circles_and_masks(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[True, False], [True, True]])).save(buffer, "PNG")
    file = drawn(
        tmp_path,
        shape("a", [[5, 4], [2, 1]], shape_type="rectangle"),
        shape("b", [[12, 6], [12, 9.5]], shape_type="circle"),
        shape("c", [[18, 10], [19, 11]], shape_type="mask", mask=base64.b64encode(buffer.getvalue()).decode()),
        shape("d", [[1, 1]], shape_type="point"),
        shape("d", [[1, 1], [2, 2]], shape_type="line"),
    )
    expected = np.zeros(SIZE, dtype=int)
    expected[1:4, 2:5] = 1
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            if math.hypot(x + 0.5 - 12, y + 0.5 - 6) <= 3.5:
                expected[y, x] = 2
    expected[10, 18] = expected[11, 18] = expected[11, 19] = 3
    assert painted(file) == expected.tolist()


def test_what_is_drawn_later_lies_on_top(tmp_path: Path) -> None:
    box = [[0, 0], [4, 4]]
    over = [[2, 2], [6, 6]]
    labels = np.array(
        painted(drawn(tmp_path, shape("a", box, shape_type="rectangle"), shape("b", over, shape_type="rectangle")))
    )
    assert (labels[3, 3], labels[1, 1], labels[5, 5], labels[7, 7]) == (2, 1, 2, 0)


def test_objects_are_the_same_over_frames(tmp_path: Path) -> None:
    box = [[0, 0], [4, 4]]
    grouped, car, bus = shape("car", box, group_id=7), shape("car", box), shape("bus", box)
    first = read_labelme(drawn(tmp_path, grouped, bus, car, name="0.json"))
    second = read_labelme(drawn(tmp_path, car, car, grouped, name="1.json"))
    ids = number_objects([first, second])
    assert [ids[each.key] for each in first.shapes] == [4, 1, 2]  # bus; the first car, the second car; car of group 7
    assert [ids[each.key] for each in second.shapes] == [2, 3, 4]
    assert number_objects([second, first]) == ids


BOX = [[0, 0], [4, 0], [4, 4]]


@pytest.mark.parametrize(
    ("shapes", "more", "message"),
    [
        ([shape("car", BOX[:2])], {}, "a shape of 'car' cannot be drawn: a polygon has at least 3 corners"),
        ([shape("car", [[1, 2, 3]] * 3)], {}, "points of 'car' are not pairs of numbers"),
        ([shape("car", [[1, "x"]] * 3)], {}, "points of 'car' are not pairs of numbers"),
        ([shape("car", [[1, math.nan]] * 3)], {}, "points of 'car' are not pairs of numbers"),
        ([shape("car", [[0, 0]], shape_type="circle")], {}, "a shape of 'car' cannot be drawn: "),
        ([shape("car", BOX, shape_type="mask", mask="???")], {}, "a shape of 'car' cannot be drawn: "),
        ([{"points": BOX}], {}, "'label' is missing where a word is wanted"),
        ([{"label": "car"}], {}, "'points' is missing where a list is wanted"),
        ([], {"imageHeight": None}, "'imageHeight' is missing where a whole number is wanted"),
        ([], {"imageWidth": 10**9}, "imageHeight and imageWidth are 12 and 1000000000"),
        ([], {"shapes": 3}, "'shapes' is '3' where a list is wanted"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, shapes: list[Any], more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"x.json: {message}") as raised:
        painted(drawn(tmp_path, *shapes, **more))
    assert "\n" not in str(raised.value)
