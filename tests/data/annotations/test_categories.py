"""Files that say what labels mean."""

import json
from pathlib import Path
from typing import Any

import pytest

from xinc_pl.data.annotations.categories import category_of, read_categories
from xinc_pl.data.annotations.instances import Category

CAR, SKY = Category("car"), Category("sky", is_thing=False)
COCO = [{"id": 1, "name": "car", "isthing": 1}, {"id": 2, "name": "sky", "isthing": 0}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.yaml", "1: car\n2: {name: sky, isthing: 0}\n"),
        ("x.txt", "1: car\n2: {name: sky, isthing: 0}\n"),
        ("x.json", '{"1": "car", "2": {"name": "sky", "isthing": 0}}'),
        ("x.yaml", "- {id: 1, name: car}\n- {id: 2, name: sky, isthing: false}\n"),
        ("x.yaml", "categories:\n- {id: 1, name: car}\n- {id: 2, name: sky, isthing: 0}\n"),
        ("x.json", json.dumps({"categories": COCO, "info": {}})),
        ("x.json", json.dumps(COCO)),
    ],
)
def test_mappings_and_lists(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    found = read_categories(file)
    assert found.by_label == {1: CAR, 2: SKY}
    assert found.by_name == {"car": CAR, "sky": SKY}
    assert found.segments is None


def test_a_label_may_be_a_colour(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text('"#010203": car\n')
    assert read_categories(file).by_label == {1 + 256 * 2 + 65536 * 3: CAR}


def panoptic(**changes: Any) -> dict[str, Any]:
    segments = [
        {"id": 300, "category_id": 1, "iscrowd": 0},
        {"id": 301, "category_id": 1, "iscrowd": 1},
        {"id": 7, "category_id": 2},
    ]
    annotation = {"image_id": 139, "file_name": "a.png", "segments_info": segments}
    return {"annotations": [annotation], "categories": COCO, "images": [], **changes}


def test_panoptic_annotations(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(panoptic()))
    crowd = Category("car", is_thing=False)
    assert read_categories(file).segments == {"a.png": {300: CAR, 301: crowd, 7: SKY}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "'categories' holds '1' where a JSON object is wanted"),
        ("3", "has no categories; write lines such as '1: car'"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("{}", "has no categories; write lines such as '1: car'"),
        ('{"car": 1}', "'car' is neither a label nor a colour"),
        ('{"#12345x": "car"}', "'#12345x' is neither a label nor a colour"),
        ('{"1": 2}', "'name' is missing where a word is wanted"),
        ('{"1": {"name": 2}}', "'name' is '2' where a word is wanted"),
        ('{"categories": [{"name": "car"}]}', "'id' is missing where a whole number is wanted"),
        ('{"categories": ["car"]}', "'categories' holds 'car' where a JSON object is wanted"),
        (json.dumps(panoptic(categories=COCO[:1])), "category_id is 2, which is not among the categories"),
        (json.dumps(panoptic(annotations=[{"id": 1, "bbox": []}])), "it is not COCO's panoptic format"),
        (json.dumps(panoptic(annotations={})), "'annotations' is '{}' where a list is wanted"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_categories(file)
    assert "x.json" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_yaml_file_makes_no_objects(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("1: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ValueError, match="cannot be read as categories"):
        read_categories(file)
    with pytest.raises(ValueError, match="there is no file of categories"):
        read_categories(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("label", "expected"),
    [(1000, CAR), (1999, CAR), (1, Category("car", is_thing=False)), (2, SKY), (2000, SKY), (0, None), (3000, None)],
)
def test_labels_with_a_divisor(label: int, expected: Category | None) -> None:
    assert category_of(label, {1: CAR, 2: SKY}, 1000) == expected
