from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import SIZE, tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer

from xinc_pl.callbacks import ReconstructionWriter


def test_a_video_is_written_as_frames_and_as_one_gif(tmp_path: Path) -> None:
    module = tiny_video()
    trainer(tmp_path, [ReconstructionWriter(frames_per_second=20)]).predict(module, tiny_clip())
    (folder,) = tmp_path.rglob("reconstruction")
    assert sorted(file.name for file in folder.iterdir()) == [
        *(f"compared_{index:04d}.png" for index in range(4)),
        *(f"frame_{index:04d}.png" for index in range(4)),
        "video.gif",
    ]
    expected = module(torch.tensor([2]))[0].detach().permute(1, 2, 0).numpy() * 255
    written = np.asarray(Image.open(folder / "frame_0002.png")).astype(float)
    assert np.abs(written - expected).max() <= 0.5 + 1e-4
    target = tiny_clip().frames[2].target
    assert target is not None
    beside = np.asarray(Image.open(folder / "compared_0002.png")).astype(float)
    shown = target.permute(1, 2, 0).numpy() * 255
    assert beside.shape == (SIZE[0], 3 * SIZE[1], 3)
    assert np.abs(beside[:, : SIZE[1]] - shown).max() <= 0.5 + 1e-4
    assert np.array_equal(beside[:, SIZE[1] : 2 * SIZE[1]], written)
    assert np.abs(beside[:, 2 * SIZE[1] :] - np.minimum(4 * np.abs(expected - shown), 255)).max() <= 0.5 + 1e-3
    film = Image.open(folder / "video.gif")
    assert (film.n_frames, film.size, film.info["duration"]) == (4, SIZE[::-1], 50)


def test_an_image_is_written_as_png_alone(tmp_path: Path) -> None:
    trainer(tmp_path, [ReconstructionWriter()]).predict(tiny_image(), tiny_photograph())
    (folder,) = tmp_path.rglob("reconstruction")
    assert sorted(file.name for file in folder.iterdir()) == ["compared_0000.png", "frame_0000.png"]


def test_only_frames_whose_target_is_known_are_compared(tmp_path: Path) -> None:
    module = tiny_video()
    module.predict_between = 1
    trainer(tmp_path, [ReconstructionWriter()]).predict(module, tiny_clip())
    (folder,) = tmp_path.rglob("reconstruction")
    assert sorted(int(file.stem[-4:]) for file in folder.glob("frame_*.png")) == list(range(7))
    assert sorted(int(file.stem[-4:]) for file in folder.glob("compared_*.png")) == [0, 2, 4, 6]
    assert Image.open(folder / "video.gif").n_frames == 7


def test_pairs_of_numbers_and_frames_will_do(tmp_path: Path) -> None:
    class Plain(type(tiny_video())):  # type: ignore[misc] # a class like another project's
        def predict_step(self, batch: Any, batch_idx: int) -> tuple[torch.Tensor, torch.Tensor]:
            return tuple(super().predict_step(batch, batch_idx))[:2]

    module = tiny_video()
    module.__class__ = Plain
    trainer(tmp_path, [ReconstructionWriter()]).predict(module, tiny_clip())
    (folder,) = tmp_path.rglob("reconstruction")
    assert len(list(folder.glob("frame_*.png"))) == 4
    assert not list(folder.glob("compared_*.png"))


def test_a_senseless_speed_is_refused() -> None:
    with pytest.raises(ValueError, match="frames_per_second"):
        ReconstructionWriter(frames_per_second=0)
