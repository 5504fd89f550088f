"""Pictures of labels, each kind written with labels that are known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pngs import write_png, write_rgb48
from tiny_datasets import colour_of

from xinc_pl.data.annotations.labels import MAX_LABELS, read_labels

LABELS = np.array([[0, 1, 2], [3, 1, 0]])


def test_a_palette_s_entries_are_labels_whatever_their_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(LABELS.astype(np.uint8), mode="P")
    picture.putpalette([9, 9, 9, 200, 0, 0, 200, 0, 0, 0, 0, 50])  # two entries of one colour
    picture.save(tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").mode == "P"
    read = read_labels(tmp_path / "x.png")
    assert read.dtype == torch.int64
    assert read.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("dtype", "suffix", "step"),
    [
        *((np.uint8, ".png", 80), (np.uint8, ".tif", 80), (np.uint16, ".png", 20000), (np.uint16, ".tif", 20000)),
        (np.int32, ".tif", 10**6),
    ],
)
def test_grey_of_any_depth(tmp_path: Path, dtype: type, suffix: str, step: int) -> None:
    labels = LABELS * step
    Image.fromarray(labels.astype(dtype)).save(tmp_path / f"x{suffix}")
    assert read_labels(tmp_path / f"x{suffix}").tolist() == labels.tolist()


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_grey_of_few_bits_is_not_stretched(tmp_path: Path, depth: int) -> None:
    labels = [[level % 2**depth for level in range(start, start + 8)] for start in (0, 5)]
    bits = "".join(f"{label:0{depth}b}" for row in labels for label in row)
    rows = bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits), 8))
    write_png(tmp_path / "x.png", rows, (2, 8), depth, 0)
    assert read_labels(tmp_path / "x.png").tolist() == labels


def test_colours_are_numbers_in_more_than_eight_bits(tmp_path: Path) -> None:
    ids = np.array([[0, 255, 256], [65536, 16777215, 70000]])
    pixels = np.array([[colour_of(int(number)) for number in row] for row in ids], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    assert read_labels(tmp_path / "x.png", "colours").tolist() == ids.tolist()


def test_transparent_pixels_are_void(tmp_path: Path) -> None:
    pixels = np.array([[[1, 1, 0, 0], [1, 1, 0, 255]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    assert read_labels(tmp_path / "x.png").tolist() == [[0, 257]]
    Image.fromarray(pixels[..., 2:]).save(tmp_path / "y.png")
    assert read_labels(tmp_path / "y.png").tolist() == [[0, 0]]


def test_a_photograph_is_no_mask(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"x.png has \d+ different labels; that is a photograph"):
        read_labels(tmp_path / "x.png")
    Image.fromarray(np.arange(MAX_LABELS, dtype=np.uint16)[None]).save(tmp_path / "y.png")
    assert len(read_labels(tmp_path / "y.png").unique()) == MAX_LABELS


@pytest.mark.parametrize(
    ("mode", "name", "wanted", "message"),
    [
        ("L", "x.jpg", "any", "JPEG blurs labels"),
        (
            "P",
            "x.png",
            "numbers",
            "it has a palette, whose 256 entries cannot hold these numbers",
        ),
        ("P", "x.png", "colours", r"it has a palette, and the ids wanted are colours \(R \+ 256 G \+ 65536 B\)"),
        ("RGB", "x.png", "numbers", "it is in colours, and numbers are wanted"),
        ("CMYK", "x.tif", "any", "its pixels are of Pillow's kind CMYK"),
        ("F", "x.tif", "any", "its pixels are of Pillow's kind F"),
    ],
)
def test_other_pictures_are_refused_by_name(tmp_path: Path, mode: str, name: str, wanted: str, message: str) -> None:
    Image.new(mode, (3, 2)).save(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} cannot be read as an image: {message}"):
        read_labels(tmp_path / name, wanted)  # type: ignore[arg-type] # one of the literals


def test_sixteen_bits_per_colour_are_not_cut_to_eight(tmp_path: Path) -> None:
    write_rgb48(tmp_path / "x.png", np.ones((2, 3, 3), dtype=np.uint16))
    with pytest.raises(ValueError, match="it has 16 bits per colour"):
        read_labels(tmp_path / "x.png")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"no picture"])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"x.png cannot be read as an image: \S"):
        read_labels(tmp_path / "x.png")
