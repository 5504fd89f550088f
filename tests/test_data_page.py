"""What docs/data.md shows works as it stands there, on tiny data in the layouts that it shows."""

import json
import re
import shlex
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_datasets import (
    SIZE,
    needs_clips,
    room,
    save_colours,
    save_frame,
    save_numbers,
    write_cityscapes_vps,
    write_vipseg,
)

from xinc_pl import Frame, Video
from xinc_pl.cli import main
from xinc_pl.data import FramesDataModule

PAGE = (Path(__file__).parent.parent / "docs/data.md").read_text()
COMMANDS = re.findall(r"^ {4,8}python -m xinc_pl (.*)$", PAGE, re.MULTILINE)
NUM_FRAMES = 6

TINY = ["--data.size", "[16, 32]", "--trainer.fast_dev_run", "1", "--trainer.accelerator", "cpu"]
TINY += ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
NETWORKS = {
    "VideoINR": ["--model.network.strides", "[2, 2]", "--model.network.width", "7", "--model.network.levels", "6"],
    "ImageINR": ["--model.network.num_frequencies", "6", "--model.network.widths", "[10, 8]"],
}


def save_frames(folder: Path, numbers: range) -> None:
    for number in numbers:
        save_frame(folder / f"{number:05d}.png", number)
        (folder / f"{number:05d}.png").rename(folder / f"{number:05d}.jpg")


def write_clip() -> None:
    """Frames, masks, categories and flow of one's own."""
    save_frames(Path("clip/frames"), range(NUM_FRAMES))
    for index in range(NUM_FRAMES):
        save_numbers(Path(f"clip/masks/{index:05d}.png"), room(index) % 100)
        save_numbers(Path(f"clip/instance_ids/{index:05d}.png"), np.where(room(index) > 6000, 24000, 7))
        Path("clip/flow").mkdir(exist_ok=True)
        values = np.ones((*SIZE, 2), dtype="<f4").tobytes()
        Path(f"clip/flow/{index:05d}.flo").write_bytes(b"PIEH" + struct.pack("<ii", SIZE[1], SIZE[0]) + values)
    (names,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    Path("clip/names.yaml").write_text(names)
    categories = [{"id": 7, "name": "road", "isthing": 0}, {"id": 24, "name": "person", "isthing": 1}]
    Path("clip/cityscapes.json").write_text(json.dumps({"categories": categories}))


def write_photo() -> None:
    save_frames(Path(), range(1))
    Path("00000.jpg").rename("photo.jpg")
    save_numbers(Path("photo_masks.png"), room(0))


def write_davis() -> None:
    write_clip()
    shutil.move("clip/frames", "DAVIS/JPEGImages/480p/bear")
    shutil.move("clip/masks", "DAVIS/Annotations/480p/bear")


def write_coco() -> None:
    save_frames(Path("coco/val2017"), range(139, 140))
    Path("coco/val2017/00139.jpg").rename("coco/val2017/000000000139.jpg")
    save_colours(Path("coco/panoptic_val2017/000000000139.png"), room(0) * 40)
    segments = [{"id": 6100 * 40, "category_id": 1}, {"id": 80, "category_id": 2}]
    content = {
        "annotations": [{"image_id": 139, "file_name": "000000000139.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "person", "isthing": 1}, {"id": 2, "name": "wall", "isthing": 0}],
    }
    Path("coco/panoptic_val2017.json").write_text(json.dumps(content))


def write_drawn() -> None:
    save_frames(Path("drawn"), range(1, 5))
    for number in range(1, 5):
        shapes = [{"label": "cat", "points": [[1, 1], [9, 2], [5, 8]], "shape_type": "polygon", "group_id": None}]
        content = {"shapes": shapes, "imageHeight": SIZE[0], "imageWidth": SIZE[1]}
        Path(f"drawn/{number:05d}.json").write_text(json.dumps(content))


WRITERS: dict[str, Callable[[], object]] = {
    "clip/": write_clip,
    "photo.jpg": write_photo,
    "DAVIS/": write_davis,
    "coco/": write_coco,
    "drawn": write_drawn,
    "cityscapes_vps": lambda: write_cityscapes_vps(Path("cityscapes_vps")),
    "VIPSeg_720P": lambda: write_vipseg(Path("VIPSeg_720P")),
    "bunny": needs_clips,
    "Clips": needs_clips,
}
"""What a command's words need in the working folder."""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["xinc"])


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    next(write for word, write in WRITERS.items() if word in command)()
    seen: list[Frame] = []
    monkeypatch.setattr(FramesDataModule, "setup", lambda self, stage: seen.extend(self.frames))
    words = shlex.split(command.replace("$video", "0005" if "cityscapes" in command else "12_"))
    network = NETWORKS["ImageINR" if "ffn.yaml" in command else "VideoINR"]
    count = ["--data.num_frames", "4"] if "--data Video" in command or "bunny" in command else []
    main([*words, *TINY, *count, *network])
    assert seen
    has_masks = "masks" in command or "VPS" in command or "VIPSeg" in command or "vps" in command
    assert any(frame.instances for frame in seen) == has_masks
    assert any(frame.flow is not None for frame in seen) == ("flow" in command)


def test_the_example_in_code(capsys: pytest.CaptureFixture[str]) -> None:
    write_clip()
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "data.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "dog False" not in printed
    assert "1 dog True" in printed


def test_every_datamodule_is_on_the_page() -> None:
    import xinc_pl.data

    missing = [name for name in xinc_pl.data.__all__ if name != "FramesDataModule" and f"`{name}`" not in PAGE]
    assert not missing


LINES = dict(re.findall(r"^\| ([^|]*?) \| `([^`]*)` \|$", PAGE.partition("## When something")[2], re.MULTILINE))


def _smaller() -> None:
    save_numbers(Path("clip/masks/00001.png"), room(1)[:8, :16])


def _fewer() -> None:
    Path("clip/masks/00001.png").unlink()


def _photograph() -> None:
    pixels = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
    Image.fromarray(pixels).save("clip/masks/00001.png")


def _cut_off() -> None:
    file = Path("clip/frames/00001.jpg")
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("a mask of another size than its frame", _smaller),
        ("a mask too few", _fewer),
        ("a photograph instead of masks", _photograph),
        ("a frame that is cut off", _cut_off),
    ],
)
def test_lines_are_those_that_the_page_shows(what: str, spoil: Callable[[], None]) -> None:
    write_clip()
    spoil()
    with pytest.raises(ValueError, match=r".") as raised:
        _ = Video("clip/frames", SIZE, num_frames=4, masks="clip/masks").frames
    shown = LINES[what]
    assert str(raised.value).startswith(shown.removesuffix("..."))
    assert shown.endswith("...") or str(raised.value) == shown


def test_a_palette_instead_of_colours_is_told_as_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    write_coco()
    Image.new("P", SIZE[::-1]).save("coco/panoptic_val2017/000000000139.png")
    (command,) = (each for each in COMMANDS if "coco" in each)
    with pytest.raises(SystemExit) as stopped:
        main([*shlex.split(command), *TINY])
    assert stopped.value.code == 2
    assert LINES["a palette where COCO's colours are wanted"] in capsys.readouterr().err
