from pathlib import Path

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
        *(f"frame_{index:04d}.png" for index in range(4)),
        "video.gif",
    ]
    expected = module(torch.tensor([2]))[0].detach().permute(1, 2, 0).numpy() * 255
    written = np.asarray(Image.open(folder / "frame_0002.png")).astype(float)
    assert np.abs(written - expected).max() <= 0.5 + 1e-4
    film = Image.open(folder / "video.gif")
    assert (film.n_frames, film.size, film.info["duration"]) == (4, SIZE[::-1], 50)


def test_an_image_is_written_as_png_alone(tmp_path: Path) -> None:
    trainer(tmp_path, [ReconstructionWriter()]).predict(tiny_image(), tiny_photograph())
    (folder,) = tmp_path.rglob("reconstruction")
    assert [file.name for file in folder.iterdir()] == ["frame_0000.png"]


def test_a_senseless_speed_is_refused() -> None:
    with pytest.raises(ValueError, match="frames_per_second"):
        ReconstructionWriter(frames_per_second=0)
