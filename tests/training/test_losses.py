"""The loss of ours against NumPy and scikit-image."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from xinc_pl.training import L1SSIMLoss


@pytest.fixture
def frames() -> tuple[torch.Tensor, torch.Tensor]:
    """A prediction and its target."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 16, 24, generator=generator)
    return (target + 0.2 * torch.randn(target.shape, generator=generator)).clamp(0, 1), target


@pytest.mark.parametrize("weight", [0.0, 0.7, 1.0])
def test_l1_ssim_agrees_with_scikit_image(
    frames: tuple[torch.Tensor, torch.Tensor],
    weight: float,
    reference_ssim: Callable[[torch.Tensor, torch.Tensor], float],
) -> None:
    l1 = np.abs(frames[0].double().numpy() - frames[1].double().numpy()).mean()
    expected = weight * l1 + (1 - weight) * (1 - reference_ssim(*frames))
    assert L1SSIMLoss(weight)(*frames).item() == pytest.approx(expected, rel=1e-4)


def test_l1_ssim_of_published_weight_is_the_default() -> None:
    assert L1SSIMLoss().l1_weight == 0.7


def test_l1_ssim_is_zero_with_finite_gradients_at_the_target(frames: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction = frames[1].clone().requires_grad_()
    loss = L1SSIMLoss()(prediction, frames[1])
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


def test_l1_ssim_falls_along_its_gradient(frames: tuple[torch.Tensor, torch.Tensor]) -> None:
    prediction = frames[0].clone().requires_grad_()
    before = L1SSIMLoss()(prediction, frames[1])
    (gradient,) = torch.autograd.grad(before, prediction)
    assert L1SSIMLoss()(prediction - 1e-3 * gradient / gradient.abs().max(), frames[1]) < before


@pytest.mark.parametrize("size", [(10, 24), (24, 10)])
def test_l1_ssim_refuses_frames_smaller_than_its_window(size: tuple[int, int]) -> None:
    frames = torch.rand(2, 1, 3, *size)
    with pytest.raises(ValueError, match=rf"at least 11x11, got {size[0]}x{size[1]}"):
        L1SSIMLoss()(*frames)
    enough = torch.rand(2, 1, 3, 11, 11)
    assert L1SSIMLoss()(*enough).isfinite()


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_l1_ssim_refuses_other_weights(weight: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        L1SSIMLoss(weight)
