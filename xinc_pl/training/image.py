"""Fitting an image."""

from typing import cast

from torch import Tensor, nn

from xinc_pl.frames import Frame, Size, pixel_coordinates
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

    def inputs_of(self, indices: Tensor) -> Tensor:
        """Coordinates of all pixels: (H * W, 2), whatever ``indices`` are."""
        del indices
        # Kept outside of the module's buffers, which a trainer's precision would round.
        self._coordinates = self._coordinates.to(self.device)
        return self._coordinates

    def check_frame(self, frame: Frame, num_frames: int) -> None:
        """Insist on one image.

        Raises:
            ValueError: There are several frames, or it is a video's.
        """
        if num_frames > 1 or frame.inputs.dim() == 1:
            raise ValueError(
                f"ImageINR fits one image, and the data are a video of {num_frames} frame{'s' * (num_frames != 1)}; "
                "use VideoINR with a network of time, such as NeRV, or the data Image (of a dataset: set frame)"
            )

    def reconstruct(self, indices: Tensor) -> Tensor:
        """The image (1, C, H, W), once for each of ``indices``."""
        colours = cast(Tensor, self.network(self.inputs_of(indices)))
        if colours.dim() != 2 or len(colours) != len(self._coordinates):
            raise ValueError(
                f"it returns {tuple(colours.shape)} for coordinates {tuple(self._coordinates.shape)}, "
                "and not one row of colours for each"
            )
        return colours.T.reshape(1, -1, *self.size).expand(len(indices), -1, -1, -1)
