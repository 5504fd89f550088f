"""Frames beside masks and flow of one's own: layouts as people have them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image as Picture
from tiny_datasets import save_colours, save_frame, save_numbers

from xinc_pl import Collage, Frame, Image, Video
from xinc_pl.frames import pixel_coordinates

SIZE = (8, 12)
NUM_FRAMES = 5

Labels = npt.NDArray[np.int64]


def labels_of(index: int) -> Labels:
    """Two objects over background, with an edge around the first."""
    labels = np.zeros(SIZE, dtype=np.int64)
    labels[1:5, index : index + 5] = 255
    labels[2:4, index + 1 : index + 4] = 1
    labels[6:, 8:] = 2
    return labels


def save_palette(file: Path, labels: Labels) -> None:
    """As DAVIS and VOC have them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    picture = Picture.fromarray(labels.astype(np.uint8), mode="P")
    picture.putpalette([level for label in range(256) for level in (label, 255 - label, 7)])
    picture.save(file)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    for index in range(NUM_FRAMES):
        save_frame(tmp_path / f"frames/{index:05d}.png", 20 * index, SIZE)
    return tmp_path / "frames"


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for index in range(NUM_FRAMES):
        save_palette(tmp_path / f"masks/{index:05d}.png", labels_of(index))
    return tmp_path / "masks"


def video(path: Path, masks: Path | None = None, **options: Any) -> Video:
    return Video(
        str(path), **{"size": SIZE, "num_frames": NUM_FRAMES, "masks": None if masks is None else str(masks), **options}
    )


def described(frame: Frame) -> dict[int, tuple[str, bool]]:
    return {each.id: (each.category, each.is_thing) for each in frame.instances}


def assert_marks(frame: Frame, labels: Labels, *ids: int) -> None:
    """The frame has these instances, and each has the pixels of its label."""
    assert [each.id for each in frame.instances] == list(ids)
    for each in frame.instances:
        assert np.array_equal(each.mask.numpy(), labels == each.id)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines about masks."""
    lines: list[str] = []
    monkeypatch.setattr("xinc_pl.data.masks.rank_zero_info", lines.append)
    return lines


def test_the_layout_of_davis(tmp_path: Path, told: list[str]) -> None:
    for index in range(NUM_FRAMES):
        save_frame(tmp_path / f"DAVIS/JPEGImages/480p/bear/{index:05d}.jpg", index, SIZE)
        save_palette(tmp_path / f"DAVIS/Annotations/480p/bear/{index:05d}.png", labels_of(index))
    bear = video(tmp_path / "DAVIS/JPEGImages/480p/bear", tmp_path / "DAVIS/Annotations/480p/bear")
    for index, frame in enumerate(bear.frames):
        assert_marks(frame, labels_of(index), 1, 2)
        assert described(frame) == {1: ("object", True), 2: ("object", True)}
    assert told == [f"{tmp_path}/DAVIS/Annotations/480p/bear: no object has the labels 255; they are left out"]


@pytest.mark.parametrize("save", [save_palette, save_numbers, save_colours])
def test_masks_follow_the_frames_that_are_taken(frames: Path, masks: Path, save: Any) -> None:
    for index in range(NUM_FRAMES):
        save(masks / f"{index:05d}.png", labels_of(index))
    second, fourth = video(frames, masks, num_frames=2, first_frame=1, every_n_frames=2).frames
    assert_marks(second, labels_of(1), 1, 2)
    assert_marks(fourth, labels_of(3), 1, 2)


def test_a_mask_belongs_to_the_frame_of_its_name_or_the_next_in_order(frames: Path, masks: Path) -> None:
    for index in range(NUM_FRAMES):
        (masks / f"{index:05d}.png").rename(masks / f"mask_{index}.png")
    assert_marks(video(frames, masks).frames[3], labels_of(3), 1, 2)
    (masks / "mask_4.png").unlink()
    with pytest.raises(ValueError, match=r"there are 4 masks in .*masks for 5 frames"):
        _ = video(frames, masks).frames


def test_some_frames_may_have_none(frames: Path, masks: Path) -> None:
    (masks / "00001.png").unlink()
    with pytest.raises(
        ValueError, match=r"1 of the 5 frames have no masks .*, such as '00001'; .* set all_labelled to"
    ):
        _ = video(frames, masks).frames
    found = video(frames, masks, all_labelled=False).frames
    assert [len(frame.instances) for frame in found] == [2, 0, 2, 2, 2]
    with pytest.raises(ValueError, match=r"Video: none of the frames that are taken has masks in .*masks"):
        _ = video(frames, masks, all_labelled=False, num_frames=1, first_frame=1).frames
    assert_marks(found[2], labels_of(2), 1, 2)


def test_black_and_white_masks(frames: Path, masks: Path) -> None:
    for index in range(NUM_FRAMES):
        save_numbers(masks / f"{index:05d}.png", (labels_of(index) == 1) * 255)
    assert_marks(video(frames, masks).frames[1], (labels_of(1) == 1) * 255, 255)


def test_with_many_objects_255_is_one_of_them(frames: Path, masks: Path) -> None:
    for index in range(NUM_FRAMES):
        save_numbers(masks / f"{index:05d}.png", labels_of(index) + 1000 * (labels_of(index) == 2))
    assert [each.id for each in video(frames, masks).frames[0].instances] == [1, 255, 1002]


def test_categories_name_labels_and_what_has_none_is_left_out(frames: Path, masks: Path, told: list[str]) -> None:
    names = masks.parent / "categories.yaml"
    names.write_text("0: {name: ground, isthing: 0}\n1: dog\n")
    frame = video(frames, masks, categories=str(names)).frames[2]
    assert described(frame) == {0: ("ground", False), 1: ("dog", True)}
    assert told == [f"{masks}: no object has the labels 2, 255; they are left out"]


def test_labels_with_a_divisor(frames: Path, masks: Path) -> None:
    labels = np.where(labels_of(0) == 1, 11003, np.where(labels_of(0) == 2, 7, 0))
    for index in range(NUM_FRAMES):
        save_numbers(masks / f"{index:05d}.png", labels)
    assert described(video(frames, masks, label_divisor=1000).frames[0]) == {
        7: ("category 7", False),
        11003: ("category 11", True),
    }
    names = masks.parent / "x.json"
    names.write_text('{"categories": [{"id": 7, "name": "road", "isthing": 0}, {"id": 11, "name": "person"}]}')
    assert described(video(frames, masks, label_divisor=1000, categories=str(names)).frames[0]) == {
        7: ("road", False),
        11003: ("person", True),
    }


def test_coco_s_panoptic_json(frames: Path, masks: Path, told: list[str]) -> None:
    def ids_of(index: int) -> Labels:
        labels = labels_of(index)
        return np.where(labels == 255, 9, labels * 70000)

    annotations = []
    for index in range(NUM_FRAMES):
        save_colours(masks / f"{index:05d}.png", ids_of(index))
        segments = [
            {"id": 70000, "category_id": 18, "iscrowd": 0},
            {"id": 140000, "category_id": 193, "iscrowd": 0},
            {"id": 5, "category_id": 18, "iscrowd": 0},  # of no pixel
        ]
        annotations.append({"image_id": index, "file_name": f"{index:05d}.png", "segments_info": segments})
    categories = [{"id": 18, "name": "dog", "isthing": 1}, {"id": 193, "name": "grass", "isthing": 0}]
    panoptic = masks.parent / "panoptic.json"
    panoptic.write_text(json.dumps({"annotations": annotations, "categories": categories}))
    frame = video(frames, masks, categories=str(panoptic)).frames[1]
    assert_marks(frame, ids_of(1), 70000, 140000)
    assert described(frame) == {70000: ("dog", True), 140000: ("grass", False)}
    assert told == [f"{masks}: no object has the labels 9; they are left out"]
    save_palette(masks / "00002.png", labels_of(2))
    with pytest.raises(ValueError, match=r"00002.png cannot be read as an image: it has a palette, .* save it as RGB"):
        _ = video(frames, masks, categories=str(panoptic)).frames
    panoptic.write_text(json.dumps({"annotations": annotations[:2], "categories": categories}))
    save_colours(masks / "00002.png", ids_of(2))
    with pytest.raises(ValueError, match=r"panoptic.json has no annotation of 00002.png"):
        _ = video(frames, masks, categories=str(panoptic)).frames


def test_labelme_s_files_beside_the_frames(frames: Path) -> None:
    for index in range(NUM_FRAMES):
        corners = [[index + 1, 2], [index + 4, 2], [index + 4, 4], [index + 1, 4]]
        shapes = [{"label": "dog", "points": corners, "shape_type": "polygon", "group_id": None}]
        if index:
            shapes.append({"label": "cat", "points": [[8, 6], [12, 8]], "shape_type": "rectangle", "group_id": None})
        content = {"shapes": shapes, "imageHeight": SIZE[0], "imageWidth": SIZE[1], "imageData": None}
        (frames / f"{index:05d}.json").write_text(json.dumps(content))
    found = video(frames, frames).frames
    assert described(found[0]) == {2: ("dog", True)}
    assert described(found[3]) == {1: ("cat", True), 2: ("dog", True)}
    assert_marks(found[3], (labels_of(3) == 1) * 2 + (labels_of(3) == 2), 1, 2)
    names = frames.parent / "names.yaml"
    names.write_text("1: {name: cat, isthing: 0}\n")
    assert described(video(frames, frames, categories=str(names)).frames[3]) == {1: ("cat", False), 2: ("dog", True)}


def test_masks_of_a_file_of_frames(tmp_path: Path, masks: Path) -> None:
    pictures = [Picture.new("RGB", SIZE[::-1], (20 * index, 0, 0)) for index in range(NUM_FRAMES)]
    pictures[0].save(tmp_path / "x.webp", save_all=True, append_images=pictures[1:], lossless=True)
    assert_marks(video(tmp_path / "x.webp", masks, num_frames=2, first_frame=2).frames[1], labels_of(3), 1, 2)
    (masks / "00004.png").unlink()
    with pytest.raises(ValueError, match=r"there are 4 masks in .*masks for 5 frames"):
        _ = video(tmp_path / "x.webp", masks, num_frames=2).frames


def test_masks_of_a_video_file(tmp_path: Path, masks: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    with av.open(str(tmp_path / "x.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "bgr0"
        for _ in range(NUM_FRAMES):
            pixels = np.zeros((*SIZE, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="bgr0")))
        container.mux(stream.encode())
    assert_marks(video(tmp_path / "x.mkv", masks, num_frames=2, first_frame=1).frames[1], labels_of(2), 1, 2)


def flow_of(index: int) -> npt.NDArray[np.float32]:
    """From frame ``index - 1`` to ``index``, at the pixels of the latter: one block moves, by whole pixels."""
    flow = np.zeros((2, *SIZE), dtype=np.float32)
    flow[:, 2:4, index + 1 : index + 3] = np.array([2 + index, 1])[:, None, None]
    return flow


def save_flows(folder: Path, direction: str) -> Path:
    folder.mkdir()
    for index in range(1, NUM_FRAMES):
        flow = flow_of(index)
        if direction == "to_previous":
            np.save(folder / f"{index:05d}.npy", -flow)
        elif direction == "from_previous":
            np.save(folder / f"{index:05d}.npy", flow)
        else:
            start = np.zeros_like(flow)
            for row, column in np.argwhere(flow[0] > 0):
                place = row - int(flow[1, row, column]), column - int(flow[0, row, column])
                if min(place) >= 0:
                    start[(slice(None), *place)] = flow[:, row, column]
            np.save(folder / f"{index - 1:05d}.npy", start)
    return folder


@pytest.mark.parametrize("direction", ["from_previous", "to_previous"])
def test_flow_from_and_to_the_frame_before(frames: Path, tmp_path: Path, direction: str) -> None:
    flows = save_flows(tmp_path / "flow", direction)
    found = video(frames, flow=str(flows), flow_direction=direction).frames
    assert found[0].flow is None
    for index in range(1, NUM_FRAMES):
        assert np.array_equal(found[index].flow, flow_of(index))
    later = video(frames, flow=str(flows), flow_direction=direction, first_frame=2, num_frames=2).frames
    assert later[0].flow is None  # the frame before it is not in the clip
    assert np.array_equal(later[1].flow, flow_of(3))


def test_flow_to_the_next_frame(frames: Path, tmp_path: Path) -> None:
    flows = save_flows(tmp_path / "flow", "to_next")
    found = video(frames, flow=str(flows)).frames
    assert found[0].flow is None
    seen = 0
    for index in range(1, NUM_FRAMES):
        flow = found[index].flow
        for row, column in np.argwhere(np.load(flows / f"{index - 1:05d}.npy")[0] > 0):
            assert flow[:, row + 1, column + 2 + index].tolist() == [2 + index, 1]
            seen += 1
    assert seen > 4


def test_flow_is_scaled_with_the_frames(frames: Path, tmp_path: Path) -> None:
    flows = save_flows(tmp_path / "flow", "from_previous")
    frame = video(frames, flow=str(flows), flow_direction="from_previous", size=(16, 24)).frames[2]
    expected = flow_of(2).repeat(2, axis=1).repeat(2, axis=2) * 2
    assert np.array_equal(frame.flow, expected)
    narrow = video(frames, flow=str(flows), flow_direction="from_previous", size=(8, 6), fit="stretch").frames[2]
    assert np.array_equal(narrow.flow, flow_of(2)[:, :, 1::2] * np.array([0.5, 1])[:, None, None])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masks": "gone"}, "Video: there is no folder of masks 'gone'"),
        ({"categories": "x.yaml"}, "Video: categories is 'x.yaml', but there are no masks; set masks"),
        ({"label_divisor": 10}, "Video: label_divisor is 10, but there are no masks; set masks"),
        ({"masks": "masks", "label_divisor": 1}, "Video: label_divisor is 1; it must be at least 2"),
        ({"masks": "masks", "categories": "x.yaml"}, "there is no file of categories 'x.yaml'"),
        ({"masks": "frames"}, "frames has no masks"),
        ({"flow": "gone"}, "Video: there is no folder of flow 'gone'"),
        ({"flow": "masks", "every_n_frames": 2}, "flow goes from frame to frame, and every_n_frames is 2"),
        (
            {"flow": "masks", "flow_direction": "back"},
            "flow_direction is 'back'; choose from to_next, from_previous",
        ),
    ],
)
def test_wrong_arguments_are_named(
    frames: Path, masks: Path, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(masks.parent)
    with pytest.raises(ValueError, match=message):
        _ = Video("frames", **{"size": SIZE, "num_frames": 2, **options}).frames


def _other_size(masks: Path) -> None:
    save_palette(masks / "00002.png", labels_of(2)[:, :10])


def _truncated(masks: Path) -> None:
    file = masks / "00002.png"
    file.write_bytes(file.read_bytes()[:-40])


def _one_more(masks: Path) -> None:
    save_palette(masks / "00005.png", labels_of(2))


def _photographs(masks: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Picture.fromarray(pixels).save(masks / "00002.png")


def _empty(masks: Path) -> None:
    for index in range(NUM_FRAMES):
        save_palette(masks / f"{index:05d}.png", 0 * labels_of(0))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_size, r"00002.png is 8x10, and its frame .*frames/00002.png is 8x12; they must have one size"),
        (_truncated, r"masks/00002.png cannot be read as an image: .*truncated"),
        (_one_more, r"1 of the 6 masks in .*masks belong to no frame, such as 00005.png"),
        (_photographs, r"00002.png has \d+ different labels; that is a photograph"),
        (_empty, r"the masks in .*masks have no object in the frames that are taken: their labels are 0"),
    ],
)
def test_masks_that_do_not_fit_are_named(frames: Path, masks: Path, spoil: Any, message: str) -> None:
    spoil(masks)
    with pytest.raises(ValueError, match=message) as raised:
        _ = video(frames, masks).frames
    assert "\n" not in str(raised.value)


def test_flow_of_another_size_or_number_is_named(frames: Path, tmp_path: Path) -> None:
    flows = save_flows(tmp_path / "flow", "to_next")
    np.save(flows / "00001.npy", np.zeros((2, 4, 4)))
    with pytest.raises(ValueError, match=r"00001.npy is 4x4, and its frame .*00002.png is 8x12"):
        _ = video(frames, flow=str(flows)).frames
    (flows / "00001.npy").unlink()
    with pytest.raises(ValueError, match=r"1 of the 5 frames have no files of flow in .*flow, such as '00001'"):
        _ = video(frames, flow=str(flows)).frames


def test_masks_of_an_image(frames: Path, masks: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.yaml"
    names.write_text("1: dog\n2: {name: grass, isthing: 0}\n")
    image = Image(str(frames / "00002.png"), SIZE, masks=str(masks / "00002.png"), categories=str(names))
    (frame,) = image.frames
    assert_marks(frame, labels_of(2), 1, 2)
    assert described(frame) == {1: ("dog", True), 2: ("grass", False)}
    assert torch.equal(frame.inputs, pixel_coordinates(SIZE))
    smaller = Image(str(frames / "00002.png"), (4, 6), masks=str(masks / "00002.png")).frames[0]
    assert_marks(smaller, labels_of(2)[1::2, 1::2], 1, 2)


def test_outlines_of_an_image(frames: Path, tmp_path: Path) -> None:
    shapes = [{"label": "dog", "points": [[1, 2], [5, 6]], "shape_type": "rectangle"}]
    content = {"shapes": shapes, "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    (tmp_path / "x.json").write_text(json.dumps(content))
    frame = Image(str(frames / "00000.png"), SIZE, masks=str(tmp_path / "x.json")).frames[0]
    expected = np.zeros(SIZE, dtype=np.int64)
    expected[2:6, 1:5] = 1
    assert_marks(frame, expected, 1)
    with pytest.raises(ValueError, match=r"Image: there is no file of masks 'gone.png'"):
        _ = Image("chelsea", masks="gone.png").frames
    with pytest.raises(ValueError, match=r"x.json is 8x12, and its frame chelsea is 300x451"):
        _ = Image("chelsea", masks=str(tmp_path / "x.json")).frames


def test_outlines_of_another_size_are_refused_before_they_are_drawn(frames: Path, tmp_path: Path) -> None:
    content = {"shapes": [], "imageHeight": 100_000, "imageWidth": 100_000}  # 80 GB of labels
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"x.json is 100000x100000, and its frame .* is 8x12"):
        _ = Image(str(frames / "00000.png"), SIZE, masks=str(tmp_path / "x.json")).frames


def test_the_default_clip_comes_back_from_files(tmp_path: Path) -> None:
    clip = Collage((32, 64), num_frames=4).frames
    names = {}
    for frame in clip:
        assert frame.target is not None
        pixels = (frame.target.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        (tmp_path / "frames").mkdir(exist_ok=True)
        Picture.fromarray(pixels).save(tmp_path / f"frames/{frame.index}.png")
        labels = np.zeros((32, 64), dtype=np.int64)
        for each in frame.instances:
            labels[each.mask.numpy()] = each.id + 1
            names[str(each.id + 1)] = {"name": each.category, "isthing": each.is_thing}
        save_palette(tmp_path / f"masks/{frame.index}.png", labels)
        if frame.flow is not None:
            (tmp_path / "flow").mkdir(exist_ok=True)
            np.save(tmp_path / f"flow/{frame.index}.npy", frame.flow.numpy())
    (tmp_path / "names.json").write_text(json.dumps(names))
    options = {"categories": str(tmp_path / "names.json"), "flow": str(tmp_path / "flow")}
    back = Video(
        str(tmp_path / "frames"), (32, 64), 4, masks=str(tmp_path / "masks"), flow_direction="from_previous", **options
    ).frames
    for before, after in zip(clip, back, strict=True):
        assert torch.equal(before.inputs, after.inputs)
        assert torch.allclose(before.target, after.target, atol=1 / 500)
        assert (after.flow is None) == (before.flow is None)
        assert before.flow is None or torch.equal(before.flow, after.flow)
        assert len(before.instances) == len(after.instances) > 3
        masks = {each.id: each for each in after.instances}
        for each in before.instances:
            other = masks[each.id + 1]
            assert (each.category, each.is_thing) == (other.category, other.is_thing)
            assert torch.equal(each.mask, other.mask)
