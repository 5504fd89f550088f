"""What training an image and training a video have in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MetricCollection

from xinc_pl.arguments import first_not_finite
from xinc_pl.frames import Batch, Frame, Size, psnr_from_mse
from xinc_pl.random_state import RandomState, get_random_state, set_random_state
from xinc_pl.training.arguments import check_training_arguments
from xinc_pl.training.metrics import reconstruction_metrics
from xinc_pl.training.schedules import SCHEDULES, ScheduleName
from xinc_pl.training.trial import try_module


class NonFiniteLossError(RuntimeError):
    """The loss has become NaN or infinite: there is nothing to go on with."""


class Prediction(NamedTuple):
    """What ``predict_step`` gives.

    Attributes:
        numbers: int64 (B,), by which the frames are sorted and named.
        frames: Their reconstruction (B, C, H, W) in [0, 1].
        target: What they should be, (B, C, H, W); NaN where that is not known. None if it is of no frame.
    """

    numbers: Tensor
    frames: Tensor
    target: Tensor | None = None


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
        check_training_arguments(type(self).__name__, network, size, loss, lr, betas, schedule)
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

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of all metrics that it logs, for callbacks that monitor one."""
        names = [*self.val_metrics.keys(), *self.test_metrics.keys()]
        return ("train/loss", "train/psnr", *(str(name) for name in names))

    def xinc_network(self) -> nn.Module:
        """The network that XINC's callbacks dissect."""
        return self.network

    def inputs_of(self, indices: Tensor) -> Tensor | None:
        """What the network is called with to get frames ``indices`` (B,); None if that is not told."""
        del indices
        return None

    def step_inputs(self, indices: Tensor) -> Tensor | None:
        """What the network is called with in a training step on frames ``indices`` (B,); None if that is not told."""
        return self.inputs_of(indices)

    def step_pair(self, batch: Batch, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Prediction and target of a training step, both (B, C, H, W)."""
        del batch_idx
        return self.reconstruct(batch.indices), batch.target

    def check_frame(self, frame: Frame, num_frames: int) -> None:
        """Insist that the data are such as this module fits. Nothing by default.

        Args:
            frame: One of its frames.
            num_frames: How many there are.

        Raises:
            ValueError: They are not.
        """

    def setup(self, stage: str) -> None:
        """Take one frame through network and loss, so that what does not fit is found before the first step.

        Raises:
            ValueError: Data, network and loss do not go together, or need more memory than there is.
        """
        try_module(self, stage)

    def forward(self, indices: Tensor) -> Tensor:
        """Reconstruct frames ``indices`` (B,), clamped: (B, C, H, W) in [0, 1]."""
        return self.reconstruct(indices).float().clamp(0, 1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch of frames.

        Raises:
            NonFiniteLossError: The loss is NaN or infinite.
            MisconfigurationException: The network makes frames of another shape, which a loss might broadcast.
        """
        prediction, target = (each.float() for each in self.step_pair(batch, batch_idx))
        if prediction.shape != target.shape:
            raise MisconfigurationException(
                f"the network makes frames of shape {tuple(prediction.shape[1:])} (channels, height, width), but those "
                f"to be fitted are {tuple(target.shape[1:])}; give the network as many output channels"
            )
        loss = cast(Tensor, self.loss(prediction, target))
        if not torch.isfinite(loss):
            is_kept = self.current_epoch > 0 and self.trainer.checkpoint_callbacks
            raise NonFiniteLossError(
                f"the loss is {loss.item()} in epoch {self.current_epoch} (step {self.global_step}); lower the "
                f"learning rate (it is {self.lr:g}) or clip the gradients (trainer.gradient_clip_val). "
                + ("The last checkpoint is from before." if is_kept else "There is no checkpoint yet.")
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
        if not self._epoch_frames:
            return  # Lightning ends an epoch again, without a step, when it goes on from a checkpoint of its validation
        loss, psnr = torch.cat([frames.to(self.device) for frames in self._epoch_frames], dim=1).mean(1)
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

    def predict_step(self, batch: Batch, batch_idx: int) -> Prediction:
        """Reconstruct the frames of one batch, beside what they should be."""
        del batch_idx
        return Prediction(batch.indices, self(batch.indices), batch.target.float())

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
        """Keep the random state and the epoch's numbers, for a resumed run to go on as the whole one would have."""
        checkpoint["xinc_random_state"] = get_random_state()
        if self._epoch_frames:
            checkpoint["xinc_epoch_frames"] = torch.cat([each.detach().cpu() for each in self._epoch_frames], dim=1)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore both, if the training goes on from here; say which settings are the checkpoint's.

        Raises:
            ValueError: Weights are not finite: there is nothing to go on from, or to look at.
        """
        broken = first_not_finite(checkpoint.get("state_dict", {}))
        if broken is not None:
            raise ValueError(f"the checkpoint has weights that are not finite, such as {broken}; take an earlier one")
        if self._trainer is None or not self.trainer.training:
            return
        if "xinc_random_state" in checkpoint:
            set_random_state(cast(RandomState, checkpoint["xinc_random_state"]))
        if "xinc_epoch_frames" in checkpoint:
            self._epoch_frames = [checkpoint["xinc_epoch_frames"]]
        for warning in self._overruled_by(checkpoint):
            rank_zero_warn(warning)

    def _overruled_by(self, checkpoint: Mapping[str, Any]) -> list[str]:
        """What of our settings does not hold, because Lightning goes on with the checkpoint's optimizer."""
        states = checkpoint.get("optimizer_states", ())
        groups = [group for state in states for group in state["param_groups"]]
        if not groups:
            return []
        then = groups[0]
        held = {"lr": then.get("initial_lr", then["lr"]), "betas": tuple(then.get("betas", self.betas))}
        given = {"lr": self.lr, "betas": tuple(self.betas)}
        lines = [
            f"{name} is {given[name]}, but {held[name]} holds, that of the checkpoint's optimizer; for another, "
            "start a new run"
            for name in held
            if held[name] != given[name]
        ]
        if bool(checkpoint.get("lr_schedulers")) != (self.schedule != "constant"):
            holds = f"the rate stays at {then['lr']:g}" if self.schedule == "constant" else "it starts anew from here"
            lines.append(f"schedule is {self.schedule!r}, and the checkpoint's was not: {holds}")
        return [f"{type(self).__name__}: {line}" for line in lines]

    def _measure_apart(self, prefix: str, indices: Tensor, prediction: Tensor, target: Tensor) -> None:
        """Measure some frames apart from others. Nothing by default."""

    def _measure(self, metrics: MetricCollection, batch: Batch) -> None:
        prediction, target = self(batch.indices), batch.target.float()
        metrics.update(prediction, target)
        self._measure_apart(str(metrics.prefix), batch.indices, prediction, target)
        self.log_dict(metrics, on_step=False, on_epoch=True, batch_size=len(batch.indices))
