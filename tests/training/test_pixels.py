"""Images that are fitted by some pixels at a time, and reconstructed in any size."""

from pathlib import Path

import pytest
import torch
from tiny import SIZE, tiny_image, tiny_photograph, trainer
from torch import nn

from xinc_pl import FFN, ImageINR
from xinc_pl.frames import batch_of, pixel_coordinates
from xinc_pl.training import L1SSIMLoss

TARGET = batch_of(tiny_photograph().frames)


def module(**options: object) -> ImageINR:
    torch.manual_seed(0)
    return ImageINR(FFN(num_frequencies=6, widths=(10, 8)), SIZE, **options)  # type: ignore[arg-type] # any of them


class Asked(nn.Module):
    """Gives the coordinates back, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[int] = []
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, coordinates: torch.Tensor) -> torch.Tensor:
        self.counts.append(len(coordinates))
        return torch.cat([coordinates, coordinates[:, :1]], dim=1) * self.weight


def test_prediction_and_target_are_of_the_same_pixels() -> None:
    image = ImageINR(Asked(), SIZE, pixels_per_step=40)
    truth = image.reconstruct(torch.tensor([0])).detach()
    prediction, target = image.step_pair(TARGET._replace(target=truth), 3)
    assert prediction.shape == target.shape == (1, 3, 1, 40)
    torch.testing.assert_close(prediction, target)


def test_every_step_draws_pixels_of_its_own_and_always_the_same() -> None:
    steps = [module(pixels_per_step=20).step_pair(TARGET, step)[1] for step in (0, 1, 1)]
    assert not torch.equal(steps[0], steps[1])
    assert torch.equal(steps[1], steps[2])


def test_all_pixels_are_drawn_alike() -> None:
    counted = torch.arange(SIZE[0] * SIZE[1]).view(1, 1, *SIZE).float()
    image = ImageINR(Asked(), SIZE, pixels_per_step=4000)
    drawn = image.step_pair(TARGET._replace(target=counted), 0)[1].long().flatten()
    counts = torch.bincount(drawn, minlength=counted.numel())
    assert counts.float().mean().item() == pytest.approx(4000 / 512)
    assert counts.float().var().item() == pytest.approx(4000 / 512, rel=0.25)  # Poisson
    assert counts[0] > 0
    assert counts[-1] > 0


def test_an_image_is_learnt_from_some_of_its_pixels(tmp_path: Path) -> None:
    image = module(pixels_per_step=64, lr=0.01)
    before = (image(torch.tensor([0])) - TARGET.target).square().mean().item()
    trainer(tmp_path, max_epochs=30).fit(image, tiny_photograph())
    assert (image(torch.tensor([0])) - TARGET.target).square().mean().item() < 0.4 * before


def test_random_state_is_left_alone() -> None:
    image = module(pixels_per_step=20)
    before = torch.get_rng_state()
    image.step_pair(TARGET, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_large_image_is_reconstructed_in_pieces() -> None:
    network = Asked()
    image = ImageINR(network, (300, 500), pixels_per_step=100)
    with torch.no_grad():
        pieces = image.reconstruct(torch.tensor([0]))
    assert network.counts == [65_536, 65_536, 300 * 500 - 2 * 65_536]
    whole = ImageINR(network, (300, 500)).reconstruct(torch.tensor([0]))
    torch.testing.assert_close(pieces, whole.detach())


def test_a_step_needs_no_more_memory_than_its_pixels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    needed: list[float] = []
    monkeypatch.setattr("xinc_pl.training.trial.require_memory", lambda size, *_: needed.append(size))
    for options in ({}, {"pixels_per_step": 32}):
        trainer(tmp_path, max_epochs=1).fit(module(**options), tiny_photograph())
    assert needed[1] < needed[0] / 8


def test_an_image_is_predicted_in_any_size(tmp_path: Path) -> None:
    image = tiny_image()
    image.predict_size = (20, 50)
    predictions = trainer(tmp_path).predict(image, tiny_photograph())
    assert predictions is not None
    assert predictions[0].target is None
    expected = image.network(pixel_coordinates((20, 50))).T.view(3, 20, 50).clamp(0, 1)
    torch.testing.assert_close(predictions[0].frames[0], expected.detach())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixels_per_step": 0}, "pixels_per_step is 0"),
        ({"pixels_per_step": 9, "loss": L1SSIMLoss()}, "L1SSIMLoss needs whole images"),
        ({"predict_size": (0, 5)}, "size"),
    ],
)
def test_senseless_settings_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(**options)
