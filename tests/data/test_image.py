"""One image as a datamodule."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from xinc_pl.data import Image
from xinc_pl.frames import pixel_coordinates


def test_every_step_sees_the_whole_image() -> None:
    data = Image("chelsea", size=(8, 16), steps_per_epoch=5)
    batches = list(data.train_dataloader())
    assert len(batches) == 5
    for batch in batches:
        assert batch.indices.tolist() == [0]
        assert torch.equal(batch.target[0], data.frames[0].target)
        assert batch.target.shape == (1, 3, 8, 16)
    assert len(data.val_dataloader()) == 1


def test_the_frame_is_the_cropped_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "x.png")
    (frame,) = Image(str(tmp_path / "x.png"), size=(6, 12)).frames
    np.testing.assert_allclose(frame.target, pixels[1:7].transpose(2, 0, 1) / 255, atol=1e-6)
    assert frame.size == (6, 12)
    assert torch.equal(frame.inputs, pixel_coordinates((6, 12)))


@pytest.mark.parametrize("size", [(0, 4), (4, -1)])
def test_an_empty_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="height and width must be at least 1"):
        Image(size=size)


def test_too_few_steps_are_refused_by_the_arguments_own_name() -> None:
    with pytest.raises(ValueError, match="steps_per_epoch is 0"):
        Image(steps_per_epoch=0)


def test_a_missing_file_is_reported_in_setup() -> None:
    data = Image("no/such.png")
    with pytest.raises(ValueError, match=r"'no/such\.png'"):
        data.setup("fit")
