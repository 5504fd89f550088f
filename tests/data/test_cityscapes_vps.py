"""Cityscapes-VPS as its authors lay it out."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_datasets import COLOURS, SIZE, change_json, save_frame, save_numbers, street, write_cityscapes_vps

from xinc_pl import FFN, CityscapesVPS, Frame, ImageINR
from xinc_pl.frames import pixel_coordinates

NAME = "0005_0025_frankfurt_000000_001736_final_mask.png"
JSON = "panoptic_gt_val_city_vps.json"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return write_cityscapes_vps(tmp_path_factory.mktemp("data") / "cityscapes_vps")


@pytest.fixture
def root(kept: Path, tmp_path: Path) -> Path:
    """A copy, to be broken."""
    return Path(shutil.copytree(kept, tmp_path / "cityscapes_vps"))


def data(root: Path, **options: Any) -> CityscapesVPS:
    return CityscapesVPS(str(root), **{"size": SIZE, **options})


def described(frame: Frame) -> dict[int, tuple[str, bool]]:
    return {each.id: (each.category, each.is_thing) for each in frame.instances}


def test_all_frames_come_in_order_at_their_true_times(kept: Path) -> None:
    frames = data(kept).frames
    assert [frame.index for frame in frames] == list(range(30))
    assert [frame.inputs.tolist() for frame in frames] == [[index / 30] for index in range(30)]
    assert all(frame.inputs.dtype == torch.float64 for frame in frames)
    assert [round(float(frame.target[0, 0, 0]) * 255) for frame in frames] == [8 * index for index in range(30)]
    assert [frame.index for frame in frames if frame.instances] == [4, 9, 14, 19, 24, 29]


def test_instances_are_those_of_the_masks(kept: Path) -> None:
    frames = data(kept).frames
    for place, index in enumerate((4, 9, 14, 19, 24, 29)):
        assert described(frames[index]) == {
            0: ("road", False),
            10: ("sky", False),
            13: ("car", False),  # a crowd
            13000: ("car", True),
            13001: ("car", True),
            13002: ("car", True),
        }
        for each in frames[index].instances:
            assert each.mask.dtype == torch.bool
            assert np.array_equal(each.mask.numpy(), street(place) == each.id)


def test_an_instance_that_vanishes_when_it_is_resized_is_left_out(kept: Path) -> None:
    frame = data(kept, size=(8, 16)).frames[4]
    assert set(described(frame)) == {0, 10, 13, 13000, 13002}
    for each in frame.instances:  # of two pixels, the middle of the new one falls on the second
        assert np.array_equal(each.mask.numpy(), street(0)[1::2, 1::2] == each.id)
        assert each.mask.any()


def test_masks_are_cropped_as_the_frames_are(kept: Path) -> None:
    frame = data(kept, size=(16, 16)).frames[9]
    for each in frame.instances:
        assert np.array_equal(each.mask.numpy(), street(1)[:, 8:24] == each.id)
    whole = data(kept).frames[9]
    assert torch.equal(frame.target, whole.target[:, :, 8:24])


def test_coloured_masks_tell_the_same(kept: Path) -> None:
    numbers, colours = (data(kept, masks=masks).frames for masks in ("panoptic_inst", "panoptic_video"))
    for one, other in zip(numbers, colours, strict=True):
        assert {COLOURS[number]: what for number, what in described(one).items()} == described(other)
        masks = {each.id: each.mask for each in other.instances}
        assert all(torch.equal(each.mask, masks[COLOURS[each.id]]) for each in one.instances)


@pytest.mark.parametrize(("masks", "label"), [("panoptic_inst", 17003), ("panoptic_video", COLOURS[17003])])
def test_what_the_json_does_not_know_is_told(
    kept: Path, masks: str, label: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("xinc_pl.data.panoptic.rank_zero_info", told.append)
    assert label not in described(data(kept, masks=masks).frames[4])
    assert [line.partition(": ")[2] for line in told] == [
        f"labels {label} stand for nothing that is known; they are left out"
    ]


def test_one_frame_is_an_image(kept: Path) -> None:
    image = data(kept, frame=9, steps_per_epoch=3)
    assert (image.num_frames, image.size) == (1, SIZE)
    (frame,) = image.frames
    assert frame.index == 0
    assert torch.equal(frame.inputs, pixel_coordinates(SIZE))
    video = data(kept).frames[9]
    assert torch.equal(frame.target, video.target)
    assert described(frame) == described(video)
    assert [batch.indices.tolist() for batch in image.train_dataloader()] == [[0]] * 3
    ImageINR(FFN(4, (4,)), size=SIZE).check_frame(frame, image.num_frames)


def test_a_video_may_be_named_without_its_zeros(kept: Path) -> None:
    assert len(data(kept, video="5").frames) == 30


def test_native_size(kept: Path) -> None:
    video = data(kept, size=None, multiple_of=8)
    assert (video.size, video.num_frames) == (SIZE, 30)
    assert np.array_equal(video.frames[4].instances[0].mask.numpy(), street(0) == 0)


@pytest.mark.parametrize(
    "name",
    [
        *("../../../etc/passwd", "/etc/passwd", "a/../../" + NAME, "..\\" + NAME, "C:" + NAME, "./" + NAME, ""),
        *("a//" + NAME, NAME + "\0"),
    ],
)
@pytest.mark.parametrize("masks", ["panoptic_inst", "panoptic_video"])
def test_a_name_that_leads_out_of_the_folder_is_refused(root: Path, name: str, masks: str) -> None:
    outside = root.parent / NAME
    shutil.copy(root / "val/panoptic_inst" / NAME, outside)
    change_json(root / JSON, NAME, name)
    with pytest.raises(ValueError, match=rf"{JSON} names the file .* of which a part .* only"):
        _ = data(root, masks=masks).frames


def _lose_json(root: Path) -> None:
    (root / JSON).unlink()


def _break_json(root: Path) -> None:
    (root / JSON).write_text("{")


def _list_json(root: Path) -> None:
    (root / JSON).write_text("[]")


def _lose_frame(root: Path) -> None:
    (root / "val/img_all/frankfurt_000000_001740_leftImg8bit.png").unlink()


def _cut_frame(root: Path) -> None:
    file = root / "val/img_all/frankfurt_000000_001740_leftImg8bit.png"
    file.write_bytes(file.read_bytes()[:300])


def _lose_mask(root: Path) -> None:
    (root / "val/panoptic_inst" / NAME).unlink()


def _shrink_mask(root: Path) -> None:
    save_numbers(root / "val/panoptic_inst" / NAME, street(0)[:8])


def _shrink_frame(root: Path) -> None:
    save_frame(root / "val/img_all/frankfurt_000000_001740_leftImg8bit.png", 0, (8, 16))


def _palette(root: Path) -> None:
    Image.new("P", SIZE[::-1]).save(root / "val/panoptic_inst" / NAME)


def _colours(root: Path) -> None:
    Image.new("RGB", SIZE[::-1]).save(root / "val/panoptic_inst" / NAME)


def _wrong_name(root: Path) -> None:
    change_json(root / JSON, NAME, "mask.png")


def _wrong_step(root: Path) -> None:
    change_json(root / JSON, NAME, NAME.replace("001736", "001737"))


def _no_name(root: Path) -> None:
    file = root / JSON
    file.write_text(file.read_text().replace(f'"{NAME}"', "7"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_lose_json, rf"{JSON} cannot be read: No such file"),
        (_break_json, rf"{JSON} is no JSON: "),
        (_list_json, rf"{JSON} is no JSON of annotations: it holds a list"),
        (_lose_frame, r"CityscapesVPS: there is no frame '.*001740_leftImg8bit.png'"),
        (_cut_frame, r"001740_leftImg8bit.png cannot be read as an image: .*truncated"),
        (_lose_mask, rf"CityscapesVPS: there is no mask '.*{NAME}'"),
        (_shrink_mask, rf"{NAME} is 8x32, and its frame .*001736_leftImg8bit.png is 16x32"),
        (_shrink_frame, r"001740_leftImg8bit.png is 8x16, but the frames before it are 16x32"),
        (_palette, rf"{NAME} cannot be read as an image: it has a palette"),
        (_colours, rf"{NAME} cannot be read as an image: it is in colours"),
        (_wrong_name, r"names the mask 'mask.png'; its name has to be video_frame_city_sequence_frame"),
        (_wrong_step, r"the masks of video 0005 are not five frames apart"),
        (_no_name, rf"{JSON}: 'file_name' is '7' where a word is wanted"),
    ],
)
def test_what_is_missing_or_broken_is_named(root: Path, spoil: Any, message: str) -> None:
    spoil(root)
    with pytest.raises(ValueError, match=message) as raised:
        _ = data(root).frames
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"video": "0006"}, r"has no video '0006'; it has 0005, 0010"),
        ({"split": "train"}, r"panoptic_gt_train_city_vps.json cannot be read"),
        ({"split": "all"}, r"split is 'all'; choose from val, train, test"),
        ({"masks": "gt"}, r"masks is 'gt'; choose from panoptic_inst, panoptic_video"),
        ({"frame": 30}, r"frame is 30, and the video has frames 0 to 29"),
        ({"frame": -1}, r"frame is -1; it must be at least 0"),
        ({"steps_per_epoch": 0}, r"steps_per_epoch is 0"),
        ({"root": "gone"}, r"there is no folder 'gone'; get the dataset from its authors"),
    ],
)
def test_wrong_arguments_are_named(kept: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _ = CityscapesVPS(**{"root": str(kept), "size": SIZE, **options}).frames
