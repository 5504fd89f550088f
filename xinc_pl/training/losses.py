"""Losses between frames (B, C, H, W) that torch does not have."""

from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

SSIM_MIN_SIDE = 11  # the side of SSIM's window


class L1SSIMLoss(nn.Module):
    """l1_weight * L1 + (1 - l1_weight) * (1 - SSIM): the default of the published code's command line.

    Args:
        l1_weight: Share of the mean absolute error, from 0 to 1.
    """

    def __init__(self, l1_weight: float = 0.7) -> None:
        super().__init__()
        if not 0 <= l1_weight <= 1:
            raise ValueError(f"L1SSIMLoss: l1_weight is {l1_weight}; it must be between 0 and 1")
        self.l1_weight = l1_weight

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss, a scalar, of frames (B, C, H, W) in [0, 1].

        Raises:
            ValueError: A frame is smaller than SSIM's window.
        """
        if min(target.shape[-2:]) < SSIM_MIN_SIDE:
            raise ValueError(
                f"L1SSIMLoss needs frames of at least {SSIM_MIN_SIDE}x{SSIM_MIN_SIDE}, got "
                f"{target.shape[-2]}x{target.shape[-1]}; use torch.nn.L1Loss or torch.nn.MSELoss"
            )
        ssim = structural_similarity_index_measure(prediction, target, data_range=1.0)
        assert isinstance(ssim, Tensor)
        l1 = (prediction - target).abs().mean()
        return self.l1_weight * l1 + (1 - self.l1_weight) * (1 - ssim)
