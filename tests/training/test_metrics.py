"""What is reported about a reconstruction."""

from collections.abc import Callable

import pytest
import torch

from xinc_pl.training.metrics import reconstruction_metrics


def test_psnr_of_a_video_is_the_mean_of_its_frames() -> None:
    metrics = reconstruction_metrics((4, 6))
    target = torch.full((3, 3, 4, 6), 0.5)
    prediction = target + torch.tensor([0.1, 0.01, 0.001])[:, None, None, None]
    metrics.update(prediction[:2], target[:2])
    metrics.update(prediction[2:], target[2:])
    assert metrics.compute()["psnr"].item() == pytest.approx((20 + 40 + 60) / 3, abs=1e-3)


def test_psnr_clamps_predictions() -> None:
    metrics = reconstruction_metrics((4, 6))
    target = torch.tensor([0.0, 1.0]).expand(1, 3, 4, 3, 2).reshape(1, 3, 4, 6)
    prediction = target.clone()
    prediction[target == 1] = 1.7
    prediction[target == 0] = 0.1
    metrics.update(prediction, target)
    assert metrics.compute()["psnr"].item() == pytest.approx(20 + 3.0103, abs=1e-3)


def test_ssim_agrees_with_scikit_image(reference_ssim: Callable[[torch.Tensor, torch.Tensor], float]) -> None:
    noise, target = torch.rand(2, 3, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    prediction = 0.8 * target + 0.2 * noise
    metrics = reconstruction_metrics((12, 16))
    metrics.update(prediction[:2], target[:2])
    metrics.update(prediction[2:], target[2:])
    assert metrics.compute()["ssim"].item() == pytest.approx(reference_ssim(prediction, target), rel=1e-4)


@pytest.mark.parametrize(
    ("size", "names"),
    [
        ((10, 64), {"psnr"}),
        ((11, 11), {"psnr", "ssim"}),
        ((161, 200), {"psnr", "ssim"}),
        ((175, 176), {"psnr", "ssim"}),
        ((176, 176), {"psnr", "ssim", "ms_ssim"}),
    ],
)
def test_metrics_that_the_size_allows_can_be_computed(size: tuple[int, int], names: set[str]) -> None:
    metrics = reconstruction_metrics(size)
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    metrics.update(image, image)
    results = metrics.compute()
    assert set(results) == names
    assert all(value == pytest.approx(1, abs=1e-4) for name, value in results.items() if name != "psnr")
