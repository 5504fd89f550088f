"""Coordinates, times and batches."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from xinc_pl.frames import Frame, batch_of, frame_time, held_out_frames, pixel_coordinates, psnr_from_mse


def frame(index: int, target: torch.Tensor | None) -> Frame:
    return Frame(index, torch.zeros(1), (2, 3), target)


@pytest.mark.parametrize("size", [(3, 5), (5, 3), (4, 4), (1, 6), (6, 1), (128, 256)])
def test_pixel_coordinates_are_the_formula_in_float32(size: tuple[int, int]) -> None:
    height, width = size
    longest = np.float32(max(size) - 1)
    pixels = [(row, column) for row in range(height) for column in range(width)]
    expected = (np.array(pixels, dtype=np.float32) / longest - np.float32(0.5)) * np.float32(2)
    coordinates = pixel_coordinates(size)
    assert coordinates.dtype == torch.float32
    assert np.array_equal(coordinates.numpy(), expected)


def test_pixel_coordinates_by_hand() -> None:
    assert pixel_coordinates((2, 3)).tolist() == [[-1, -1], [-1, 0], [-1, 1], [0, -1], [0, 0], [0, 1]]


def test_a_single_pixel_has_finite_coordinates() -> None:
    assert pixel_coordinates((1, 1)).tolist() == [[-1, -1]]


def test_pixel_coordinates_do_not_depend_on_the_default_type() -> None:
    expected = pixel_coordinates((3, 5))
    torch.set_default_dtype(torch.float64)
    try:
        coordinates = pixel_coordinates((3, 5))
    finally:
        torch.set_default_dtype(torch.float32)
    assert coordinates.dtype == torch.float32
    assert torch.equal(coordinates, expected)


def test_frame_time_is_exact_to_the_last_bit_of_float64() -> None:
    times = frame_time(torch.tensor([[0, 1], [2, 6]]), 7)
    assert times.dtype == torch.float64
    assert times.tolist() == [[0 / 7, 1 / 7], [2 / 7, 6 / 7]]


def test_batch_keeps_order_and_values() -> None:
    targets = torch.rand(2, 3, 2, 3)
    batch = batch_of([frame(5, targets[0]), frame(2, targets[1])])
    assert batch.indices.tolist() == [5, 2]
    assert batch.indices.dtype == torch.int64
    assert torch.equal(batch.target, targets)


def test_a_frame_without_target_makes_no_batch() -> None:
    with pytest.raises(ValueError, match="without target"):
        batch_of([frame(0, torch.rand(3, 2, 3)), frame(1, None)])


def test_psnr_from_mse_by_hand() -> None:
    assert psnr_from_mse(torch.tensor([1.0, 0.01, 1e-4])).tolist() == pytest.approx([0, 20, 40], abs=1e-4)
    assert psnr_from_mse(torch.tensor(0.0)) == float("inf")


@pytest.mark.parametrize("num_channels", [1, 2, 3, 4, 7])
def test_a_target_has_any_number_of_channels(num_channels: int) -> None:
    assert frame(0, torch.rand(num_channels, 2, 3)).target is not None


@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((2, 3), r"target\[None\]"),
        ((2, 3, 3), "permute"),
        ((3, 3, 2), ""),
        ((0, 2, 3), ""),
        ((3, 2, 4), ""),
    ],
)
def test_a_target_of_another_shape_is_refused_with_the_remedy(shape: tuple[int, ...], remedy: str) -> None:
    with pytest.raises(ValueError, match=rf"Frame 4: target has the shape .*\(channels, 2, 3\).*{remedy}"):
        frame(4, torch.zeros(shape))


@pytest.mark.parametrize(
    ("num_frames", "num_held_out", "expected"),
    [(30, 0, []), (5, 1, [2]), (5, 3, [1, 2, 3]), (9, 3, [2, 4, 6]), (31, 2, [10, 20]), (4, 1, [1]), (3, 1, [1])],
)
def test_held_out_frames_are_evenly_spaced(num_frames: int, num_held_out: int, expected: list[int]) -> None:
    assert list(held_out_frames(num_frames, num_held_out)) == expected


@pytest.mark.parametrize("num_frames", [3, 4, 17, 30, 132])
def test_any_number_between_the_first_and_the_last_can_be_held_out(num_frames: int) -> None:
    for num_held_out in range(num_frames - 1):
        numbers = held_out_frames(num_frames, num_held_out)
        assert len(set(numbers)) == num_held_out
        assert not {0, num_frames - 1} & set(numbers)
        gaps = {after - before for before, after in pairwise([0, *numbers, num_frames - 1])}
        assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize(("num_frames", "num_held_out"), [(30, 29), (30, -1), (1, 1)])
def test_first_and_last_are_never_held_out(num_frames: int, num_held_out: int) -> None:
    with pytest.raises(ValueError, match=f"num_held_out is {num_held_out}; of {num_frames} frames 0 to"):
        held_out_frames(num_frames, num_held_out)


def test_a_single_frame_is_not_copied_into_its_batch() -> None:
    target = torch.rand(3, 4, 6)
    frame = Frame(2, torch.zeros(1), (4, 6), target)
    assert batch_of([frame]).target.data_ptr() == target.data_ptr()
    assert batch_of([frame, frame]).target.shape == (2, 3, 4, 6)
