"""VIPSeg as its authors lay it out."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_datasets import SIZE, change_json, room, save_numbers, write_vipseg

from xinc_pl import VIPSeg

JSON = "panoptic_gt_VIPSeg.json"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return write_vipseg(tmp_path_factory.mktemp("data") / "VIPSeg_720P")


@pytest.fixture
def root(kept: Path, tmp_path: Path) -> Path:
    """A copy, to be broken."""
    return Path(shutil.copytree(kept, tmp_path / "VIPSeg_720P"))


def data(root: Path, **options: Any) -> VIPSeg:
    return VIPSeg(str(root), **{"size": SIZE, **options})


def test_frames_come_in_order_with_their_instances(kept: Path) -> None:
    video = data(kept)
    assert video.num_frames == 8
    assert [round(float(frame.target[0, 0, 0]) * 255) for frame in video.frames] == [8 * index for index in range(8)]
    assert [frame.inputs.tolist() for frame in video.frames] == [[index / 8] for index in range(8)]
    for index, frame in enumerate(video.frames):
        assert {each.id: (each.category, each.is_thing) for each in frame.instances} == {
            2: ("ceiling", False),
            124: ("other", False),
            6100: ("person", True),
            6101: ("person", True),
        }
        for each in frame.instances:
            assert np.array_equal(each.mask.numpy(), room(index) == each.id)


def test_coloured_masks_tell_the_same(kept: Path) -> None:
    for one, other in zip(data(kept).frames, data(kept, masks="panomasksRGB").frames, strict=True):
        for numbered, coloured in zip(one.instances, other.instances, strict=True):
            assert (numbered.id * 40, numbered.category) == (coloured.id, coloured.category)
            assert torch.equal(numbered.mask, coloured.mask)


def test_a_thing_s_category_without_a_number_is_a_crowd_and_the_limit_is_125(root: Path) -> None:
    labels = room(0)
    labels[0, 0], labels[0, 1], labels[0, 2] = 61, 125, 299  # 125 and 299 are things of categories 0 and 1
    save_numbers(root / "panomasks/12_n-ytHkMceew/00000976.png", labels)
    found = {each.id: (each.category, each.is_thing) for each in data(root).frames[0].instances}
    assert found[61] == ("person", False)
    assert found[299] == ("ceiling", False)
    assert 125 not in found


@pytest.mark.parametrize(("video", "chosen"), [("12_", "12_n"), ("127", "127_abc"), ("12_n-ytHkMceew", "12_n")])
def test_a_video_is_chosen_by_the_beginning_of_its_name(kept: Path, video: str, chosen: str) -> None:
    assert data(kept, video=video).find()[0].image.parent.name.startswith(chosen)


def test_splits(kept: Path) -> None:
    assert len(data(kept, split="val", video="127_").frames) == 8
    with pytest.raises(ValueError, match=r"VIPSeg_val.json has no videos .* begin with '12_'; it has: 127_abc"):
        _ = data(kept, split="val", video="12_").frames


def test_one_frame_is_an_image(kept: Path) -> None:
    (frame,) = data(kept, frame=3).frames
    assert frame.inputs.shape == (SIZE[0] * SIZE[1], 2)
    assert {each.id for each in frame.instances} == {2, 124, 6100, 6101}


def test_a_frame_without_annotation_has_no_instances(root: Path) -> None:
    change_json(root / JSON, "00001006", "none")
    file = root / JSON
    file.write_text(file.read_text().replace('"id": "none"', '"id": "00001006"'))
    frames = data(root).frames
    assert [len(frame.instances) for frame in frames] == [4, 0, 4, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("name", ["../../../x.png", "/x.png", "a\\..\\x.png", "12_n-ytHkMceew/../x.png"])
@pytest.mark.parametrize("which", ["00000976.png", "00000976.jpg"])
def test_a_name_that_leads_out_of_the_folder_is_refused(root: Path, name: str, which: str) -> None:
    change_json(root / JSON, which, name)
    with pytest.raises(ValueError, match=rf"{JSON} names the file .* of which a part .* only"):
        _ = data(root).frames


def test_a_video_s_name_that_leads_out_of_the_folder_is_refused(root: Path) -> None:
    change_json(root / JSON, "127_abc", "../127_abc")
    with pytest.raises(ValueError, match="of which a part starts or ends with a dot"):
        _ = data(root, video="../127").frames


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"video": "9_"}, r"has no videos whose names begin with '9_'; it has: 127_abc, 12_n-ytHkMceew"),
        ({"video": "12"}, r"has 2 videos whose names begin with '12'; choose one: 127_abc, 12_n-ytHkMceew"),
        ({"split": "test"}, r"panoptic_gt_VIPSeg_test.json cannot be read"),
        ({"split": "all"}, r"split is 'all'; choose from train, val, test, or null"),
        ({"masks": "gt"}, r"masks is 'gt'; choose from panomasks, panomasksRGB"),
        ({"frame": 8}, r"frame is 8, and the video has frames 0 to 7"),
    ],
)
def test_wrong_arguments_are_named(kept: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _ = data(kept, **options).frames
