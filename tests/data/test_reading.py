"""Pictures of every kind, against pixels that the test made itself."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
import tifffile
import torch

from xinc_pl.data.fitting import fit_to_size
from xinc_pl.data.reading import SAMPLE_IMAGES, read_image, rgb_from_pixels

Pixels = npt.NDArray[np.uint8]


@pytest.fixture
def rgb() -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)


def written(path: Path, pixels: npt.NDArray[np.generic], mode: str | None = None) -> Path:
    picture = PIL.Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path)
    return path


def assert_shows(image: torch.Tensor, expected: npt.NDArray[np.floating]) -> None:
    """Expected is (H, W, 3) in [0, 1]."""
    assert image.dtype == torch.float32
    assert image.is_contiguous()
    np.testing.assert_allclose(image.numpy().transpose(1, 2, 0), expected, rtol=0, atol=1e-6)


def over_white(colour: npt.NDArray[np.generic], alpha: npt.NDArray[np.generic]) -> npt.NDArray[np.floating]:
    opacity = alpha[..., None] / 255
    return colour / 255 * opacity + 1 - opacity


def test_rgb(tmp_path: Path, rgb: Pixels) -> None:
    for suffix in ("png", "bmp", "tif", "tiff"):
        assert_shows(read_image(written(tmp_path / f"x.{suffix}", rgb)), rgb / 255)
    assert_shows(read_image(str(tmp_path / "x.png")), rgb / 255)


def test_grey_gets_three_equal_channels(tmp_path: Path, rgb: Pixels) -> None:
    grey = rgb[..., 0]
    expected = np.stack([grey / 255] * 3, axis=-1)
    assert_shows(read_image(written(tmp_path / "x.png", grey)), expected)
    assert_shows(rgb_from_pixels(grey[..., None], "x"), expected)


def test_alpha_is_laid_over_white(tmp_path: Path, rgb: Pixels) -> None:
    alpha = rgb[::-1, :, 1]
    rgba = np.dstack([rgb, alpha])
    assert_shows(read_image(written(tmp_path / "x.png", rgba)), over_white(rgb, alpha))


@pytest.mark.parametrize("height", [3, 4, 6])  # 3 and 4 rows are easily taken for channels
def test_grey_with_alpha_is_laid_over_white(tmp_path: Path, rgb: Pixels, height: int) -> None:
    grey, alpha = rgb[:height, :, 0], rgb[:height, :, 1]
    expected = over_white(np.dstack([grey] * 3), alpha)
    assert_shows(read_image(written(tmp_path / "x.png", np.dstack([grey, alpha]))), expected)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled(tmp_path: Path, suffix: str) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (6, 10), dtype=np.uint16)
    assert_shows(read_image(written(tmp_path / f"x.{suffix}", deep)), np.dstack([deep / 65535] * 3))


def test_float_and_16_bit_colour_tiffs(tmp_path: Path, rgb: Pixels) -> None:
    tifffile.imwrite(tmp_path / "float.tif", (rgb / 255).astype(np.float32), photometric="rgb")
    tifffile.imwrite(tmp_path / "deep.tif", rgb.astype(np.uint16) * 257, photometric="rgb")
    assert_shows(read_image(tmp_path / "float.tif"), rgb / 255)
    assert_shows(read_image(tmp_path / "deep.tif"), rgb / 255)


def test_one_bit(tmp_path: Path, rgb: Pixels) -> None:
    bits = rgb[..., 0] > 127
    expected = np.dstack([bits.astype(float)] * 3)
    assert_shows(read_image(written(tmp_path / "x.png", bits)), expected)
    assert_shows(rgb_from_pixels(bits, "x"), expected)


def test_palette(tmp_path: Path, rgb: Pixels) -> None:
    colours, indices = rgb[0, :4], rgb[..., 0] % 4
    picture = PIL.Image.fromarray(indices)
    picture.putpalette(colours.tobytes())
    picture.save(tmp_path / "opaque.png")
    assert_shows(read_image(tmp_path / "opaque.png"), colours[indices] / 255)
    picture.save(tmp_path / "transparent.png", transparency=2)
    expected = over_white(colours[indices], np.where(indices == 2, 0, 255))
    assert_shows(read_image(tmp_path / "transparent.png"), expected)


def test_cmyk_is_not_taken_for_rgba(tmp_path: Path) -> None:
    colour = np.full((16, 16, 3), (200, 40, 90), dtype=np.uint8)
    image = read_image(written(tmp_path / "x.jpg", colour, mode="CMYK"))
    np.testing.assert_allclose(image.mean(dim=(1, 2)), colour[0, 0] / 255, atol=0.02)


def test_photographs_are_turned_upright(tmp_path: Path, rgb: Pixels) -> None:
    picture = PIL.Image.fromarray(rgb)
    exif = picture.getexif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise
    picture.save(tmp_path / "x.png", exif=exif)
    assert_shows(read_image(tmp_path / "x.png"), np.rot90(rgb, -1) / 255)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path, suffix: str) -> None:
    pictures = [PIL.Image.new("RGB", (8, 5), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if suffix == "webp" else {}
    pictures[0].save(tmp_path / f"x.{suffix}", save_all=True, append_images=pictures[1:], **options)
    assert_shows(read_image(tmp_path / f"x.{suffix}"), np.full((5, 8, 3), (1.0, 0.0, 0.0)))


@pytest.mark.parametrize("name", SAMPLE_IMAGES)
def test_sample_images_need_no_download(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket", None)
    image = read_image(name)
    assert image.shape[0] == 3
    assert 0 <= image.min() < image.max() <= 1


def test_a_missing_image_is_named_with_the_samples() -> None:
    with pytest.raises(ValueError, match=r"'no/such.png' is neither .*astronaut.*rocket"):
        read_image("no/such.png")


@pytest.mark.parametrize("content", [b"just text", b"", b"\x89PNG\r\n\x1a\n"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"x.{suffix} cannot be read as an image: \S"):
        read_image(path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 50), dtype=np.uint8)
    path = written(tmp_path / "x.png", noise)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(ValueError, match="truncated"):
        read_image(path)


@pytest.mark.parametrize("shape", [(4,), (4, 5, 5), (4, 5, 3, 1), (2, 4, 5, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="neither grey, RGB nor RGBA"):
        rgb_from_pixels(np.zeros(shape, dtype=np.uint8), "x")


@pytest.mark.parametrize("value", [-0.1, 1.1, 255.0, np.nan])
def test_floats_outside_of_0_to_1_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"my picture: .* scale it"):
        rgb_from_pixels(np.array([[[0.5, 0.5, value]]]), "my picture")


@pytest.mark.parametrize(
    ("before", "size", "rows", "columns"),
    [
        ((20, 30), (4, 8), slice(2, 17), slice(0, 30)),
        ((10, 50), (4, 8), slice(0, 10), slice(15, 35)),
        ((10, 50), (30, 30), slice(0, 10), slice(20, 30)),
        ((12, 24), (4, 8), slice(0, 12), slice(0, 24)),
    ],
)
def test_crop_is_central_and_resize_is_pillows_bicubic(
    before: tuple[int, int], size: tuple[int, int], rows: slice, columns: slice
) -> None:
    image = torch.rand(3, *before, generator=torch.Generator().manual_seed(0))
    resized = [
        PIL.Image.fromarray(channel.numpy()[rows, columns]).resize(size[::-1], PIL.Image.Resampling.BICUBIC)
        for channel in image
    ]
    expected = np.stack([np.asarray(channel) for channel in resized]).clip(0, 1)
    np.testing.assert_allclose(fit_to_size(image, size), expected, atol=1e-5)


def test_an_image_of_the_right_shape_is_only_cropped() -> None:
    images = torch.rand(2, 3, 7, 8)
    assert torch.equal(fit_to_size(images, (4, 8))[0], images[0, :, 1:5])
    assert torch.equal(fit_to_size(images, (7, 8)), images)


def test_resized_colours_stay_in_range() -> None:
    checkerboard = (torch.arange(16)[:, None] // 4 + torch.arange(16) // 4) % 2 * torch.ones(3, 1, 1)
    resized = fit_to_size(checkerboard, (37, 37))
    assert (resized.min(), resized.max()) == (0, 1)
    assert fit_to_size(torch.rand(5, 2, 3, 9, 4), (6, 2)).shape == (5, 2, 3, 6, 2)
