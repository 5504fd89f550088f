"""Fitting an image."""

from typing import cast

import torch
from torch import Tensor, nn

from xinc_pl.arguments import check_size, check_whole
from xinc_pl.frames import Batch, Frame, Size, pixel_coordinates
from xinc_pl.training.base import INRModule, Prediction
from xinc_pl.training.losses import L1SSIMLoss
from xinc_pl.training.schedules import ScheduleName


class ImageINR(INRModule):
    """Fits a network that maps pixel coordinates (P, 2) to colours (P, C), all pixels in every step, or some.

    Args:
        network: The network to fit, such as ``FFN``.
        size: Height and width of the image. On the command line it comes from the data.
        loss: Takes prediction and target, both (1, C, H, W). ``MSELoss`` by default; ``L1Loss``, ``L1SSIMLoss`` (the
            released code's) or any other module.
        lr: Base learning rate of Adam.
        betas: Adam's decay rates.
        schedule: How the learning rate changes over the run: ``constant`` or ``warmup_cosine``.
        pixels_per_step: Pixels of a training step, drawn anew for each; null for all. For large images: memory and time
            of a step do not grow with the image, and validation goes through it in pieces of at least as many.
        predict_size: Height and width of the image that ``predict`` makes; null for that of the data.
    """

    def __init__(
        self,
        network: nn.Module,
        size: Size = (128, 256),
        loss: nn.Module | None = None,
        lr: float = 9e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        schedule: ScheduleName = "constant",
        pixels_per_step: int | None = None,
        predict_size: Size | None = None,
    ) -> None:
        super().__init__(network, size, loss, lr, betas, schedule)
        if pixels_per_step is not None:
            check_whole("ImageINR", "pixels_per_step", pixels_per_step, 1)
            if isinstance(loss, L1SSIMLoss):
                raise ValueError("ImageINR: L1SSIMLoss needs whole images; leave pixels_per_step out, or use L1Loss")
        if predict_size is not None:
            check_size("ImageINR", predict_size)
        self.pixels_per_step = pixels_per_step
        self.predict_size = predict_size
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

    def step_inputs(self, indices: Tensor) -> Tensor:
        """Coordinates of as many pixels as a training step has."""
        return self.inputs_of(indices)[: self.pixels_per_step]

    def step_pair(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Prediction and target of all pixels; or of some, as an image of one row (1, C, 1, pixels_per_step)."""
        if self.pixels_per_step is None:
            return super().step_pair(batch, batch_idx)
        coordinates = self.inputs_of(batch.indices)
        # From epoch and step alone: a run that is resumed sees the pixels that the whole one would have.
        generator = torch.Generator().manual_seed(self.current_epoch * 1_000_003 + batch_idx)
        chosen = torch.randint(len(coordinates), (self.pixels_per_step,), generator=generator).to(coordinates.device)
        return self._as_image(coordinates[chosen], (1, len(chosen))), batch.target.flatten(2)[:, :, None, chosen]

    def reconstruct(self, indices: Tensor) -> Tensor:
        """The image (1, C, H, W), once for each of ``indices``."""
        return self._image_at(self.inputs_of(indices), self.size).expand(len(indices), -1, -1, -1)

    def predict_step(self, batch: Batch, batch_idx: int) -> Prediction:
        """Reconstruct the image, in ``predict_size`` where that is set."""
        if self.predict_size is None:
            return super().predict_step(batch, batch_idx)
        coordinates = pixel_coordinates(self.predict_size).to(self.device)
        return Prediction(batch.indices, self._image_at(coordinates, self.predict_size).float().clamp(0, 1))

    def _image_at(self, coordinates: Tensor, size: Size) -> Tensor:
        """The image (1, C, H, W) at the coordinates (H * W, 2) of its pixels."""
        if self.pixels_per_step is None or torch.is_grad_enabled():
            return self._as_image(coordinates, size)
        pieces = coordinates.split(max(self.pixels_per_step, _MIN_PIECE))
        rows = torch.cat([self._as_image(piece, (1, len(piece))) for piece in pieces], dim=-1)
        return rows.reshape(1, -1, *size)

    def _as_image(self, coordinates: Tensor, size: Size) -> Tensor:
        """What the network gives for coordinates (H * W, 2), as an image (1, C, H, W)."""
        colours = cast(Tensor, self.network(coordinates))
        if colours.dim() != 2 or len(colours) != len(coordinates):
            raise ValueError(
                f"it returns {tuple(colours.shape)} for coordinates {tuple(coordinates.shape)}, "
                "and not one row of colours for each"
            )
        return colours.T.reshape(1, -1, *size)


_MIN_PIECE = 65_536
"""Pixels that are worth a call."""
