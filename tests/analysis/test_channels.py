"""How images of any number of channels are shown, and what is computed from them."""

from dataclasses import replace

import pytest
import torch

from xinc_pl import Collage, Frame
from xinc_pl.analysis.channels import as_rgb, channels_note, grey, intensity
from xinc_pl.analysis.partitions import Partition, labels_of


def image(num_channels: int) -> torch.Tensor:
    return torch.rand(num_channels, 5, 7, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("num_channels", "shown"), [(1, [0, 0, 0]), (2, [0, 1, 0]), (3, [0, 1, 2]), (4, [0, 1, 2]), (6, [0, 1, 2])]
)
def test_every_number_of_channels_is_shown_and_what_is_not_plain_is_told(num_channels: int, shown: list[int]) -> None:
    values = image(num_channels)
    assert torch.equal(torch.from_numpy(as_rgb(values)), values[shown].permute(1, 2, 0))
    assert bool(channels_note(num_channels)) == (num_channels not in (1, 3))


def test_grey_is_luminance_of_rgb_and_else_the_mean() -> None:
    rgb = image(3).double()
    weighted = 0.2125 * rgb[0] + 0.7154 * rgb[1] + 0.0721 * rgb[2]
    assert torch.allclose(torch.from_numpy(grey(rgb)), weighted)
    for number in (1, 2, 4):
        assert torch.allclose(torch.from_numpy(grey(image(number))), image(number).double().mean(0))


def test_intensity_is_the_sum_of_the_scaled_channels() -> None:
    channels = torch.tensor([[[0.0, 0.5, 1.0]], [[0.2, 0.4, 0.2]]])
    assert intensity(channels).tolist() == [[0.0, 1.0, pytest.approx(2 / 3)]]
    assert intensity(channels[:1] / 2).tolist() == [[0.0, 0.5, 1.0]]


def test_clusters_of_colours_see_every_channel() -> None:
    target = torch.zeros(4, 6, 9)
    target[3, :, 3:] = 1.0  # only the fourth tells left from right
    labels = labels_of(Partition("rgb"), Frame(0, torch.zeros(1), (6, 9), target))
    assert labels.tolist() == [[int(labels[0, 0])] * 3 + [int(labels[0, 8])] * 6] * 6
    assert len(labels.unique()) == 2


@pytest.mark.parametrize("name", ["rgb", "gabor", "superpixels"])
def test_a_grey_frame_has_the_clusters_of_the_same_frame_as_rgb(name: str) -> None:
    (frame, *_) = Collage((24, 40), num_frames=2).frames
    assert frame.target is not None
    one = frame.target.mean(0, keepdim=True)
    expected = labels_of(Partition(name), replace(frame, target=one.expand(3, -1, -1)))  # type: ignore[arg-type]
    assert (labels_of(Partition(name), replace(frame, target=one)) == expected).float().mean() > 0.97  # type: ignore[arg-type]


@pytest.mark.parametrize("num_channels", [2, 5])
def test_superpixels_follow_the_content_of_any_channels(num_channels: int) -> None:
    target = torch.zeros(num_channels, 24, 40)
    target[-1, :, 13:] = 1.0  # an edge that no grid of 32 cells has
    labels = labels_of(Partition("superpixels"), Frame(0, torch.zeros(1), (24, 40), target))
    assert not set(labels[:, :13].unique().tolist()) & set(labels[:, 13:].unique().tolist())
