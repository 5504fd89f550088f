"""Fitting a video."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from xinc_pl.frames import Batch, Frame, Size, batch_of, frame_time, held_out_frames
from xinc_pl.training.base import INRModule, Prediction
from xinc_pl.training.metrics import separate_psnr
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
        num_held_out: How many frames, evenly spaced, are not trained on. On the command line it comes from the data.
            Their PSNR is ``val/psnr_unseen``, that of the others ``val/psnr_seen``.
        predict_between: Frames that ``predict`` makes between each frame and the next, at evenly spaced times.
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
        num_held_out: int = 0,
        predict_between: int = 0,
    ) -> None:
        super().__init__(network, size, loss, lr, betas, schedule)
        if num_frames < 1:
            raise ValueError(f"VideoINR: num_frames is {num_frames}; it must be at least 1")
        if predict_between < 0:
            raise ValueError(f"VideoINR: predict_between is {predict_between}; it must be at least 0")
        self.num_frames = num_frames
        self.num_held_out = num_held_out
        self.predict_between = predict_between
        try:
            held_out = held_out_frames(num_frames, num_held_out)
        except ValueError as error:
            raise ValueError(f"VideoINR: {error}") from error
        self._held_out = torch.tensor(held_out, dtype=torch.long)
        self.psnr_apart = nn.ModuleDict({"val": separate_psnr(), "test": separate_psnr()} if held_out else {})
        if channels_last:
            self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # missing in torch's stubs

    def setup(self, stage: str) -> None:
        """Let a network that starts from frames, such as ``HNeRV``, see them; then try it, as every module.

        Raises:
            ValueError: Data, network and loss do not go together, or need more memory than there is.
        """
        frames = getattr(getattr(self.trainer, "datamodule", None), "frames", ())
        see = getattr(self.network, "see", None)
        if callable(see) and isinstance(frames, Sequence) and frames:
            see(batch_of(frames).target)
        super().setup(stage)

    def inputs_of(self, indices: Tensor) -> Tensor:
        """Times of frames ``indices`` (B,): float64 (B,)."""
        # The time is made here, from integers: a precision plugin would have rounded it in the batch.
        return frame_time(indices, self.num_frames)

    def check_frame(self, frame: Frame, num_frames: int) -> None:
        """Insist on a video of the length that this module knows.

        Raises:
            ValueError: It is an image, or of another length.
        """
        if frame.inputs.dim() == 2:
            raise ValueError(
                "VideoINR fits a video, and the data are an image; use ImageINR with a network of coordinates, such as "
                "FFN, or the data Collage or Video"
            )
        if num_frames != self.num_frames:
            raise ValueError(
                f"VideoINR: num_frames is {self.num_frames}, and the data have {num_frames} frames; make them the same"
            )

    def reconstruct(self, indices: Tensor) -> Tensor:
        """Frames ``indices`` (B,): (B, C, H, W)."""
        return cast(Tensor, self.network(self.inputs_of(indices)))

    def predict_step(self, batch: Batch, batch_idx: int) -> Prediction:
        """Reconstruct the frames of one batch, and ``predict_between`` after each but the last."""
        if not self.predict_between:
            return super().predict_step(batch, batch_idx)
        per_frame = self.predict_between + 1
        numbers = (batch.indices[:, None] * per_frame + torch.arange(per_frame, device=self.device)).flatten()
        numbers = numbers[numbers <= (self.num_frames - 1) * per_frame]
        known = {int(index) * per_frame: frame for index, frame in zip(batch.indices, batch.target, strict=True)}
        unknown = torch.full_like(batch.target[0], torch.nan)
        # One at a time: there are many more than a batch was made for.
        frames = [self.network(frame_time(number, self.num_frames * per_frame)[None]) for number in numbers]
        target = torch.stack([known.get(int(number), unknown) for number in numbers])
        return Prediction(numbers, torch.cat(frames).float().clamp(0, 1), target.float())

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of all metrics that it logs."""
        apart = [f"{stage}/psnr_{part}" for stage in self.psnr_apart for part in ("seen", "unseen")]
        return (*super().measured, *apart)

    def _measure_apart(self, prefix: str, indices: Tensor, prediction: Tensor, target: Tensor) -> None:
        if not self.psnr_apart:
            return
        metrics = cast(nn.ModuleDict, self.psnr_apart[prefix.removesuffix("/")])
        unseen = torch.isin(indices, self._held_out.to(indices.device))
        for part, chosen in {"seen": ~unseen, "unseen": unseen}.items():
            metric = cast(Metric, metrics[part])
            if chosen.any():
                metric.update(prediction[chosen], target[chosen])
            self.log(f"{prefix}psnr_{part}", metric, on_step=False, on_epoch=True, batch_size=len(indices))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note the length of the video as well, which no weight tells."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["xinc_num_frames"] = self.num_frames

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Insist on the length that the weights were fitted to: its frames are at other times than another's.

        Raises:
            ValueError: It is another one.
        """
        length = checkpoint.get("xinc_num_frames", self.num_frames)
        if length != self.num_frames:
            raise ValueError(
                f"the checkpoint is of a video of {length} frames, and this one has {self.num_frames}; their times are "
                f"not the same: set num_frames to {length}"
            )
        super().on_load_checkpoint(checkpoint)
