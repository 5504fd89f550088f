"""Which file belongs to which frame."""

from pathlib import Path

import pytest

from xinc_pl.data.matching import matched

FOLDER = Path("masks")


def files(*names: str) -> list[Path]:
    return [FOLDER / name for name in names]


def names(found: list[Path | None]) -> list[str | None]:
    return [None if file is None else file.name for file in found]


def test_by_name_whatever_the_order() -> None:
    found = matched(["a", "b", "c"], files("c.png", "a.png", "b.png"), "masks", FOLDER)
    assert names(found) == ["a.png", "b.png", "c.png"]


def test_in_order_where_no_name_is_the_same() -> None:
    found = matched(["a", "b"], files("1.png", "2.png"), "masks", FOLDER)
    assert names(found) == ["1.png", "2.png"]


def test_some_need_have_none() -> None:
    assert names(matched(["a", "b", "c"], files("b.png"), "masks", FOLDER, range(3))) == [None, "b.png", None]
    assert names(matched(["a", "b", "c"], files("1", "2"), "flow", FOLDER, {2})) == ["1", "2", None]
    assert names(matched(["a", "b", "c"], files("1", "2"), "flow", FOLDER, {0})) == [None, "1", "2"]
    assert names(matched(["a", "b", "c"], files("1", "2", "3"), "flow", FOLDER, {0})) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("found", "free", "message"),
    [
        ([], (), "masks has no masks"),
        (["a.png", "b.png"], (), "1 of the 3 frames have no masks in masks, such as 'c'"),
        (["a.png", "b.png"], {0}, "1 of the 3 frames have no masks in masks, such as 'c'"),
        (["a.png", "b.png", "c.png", "d.png"], (), "1 of the 4 masks in masks belong to no frame, such as d.png"),
        (["a.png", "x.png"], range(3), "1 of the 2 masks in masks belong to no frame, such as x.png"),
        (
            ["1.png", "2.png"],
            (),
            "2 masks in masks for 3 frames, and their names are not those of the frames",
        ),
        (["1.png", "2.png"], range(3), "there are 2 masks in masks for 3 frames"),
        (["1.png"], {0}, "there are 1 masks in masks for 3 frames"),
    ],
)
def test_what_does_not_match_is_told(found: list[str], free: set[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        matched(["a", "b", "c"], files(*found), "masks", FOLDER, free)
