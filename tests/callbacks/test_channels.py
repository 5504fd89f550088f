"""Frames that are not RGB: what is shown and written is what was meant."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from PIL import Image
from tiny import SIZE, TinyChannels, tiny_channels, trainer

from xinc_pl import FFN, ContributionCanvas, Frame
from xinc_pl.callbacks import ReconstructionWriter
from xinc_pl.frames import pixel_coordinates


@pytest.mark.parametrize("num_channels", [1, 2, 3, 4, 6])
def test_what_is_predicted_is_written_whole(tmp_path: Path, num_channels: int) -> None:
    module = tiny_channels(num_channels)
    trainer(tmp_path, [ReconstructionWriter()]).predict(module, TinyChannels(num_channels))
    (folder,) = tmp_path.rglob("reconstruction")
    expected = module(torch.tensor([1]))[0].detach().numpy()
    shown = np.asarray(Image.open(folder / "frame_0001.png")) / 255
    channels = {1: [0], 2: [0, 1, 0]}.get(num_channels, [0, 1, 2])
    assert np.abs(np.atleast_3d(shown) - expected[channels].transpose(1, 2, 0)).max() <= 0.502 / 255
    assert (folder / "video.gif").is_file()
    kept = folder / "frame_0001.npy"
    assert kept.is_file() == (num_channels not in (1, 3))
    assert not kept.is_file() or np.allclose(np.load(kept), expected, atol=1e-6)


def test_a_target_of_other_channels_than_the_network_makes_is_found_before_the_first_step(tmp_path: Path) -> None:
    grey = Frame(0, pixel_coordinates(SIZE), SIZE, torch.rand(1, *SIZE))
    callback = ContributionCanvas(frames=[grey], network=FFN(6, (8,)), on_error="raise")
    with pytest.raises(MisconfigurationException, match=r"frame 0 has a target of 1 channels, .* output has 3"):
        trainer(tmp_path, [callback]).fit(tiny_channels(1), TinyChannels(1))


def test_a_loss_does_not_broadcast_channels(tmp_path: Path) -> None:
    with pytest.raises((MisconfigurationException, ValueError), match=r"\(1, 1, 16, 32\).*\(1, 2, 16, 32\)"):
        trainer(tmp_path).fit(tiny_channels(1), TinyChannels(2))
