"""What training an image and training a video have in common."""

from abc import ABC, abstractmethod
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MetricCollection

from xinc_pl.frames import Batch, Size, psnr_from_mse
from xinc_pl.random_state import RandomState, get_random_state, set_random_state
from xinc_pl.training.metrics import reconstruction_metrics
from xinc_pl.training.schedules import SCHEDULES, ScheduleName


class NonFiniteLossError(RuntimeError):
    """The loss has become NaN or infinite: there is nothing to go on with."""


class INRModule(LightningModule, ABC):
    """Fits a network to frames and reports how well it does.

    Logs ``train/loss`` and ``train/psnr`` every epoch (PSNR from the mean squared error of each frame as the
    network gave it), and ``val/psnr``, ``val/ssim`` and ``val/ms_ssim`` (predictions clamped to [0, 1], mean over
    frames, the latter two where the size allows).

    Args:
        network: The network to fit.
        size: Height and width of a frame.
        loss: Takes prediction and target, both (B, C, H, W). Mean squared error by default.
        lr: Base learning rate of Adam.
        betas: Adam's decay rates.
        schedule: How the learning rate changes over the run.
    """

    def __init__(
        self,
        network: nn.Module,
        size: Size,
        loss: nn.Module | None,
        lr: float,
        betas: tuple[float, float],
        schedule: ScheduleName,
    ) -> None:
        super().__init__()
        if lr <= 0:
            raise ValueError(f"{type(self).__name__}: lr is {lr}; it must be positive")
        if schedule not in SCHEDULES:
            raise ValueError(f"{type(self).__name__}: schedule is {schedule!r}; choose from {', '.join(SCHEDULES)}")
        self.network = network
        self.size: Size = (size[0], size[1])
        self.loss = nn.MSELoss() if loss is None else loss
        self.lr = lr
        self.betas = betas
        self.schedule: ScheduleName = schedule
        self._epoch_frames: list[Tensor] = []
        self.val_metrics = reconstruction_metrics(self.size).clone(prefix="val/")
        self.test_metrics = reconstruction_metrics(self.size).clone(prefix="test/")

    @abstractmethod
    def reconstruct(self, indices: Tensor) -> Tensor:
        """What the network makes of frames ``indices`` (B,): (B, C, H, W), not clamped."""

    def xinc_network(self) -> nn.Module:
        """The network that XINC's callbacks dissect."""
        return self.network

    def forward(self, indices: Tensor) -> Tensor:
        """Reconstruct frames ``indices`` (B,), clamped: (B, C, H, W) in [0, 1]."""
        return self.reconstruct(indices).float().clamp(0, 1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch of frames.

        Raises:
            NonFiniteLossError: The loss is NaN or infinite.
            MisconfigurationException: The network makes frames of another shape, which a loss might broadcast.
        """
        del batch_idx
        prediction, target = self.reconstruct(batch.indices).float(), batch.target.float()
        if prediction.shape != target.shape:
            raise MisconfigurationException(
                f"the network makes frames of shape {tuple(prediction.shape[1:])} (channels, height, width), but those "
                f"to be fitted are {tuple(target.shape[1:])}; give the network as many output channels"
            )
        loss = cast(Tensor, self.loss(prediction, target))
        if not torch.isfinite(loss):
            raise NonFiniteLossError(
                f"the loss is {loss.item()} in epoch {self.current_epoch} (step {self.global_step}); lower the "
                f"learning rate (it is {self.lr:g}) or clip the gradients (trainer.gradient_clip_val). "
                "The last checkpoint is from before."
            )
        with torch.no_grad():
            mse = (prediction - target).square().mean(dim=(1, 2, 3))
            # Logged once per epoch: self.log in every step would cost six percent of the paper's NeRV.
            psnr = psnr_from_mse(mse)
            self._epoch_frames.append(torch.stack([loss.detach().expand_as(psnr), psnr]))
        return loss

    def on_train_epoch_start(self) -> None:
        """Start the epoch's means."""
        self._epoch_frames.clear()

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means."""
        loss, psnr = torch.cat(self._epoch_frames, dim=1).mean(1)
        self.log("train/loss", loss, sync_dist=True)
        self.log("train/psnr", psnr, sync_dist=True, prog_bar=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the reconstruction of one batch."""
        del batch_idx
        self._measure(self.val_metrics, batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure the reconstruction of one batch."""
        del batch_idx
        self._measure(self.test_metrics, batch)

    def predict_step(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Frame numbers (B,) and their reconstruction (B, C, H, W) in [0, 1]."""
        del batch_idx
        return batch.indices, self(batch.indices)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam, with the learning rate following the schedule step by step."""
        optimizer = Adam(self.network.parameters(), lr=self.lr, betas=self.betas)
        if self.schedule == "constant":
            return optimizer
        num_steps = self.trainer.estimated_stepping_batches
        if num_steps == float("inf"):
            raise ValueError(
                f"the schedule {self.schedule!r} needs to know the length of the run; set trainer.max_epochs or "
                "trainer.max_steps, or use the schedule 'constant'"
            )
        factor = SCHEDULES[self.schedule]
        scheduler = LambdaLR(optimizer, lambda step: factor(min(step / max(num_steps, 1), 1.0)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the random state, so that a resumed run goes on as the uninterrupted one would have."""
        checkpoint["xinc_random_state"] = get_random_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the random state, if the training goes on from here."""
        if "xinc_random_state" in checkpoint and self._trainer is not None and self.trainer.training:
            set_random_state(cast(RandomState, checkpoint["xinc_random_state"]))

    def _measure(self, metrics: MetricCollection, batch: Batch) -> None:
        metrics.update(self(batch.indices), batch.target.float())
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(batch.indices))
