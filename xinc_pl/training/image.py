"""Fitting an image."""

from typing import cast

from torch import Tensor, nn

from xinc_pl.frames import Size, pixel_coordinates
from xinc_pl.training.base import INRModule
from xinc_pl.training.schedules import ScheduleName


class ImageINR(INRModule):
    """Fits a network that maps pixel coordinates (P, 2) to colours (P, C), all pixels in every step.

    Args:
        network: The network to fit, such as ``FFN``.
        size: Height and width of the image. On the command line it comes from the data.
        loss: Takes prediction and target, both (1, C, H, W). ``MSELoss`` by default; ``L1Loss``, ``L1SSIMLoss`` (the
            released code's) or any other module.
        lr: Base learning rate of Adam.
        betas: Adam's decay rates.
        schedule: How the learning rate changes over the run: ``constant`` or ``warmup_cosine``.
    """

    def __init__(
        self,
        network: nn.Module,
        size: Size = (128, 256),
        loss: nn.Module | None = None,
        lr: float = 9e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        schedule: ScheduleName = "constant",
    ) -> None:
        super().__init__(network, size, loss, lr, betas, schedule)
        self._coordinates = pixel_coordinates(self.size)

    def reconstruct(self, indices: Tensor) -> Tensor:
        """The image (1, C, H, W), once for each of ``indices``."""
        # Kept outside of the module's buffers, which a trainer's precision would round.
        self._coordinates = self._coordinates.to(self.device)
        colours = cast(Tensor, self.network(self._coordinates))
        return colours.T.reshape(1, -1, *self.size).expand(len(indices), -1, -1, -1)
