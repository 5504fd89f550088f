"""Fitting a video."""

from typing import cast

import torch
from torch import Tensor, nn

from xinc_pl.frames import Size, frame_time
from xinc_pl.training.base import INRModule
from xinc_pl.training.schedules import ScheduleName


class VideoINR(INRModule):
    """Fits a network that maps times (B,) in [0, 1) to frames (B, C, H, W).

    The times are float64, whatever the weights are: high frequencies need it. A network of your own may have to cast.

    Args:
        network: The network to fit, such as ``NeRV``.
        num_frames: Length of the video. On the command line it comes from the data.
        size: Height and width of a frame. On the command line it comes from the data.
        loss: Takes prediction and target, both (B, C, H, W). ``MSELoss`` by default; ``L1Loss``, ``L1SSIMLoss`` (the
            released code's) or any other module.
        lr: Base learning rate of Adam.
        betas: Adam's decay rates.
        schedule: How the learning rate changes over the run: ``warmup_cosine`` or ``constant``.
        channels_last: Keep convolutions in the memory layout that CPUs and GPUs prefer. It changes the speed, and
            the result by no more than rounding.
    """

    def __init__(
        self,
        network: nn.Module,
        num_frames: int = 30,
        size: Size = (128, 256),
        loss: nn.Module | None = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        schedule: ScheduleName = "warmup_cosine",
        channels_last: bool = True,
    ) -> None:
        super().__init__(network, size, loss, lr, betas, schedule)
        self.num_frames = num_frames
        if channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in torch's stubs

    def reconstruct(self, indices: Tensor) -> Tensor:
        """Frames ``indices`` (B,): (B, C, H, W)."""
        # The time is made here, from integers: a precision plugin would have rounded it in the batch.
        return cast(Tensor, self.network(frame_time(indices, self.num_frames)))
