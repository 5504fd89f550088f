"""Clips from folders and files that the tests write."""

import sys
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from xinc_pl.data import Video

SIZE = (4, 8)


@pytest.fixture
def pixels() -> npt.NDArray[np.uint8]:
    """Twelve frames of random pixels."""
    return np.random.default_rng(0).integers(0, 256, (12, *SIZE, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, pixels: npt.NDArray[np.uint8]) -> Path:
    for index, frame in enumerate(pixels):
        PIL.Image.fromarray(frame).save(tmp_path / f"frame{index}.png")
    return tmp_path


@pytest.fixture
def file(tmp_path: Path, pixels: npt.NDArray[np.uint8]) -> Path:
    """The same frames in a lossless video."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "bgr0"
        for frame in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")))
        container.mux(stream.encode())
    return path


def assert_shows(video: Video, pixels: npt.NDArray[np.uint8]) -> None:
    assert len(video.frames) == len(pixels)
    for frame, expected in zip(video.frames, pixels, strict=True):
        assert frame.target is not None
        np.testing.assert_allclose(frame.target, expected.transpose(2, 0, 1) / 255, atol=1e-6)


def clip(path: Path, **options: int) -> Video:
    return Video(str(path), size=SIZE, **{"num_frames": 12} | options)


def test_names_are_ordered_by_their_numbers(folder: Path, pixels: npt.NDArray[np.uint8]) -> None:
    assert_shows(clip(folder), pixels)  # by letters, frame10 would come before frame2


def test_clip_from_a_video_file(file: Path, pixels: npt.NDArray[np.uint8]) -> None:
    assert_shows(clip(file), pixels)


@pytest.mark.parametrize("source", ["folder", "file"])
def test_first_frame_and_step_are_counted_in_frames(
    source: str, request: pytest.FixtureRequest, pixels: npt.NDArray[np.uint8]
) -> None:
    video = clip(request.getfixturevalue(source), num_frames=3, first_frame=2, every_n_frames=4)
    assert_shows(video, pixels[[2, 6, 10]])
    assert [frame.index for frame in video.frames] == [0, 1, 2]
    assert [frame.inputs.tolist() for frame in video.frames] == [[0 / 3], [1 / 3], [2 / 3]]


def test_frames_are_cropped_and_resized(folder: Path) -> None:
    video = Video(str(folder), size=(2, 2), num_frames=2)
    assert [frame.target.shape for frame in video.frames if frame.target is not None] == [(3, 2, 2)] * 2
    assert [frame.size for frame in video.frames] == [(2, 2)] * 2


def test_other_files_in_the_folder_are_left_out(folder: Path, pixels: npt.NDArray[np.uint8]) -> None:
    (folder / "notes.txt").write_text("x")
    (folder / ".frame0.png").write_text("x")
    (folder / "a.png").mkdir()
    assert_shows(clip(folder), pixels)


def test_unusual_names_have_an_order(tmp_path: Path) -> None:
    names = ["7.png", "07.png", "b.PNG", "\u00b21.png", "a1b10.png", "a1b9.png", "a.png"]
    for level, name in enumerate(names):
        PIL.Image.new("RGB", SIZE[::-1], (level, 0, 0)).save(tmp_path / name)
    shown = [int(frame.target[0, 0, 0] * 255 + 0.5) for frame in clip(tmp_path, num_frames=7).frames]
    assert [names[level] for level in shown] == [
        "07.png",
        "7.png",
        "a1b9.png",
        "a1b10.png",
        "a.png",
        "b.PNG",
        "\u00b21.png",
    ]


@pytest.mark.parametrize("source", ["folder", "file"])
def test_too_short_a_video_tells_how_many_frames_there_are(source: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(source)
    with pytest.raises(ValueError, match=r"only 5 of the 6 frames .* set num_frames to 5"):
        clip(path, num_frames=6, first_frame=3, every_n_frames=2).setup("fit")
    with pytest.raises(ValueError, match="no frame 12"):
        clip(path, num_frames=1, first_frame=12).setup("fit")
    assert len(clip(path, num_frames=5, first_frame=3, every_n_frames=2).frames) == 5


def test_frames_of_different_sizes_are_refused(folder: Path) -> None:
    PIL.Image.new("RGB", (10, 20)).save(folder / "frame5.png")
    with pytest.raises(ValueError, match=r"frame5.png is 20x10, but the frames before it are 4x8"):
        clip(folder).setup("fit")


def test_an_unreadable_frame_is_named(folder: Path) -> None:
    (folder / "frame3.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"frame3.png cannot be read"):
        clip(folder).setup("fit")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no images \(.png"):
        clip(tmp_path).setup("fit")


def test_a_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither a folder of images nor a file"):
        clip(tmp_path / "no.mp4").setup("fit")


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(ValueError, match=r"x.mp4 cannot be read as a video: \S"):
        clip(tmp_path / "x.mp4").setup("fit")


CUT = {"x.mp4": ("mpeg4", "yuv420p"), "late.mp4": ("mpeg4", "yuv420p"), "x.mkv": ("ffv1", "yuv420p")}
CUT |= {"x.avi": ("mjpeg", "yuvj420p"), "x.ts": ("mpeg2video", "yuv420p")}


@pytest.fixture(params=sorted(CUT))
def long_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Forty frames that do not compress, in one of several kinds of files."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    codec, layout = CUT[request.param]
    generator = np.random.default_rng(0)
    path = tmp_path / str(request.param)
    # Where an MP4 has its index at the end, nothing can be read of what is cut off.
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.name == "x.mp4" else {}) as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 64, 96, layout
        for _ in range(40):
            pixels = generator.integers(0, 256, (64, 96, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=layout)))
        container.mux(stream.encode())
    return path


def test_a_whole_file_is_read_to_its_end(long_file: Path) -> None:
    assert len(Video(str(long_file), num_frames=None).frames) == 40


@pytest.mark.parametrize("share", [0.93, 0.6, 0.3])
@pytest.mark.parametrize("num_frames", [None, 40])
def test_a_file_that_is_cut_off_is_named_and_its_beginning_can_be_used(
    long_file: Path, share: float, num_frames: int | None
) -> None:
    content = long_file.read_bytes()
    long_file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=rf"{long_file.name}.* (damaged|cut off)") as raised:
        Video(str(long_file), num_frames=num_frames).setup("fit")
    assert "\n" not in str(raised.value)
    if long_file.name != "late.mp4":
        assert len(Video(str(long_file), num_frames=4).frames) == 4


def test_a_damaged_frame_in_the_middle_is_named(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    generator = np.random.default_rng(0)
    path = tmp_path / "x.mkv"
    places = []
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=10)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.codec_context.gop_size = 1
        for _ in range(12):
            pixels = generator.integers(0, 256, (64, 96, 3), dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")):
                places.append(bytes(packet))
                container.mux(packet)
        for packet in stream.encode():
            places.append(bytes(packet))
            container.mux(packet)
    content = path.read_bytes()
    middle = content.index(places[5][10:]) + len(places[5]) // 2
    path.write_bytes(content[:middle] + bytes(64) + content[middle + 64 :])
    with pytest.raises(ValueError, match=r"x.mkv, frame 5 is damaged"):
        Video(str(path), num_frames=None).setup("fit")
    assert len(Video(str(path), num_frames=5).frames) == 5
    assert len(Video(str(path), num_frames=6, first_frame=6).frames) == 6


def test_a_file_without_a_video_stream_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    with wave.open(str(tmp_path / "x.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(2000))
    with pytest.raises(ValueError, match=r"x.wav .* no video stream"):
        clip(tmp_path / "x.wav").setup("fit")


def test_without_pyav_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "x.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match="pip install av"):
        clip(tmp_path / "x.mp4").setup("fit")


@pytest.mark.parametrize("wrong", [{"first_frame": -1}, {"every_n_frames": 0}, {"num_frames": 0}, {"batch_size": 0}])
def test_bad_numbers_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        Video("x", **wrong)
