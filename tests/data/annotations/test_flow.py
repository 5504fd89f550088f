"""Flow from files."""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from pngs import write_rgb48

from xinc_pl.data.annotations.flow import onto_next, read_flow

Floats = npt.NDArray[np.float32]


@pytest.fixture
def flow() -> Floats:
    """(2, H, W) in steps of 1/64, which KITTI can tell."""
    return (np.random.default_rng(0).integers(-6400, 6400, (2, 3, 5)) / 64).astype(np.float32)


def write_flo(file: Path, flow: Floats) -> None:
    height, width = flow.shape[1:]
    values = [float(flow[c, y, x]) for y in range(height) for x in range(width) for c in range(2)]
    file.write_bytes(b"PIEH" + struct.pack("<ii", width, height) + struct.pack(f"<{len(values)}f", *values))


@pytest.mark.parametrize("last", [False, True])
def test_npy(tmp_path: Path, flow: Floats, last: bool) -> None:
    np.save(tmp_path / "x.npy", flow.transpose(1, 2, 0).astype(np.float64) if last else flow)
    read = read_flow(tmp_path / "x.npy")
    assert read.dtype == torch.float32
    assert np.array_equal(read.numpy(), flow)


def test_flo(tmp_path: Path, flow: Floats) -> None:
    flow[:, 1, 2] = 1e10  # not known
    write_flo(tmp_path / "x.flo", flow)
    expected = flow.copy()
    expected[:, 1, 2] = 0
    assert np.array_equal(read_flow(tmp_path / "x.flo").numpy(), expected)


def test_kitti(tmp_path: Path, flow: Floats) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    valid = np.random.default_rng(1).integers(0, 2, (3, 5))
    pixels = np.stack([flow[0] * 64 + 2**15, flow[1] * 64 + 2**15, valid], -1).astype(np.uint16)
    write_rgb48(tmp_path / "x.png", pixels)
    assert np.array_equal(read_flow(tmp_path / "x.png").numpy(), flow * valid)
    assert 0 < valid.sum() < valid.size


def test_what_is_not_finite_is_not_known(tmp_path: Path, flow: Floats) -> None:
    flow[0, 0, 0], flow[1, 2, 2] = np.nan, np.inf
    np.save(tmp_path / "x.npy", flow)
    read = read_flow(tmp_path / "x.npy")
    assert read[:, 0, 0].tolist() == read[:, 2, 2].tolist() == [0, 0]
    assert read[1, 0, 1] == flow[1, 0, 1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.flo", b"", "cannot be read as a flow"),
        ("x.flo", b"PIEX" + bytes(16), "it does not start as a .flo does"),
        ("x.flo", b"PIEH" + struct.pack("<ii", 5, 3) + bytes(8), "it says 3x5, and has 20 bytes"),
        ("x.flo", b"PIEH" + struct.pack("<ii", -1, -1) + bytes(8), "it says -1x-1"),
        ("x.npy", b"no array", "cannot be read as a flow"),
        ("x.txt", b"", "is no flow; it is read from .npy, .flo, .png"),
    ],
)
def test_what_is_no_flow_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_flow(tmp_path / name)
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("array", [np.zeros((3, 4, 5)), np.zeros((2, 4)), np.array(["a"]), np.array([{"a": 1}])])
def test_other_arrays_are_refused_and_nothing_is_unpickled(tmp_path: Path, array: npt.NDArray[np.generic]) -> None:
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=r"x.npy cannot be read as a flow: .*(shape|pickle)"):
        read_flow(tmp_path / "x.npy")


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_png_of_eight_bits_is_no_flow(tmp_path: Path, mode: str) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    Image.new(mode, (5, 3)).save(tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"x.png cannot be read as a flow: its pixels are .* three colours of 16 bits"):
        read_flow(tmp_path / "x.png")


def test_flow_to_the_next_frame_is_written_where_the_pixels_go() -> None:
    flow = torch.zeros(2, 4, 6)
    flow[:, 1, 1] = torch.tensor([2.4, 1.0])  # to row 2, column 3
    flow[:, 0, 5] = torch.tensor([1.0, 0.0])  # out of the frame
    flow[:, 3, 0] = torch.tensor([1.0, 0.0])  # to (3, 1), where a longer one comes too
    flow[:, 3, 4] = torch.tensor([-3.0, 0.0])
    moved = onto_next(flow)
    assert moved[:, 2, 3].tolist() == pytest.approx([2.4, 1.0])
    assert moved[:, 3, 1].tolist() == [-3.0, 0.0]
    assert moved[:, 1, 1].tolist() == pytest.approx([2.4, 1.0])  # uncovered
    others = torch.ones(4, 6, dtype=torch.bool)
    for place in [(2, 3), (3, 1), (1, 1), (0, 5), (3, 0), (3, 4)]:
        others[place] = False
    assert (moved[:, others] == 0).all()


def test_flow_to_the_next_frame_agrees_with_a_loop() -> None:
    flow = torch.from_numpy(np.random.default_rng(2).normal(0, 3, (2, 9, 11)).astype(np.float32))
    expected = flow.clone()
    longest = np.full((9, 11), -1.0)
    for y in range(9):
        for x in range(11):
            row, column = y + round(float(flow[1, y, x])), x + round(float(flow[0, y, x]))
            length = float(flow[:, y, x].square().sum())
            if 0 <= row < 9 and 0 <= column < 11 and length > longest[row, column]:
                longest[row, column] = length
                expected[:, row, column] = flow[:, y, x]
    assert torch.equal(onto_next(flow), expected)
