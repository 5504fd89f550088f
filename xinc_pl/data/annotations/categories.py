"""What labels mean: files of categories, and COCO's panoptic annotations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xinc_pl.data.annotations.instances import Category
from xinc_pl.data.annotations.json_files import entries, entry, read_any_json
from xinc_pl.plain_yaml import PlainYAMLError, read_plain_yaml


@dataclass(frozen=True)
class Categories:
    """What labels mean.

    Args:
        by_label: Of labels that mean the same in every frame.
        by_name: Of categories that are named, as in labelme's files.
        segments: Of COCO's panoptic annotations, by the name of the picture of labels: what its labels are.
    """

    by_label: Mapping[int, Category] = field(default_factory=dict)
    by_name: Mapping[str, Category] = field(default_factory=dict)
    segments: Mapping[str, Mapping[int, Category]] | None = None


def read_categories(file: Path) -> Categories:
    """Read a file of categories.

    It is one of three: a mapping from labels to names in YAML or JSON (``1: car``; or, where it is not a thing,
    ``2: {name: sky, isthing: 0}``; a label may be a colour, ``"#4682b4"``); COCO's list of categories (``- {id: 1,
    name: car, isthing: 1}``), alone or in an object; or COCO's panoptic annotations, which have the meaning of every
    label of every picture.

    Raises:
        ValueError: It cannot be read, or is none of these.
    """
    content = _content(file)
    if isinstance(content, Mapping) and "annotations" in content:
        return Categories(segments=panoptic_segments(content, file))
    if isinstance(content, Mapping) and "categories" in content:
        content = content["categories"]
    by_label: dict[int, Category] = {}
    if isinstance(content, list):
        by_label = category_list({"categories": content}, file)
    elif isinstance(content, Mapping):
        by_label = {_label(key, file): _category(value, file) for key, value in content.items()}
    if not by_label:
        raise ValueError(f"{file} has no categories; write lines such as '1: car'")
    return Categories(by_label, {each.name: each for each in by_label.values()})


def _content(file: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    if not file.is_file():
        raise ValueError(f"there is no file of categories {str(file)!r}")
    if file.suffix.lower() == ".json":
        return read_any_json(file)
    try:
        return read_plain_yaml(file)
    except PlainYAMLError as error:
        raise ValueError(f"{file} cannot be read as categories: {error}") from error


def category_list(holder: object, source: Path) -> dict[int, Category]:
    """COCO's list of ``categories``, by id.

    Raises:
        ValueError: It is missing, or an entry lacks its id or name.
    """
    return {entry(each, "id", int, source): _category(each, source) for each in entries(holder, "categories", source)}


def category_of(label: int, categories: Mapping[int, Category], divisor: int) -> Category | None:
    """What a label is that is category times ``divisor`` plus the object's number, or else a category of stuff.

    A label of stuff whose category is a thing is a crowd, and no single thing. None if there is no such category.
    """
    is_thing = label >= divisor
    category = categories.get(label // divisor if is_thing else label)
    return category and Category(category.name, category.is_thing and is_thing)


def segments_of(annotation: object, categories: Mapping[int, Category], source: Path) -> dict[int, Category]:
    """What the labels of one picture are, by its ``segments_info``. A crowd is no single thing.

    Raises:
        ValueError: Something is missing.
    """
    segments = {}
    for each in entries(annotation, "segments_info", source):
        number = entry(each, "category_id", int, source)
        if number not in categories:
            raise ValueError(f"{source}: a segment's category_id is {number}, which is not among the categories")
        category = categories[number]
        if each.get("iscrowd"):
            category = Category(category.name, is_thing=False)
        segments[entry(each, "id", int, source)] = category
    return segments


def panoptic_segments(content: Mapping[str, Any], source: Path) -> dict[str, dict[int, Category]]:
    """COCO's panoptic annotations: by the name of the picture of labels, what its labels are.

    Raises:
        ValueError: Something is missing, or these are other annotations of COCO's.
    """
    categories = category_list(content, source)
    annotations = list(entries(content, "annotations", source))
    if annotations and "segments_info" not in annotations[0]:
        raise ValueError(
            f"{source} has annotations without 'segments_info': it is not COCO's panoptic format, which has "
            "pictures of labels beside it"
        )
    return {entry(each, "file_name", str, source): segments_of(each, categories, source) for each in annotations}


def _category(value: object, source: Path) -> Category:
    if isinstance(value, str):
        return Category(value)
    is_thing = value.get("isthing", True) if isinstance(value, Mapping) else True
    return Category(entry(value, "name", str, source), bool(is_thing))


def _label(key: object, source: Path) -> int:
    text = str(key)
    try:
        if text.startswith("#") and len(text) == 7:
            red, green, blue = bytes.fromhex(text[1:])
            return red + 256 * green + 65536 * blue
        return int(text)
    except ValueError:
        raise ValueError(f"{source}: {text!r} is neither a label nor a colour, such as 1 or '#4682b4'") from None
