"""Pictures and clips as they come: turned, squeezed, in other colours and orders, compressed in other ways."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image as Pillow
from skimage.data import chelsea
from torch import Tensor

from xinc_pl.data import Image, Video
from xinc_pl.data.clips import natural_order, read_clip
from xinc_pl.data.fitting import fit_to_size, native_size
from xinc_pl.data.reading import read_image

MEDIA = Path(__file__).parent / "media"


def frames_of(name: str) -> list[Tensor]:
    return [picture.image for picture in read_clip(MEDIA / name, slice(0, None))]


def mean_of(image: Tensor, rows: slice, columns: slice) -> list[float]:
    return image[:, rows, columns].mean((1, 2)).tolist()


def halves(image: Tensor) -> tuple[int, int]:
    """Which side is red (0 above, 1 below), and which green (0 left, 1 right)."""
    height, width = image.shape[1:]
    red = [mean_of(image, part, slice(None))[0] for part in (slice(0, height // 2), slice(height // 2, None))]
    green = [mean_of(image, slice(None), part)[1] for part in (slice(0, width // 2), slice(width // 2, None))]
    return int(red[1] > red[0]), int(green[1] > green[0])


def test_clips_are_turned_as_players_turn_them() -> None:
    upright = frames_of("sar.mp4")[0]
    assert halves(upright) == (0, 0)
    half_turn, quarter = frames_of("rot180.mp4")[0], frames_of("rot90.mp4")[0]
    assert halves(half_turn) == (1, 1)
    assert halves(quarter) != (0, 0)
    assert quarter.shape[1:] == half_turn.shape[1:][::-1], "a quarter turn changes height and width"


def test_pixels_that_are_not_square_are_applied() -> None:
    pictures = list(read_clip(MEDIA / "sar.mp4", slice(0, 1)))
    assert pictures[0].pixel_aspect == pytest.approx(2)
    height, width = pictures[0].image.shape[1:]
    assert native_size(height, width, 1, 2.0) in ((height, 2 * width), (height // 2, width))


def test_the_colours_of_a_clip_are_those_that_were_meant() -> None:
    image = frames_of("bt709.mp4")[0]
    width = image.shape[2]
    meant = [(200, 40, 30), (30, 180, 60), (40, 60, 200), (210, 200, 40)]
    for number, colour in enumerate(meant):
        inside = slice(width * number // 4 + 4, width * (number + 1) // 4 - 4)
        found = [255 * value for value in mean_of(image, slice(4, -4), inside)]
        assert found == pytest.approx(colour, abs=8), f"stripe {number}"


@pytest.mark.parametrize("name", ["palette", "cmyk", "minwhite", "lzw", "jpeg", "orient6"])
def test_tiffs_are_read_as_they_look(name: str) -> None:
    image = read_image(str(MEDIA / f"{name}.tif"))
    photograph = torch.from_numpy(chelsea().copy()).permute(2, 0, 1) / 255
    expected = torch.nn.functional.interpolate(photograph[None], tuple(image.shape[1:]), mode="area")[0]
    if name == "minwhite":
        expected = expected.mean(0, keepdim=True).expand(3, -1, -1)
    if name == "orient6":  # to be shown a quarter turn to the right
        expected = torch.nn.functional.interpolate(photograph[None], tuple(image.shape[:0:-1]), mode="area")[0]
        image, expected = torch.rot90(image, 1, (1, 2)), expected
    small = [torch.nn.functional.adaptive_avg_pool2d(each, (8, 16)) for each in (image[:3], expected)]
    assert image.shape[2] == 2 * image.shape[1]
    correlation = torch.corrcoef(torch.stack([each.flatten() for each in small]))[0, 1]
    assert correlation > 0.85, float(correlation)


def stripes() -> npt.NDArray[np.uint8]:
    image = np.zeros((6, 12, 3), np.uint8)
    image[:, :4], image[:, 4:8], image[:, 8:] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation(tmp_path: Path, orientation: int) -> None:
    turned: dict[int, Any] = {
        1: None, 2: Pillow.Transpose.FLIP_LEFT_RIGHT, 3: Pillow.Transpose.ROTATE_180,
        4: Pillow.Transpose.FLIP_TOP_BOTTOM, 5: Pillow.Transpose.TRANSPOSE, 6: Pillow.Transpose.ROTATE_90,
        7: Pillow.Transpose.TRANSVERSE, 8: Pillow.Transpose.ROTATE_270,
    }  # fmt: skip
    picture = Pillow.fromarray(stripes())
    if turned[orientation] is not None:
        picture = picture.transpose(turned[orientation])
    exif = Pillow.Exif()
    exif[274] = orientation
    picture.save(tmp_path / "turned.png", exif=exif)
    expected = torch.from_numpy(stripes()).permute(2, 0, 1) / 255
    torch.testing.assert_close(read_image(str(tmp_path / "turned.png"))[:3], expected, rtol=0, atol=1 / 255)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animated_pictures_are_clips(tmp_path: Path, suffix: str) -> None:
    pictures = [Pillow.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (0, 120, 240)]
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"moving.{suffix}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=50, **options)
    data = Video(path=str(path), size=None, num_frames=None)
    assert [round(float(frame.target.mean()) * 255) for frame in data.frames if frame.target is not None] == [
        0,
        120,
        240,
    ]
    assert (data.num_frames, data.size) == (3, (8, 8))


def test_frames_are_taken_in_the_order_of_their_numbers() -> None:
    files = [Path(name) for name in ("f10.png", "f-1.png", "f3.png", "F2.png")]
    assert [file.name for file in natural_order(files)] == ["f-1.png", "F2.png", "f3.png", "f10.png"]


def test_the_home_folder_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    Pillow.fromarray(stripes()).save(tmp_path / "picture.png")
    assert Image("~/picture.png", size=None).frames[0].size == (6, 12)


@pytest.mark.parametrize(("fit", "black"), [("crop", False), ("pad", True), ("stretch", False)])
def test_other_shapes_are_cropped_padded_or_stretched(fit: Any, black: bool) -> None:
    image = torch.ones(1, 4, 8)
    fitted = fit_to_size(image, (8, 8), fit)
    assert fitted.shape == (1, 8, 8)
    assert bool((fitted < 0.01).any()) == black


def test_what_is_cropped_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Pillow.fromarray(stripes()).save(tmp_path / "wide.png")
    with caplog.at_level("INFO"):
        _ = Image(str(tmp_path / "wide.png"), size=(6, 6)).frames
    told = [record.getMessage() for record in caplog.records if "wide.png" in record.getMessage()]
    assert len(told) == 1
    assert "crop" in told[0]


def test_a_size_of_its_own_is_one_that_the_network_can_make(tmp_path: Path) -> None:
    Pillow.fromarray(stripes()).save(tmp_path / "picture.png")
    assert Image(str(tmp_path / "picture.png"), size=None, multiple_of=4).frames[0].size == (4, 12)


@pytest.mark.parametrize("first", [0, 1, 3])
def test_a_clip_begins_at_the_very_frame(first: int) -> None:
    every = frames_of("rot180.mp4")
    (picture,) = read_clip(MEDIA / "rot180.mp4", slice(first, first + 1))
    torch.testing.assert_close(picture.image, every[first])
