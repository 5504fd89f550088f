"""Small runs for tests."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from xinc_pl import (
    FFN,
    FINER,
    SIREN,
    WIRE,
    Collage,
    Frame,
    Gauss,
    GridNeRV,
    HashGrid,
    HiNeRV,
    HNeRV,
    Image,
    ImageINR,
    NeRV,
    PositionalMLP,
    VideoINR,
)
from xinc_pl.callbacks import DissectedFrame, LastCheckpoint, Outputs, XINCCallback
from xinc_pl.data import FramesDataModule

SIZE = (16, 32)

IMAGE_NETWORKS: dict[str, Callable[[], Any]] = {
    "FFN": lambda: FFN(num_frequencies=6, widths=(10, 8), scale=2.0),
    "SIREN": lambda: SIREN((10, 8)),
    "FINER": lambda: FINER((10, 8)),
    "Gauss": lambda: Gauss((10, 8), sigma=0.3),
    "WIRE": lambda: WIRE((10, 8), omega=5.0, scale=2.0),
    "PositionalMLP": lambda: PositionalMLP(3, (10, 8)),
    "HashGrid": lambda: HashGrid(3, 2, 6, 4, 12, (10, 8)),
}
VIDEO_NETWORKS: dict[str, Callable[[], Any]] = {
    "NeRV": lambda: NeRV(SIZE, strides=(2, 2), width=7, levels=6),
    "HNeRV": lambda: HNeRV(SIZE, num_frames=4, strides=(2, 2), width=12, encoder_width=6),
    "HiNeRV": lambda: HiNeRV(SIZE, num_frames=4, strides=(2, 2), width=8, depth=2),
    "GridNeRV": lambda: GridNeRV(SIZE, (2, 4), width=8, strides=(2, 2)),
}
"""A small network of every kind, for ``tiny_photograph`` and for ``tiny_clip``."""


def tiny_video(num_frames: int = 4) -> VideoINR:
    """A NeRV of two blocks, always with the same weights."""
    torch.manual_seed(0)
    return VideoINR(NeRV(SIZE, strides=(2, 2), width=7, levels=6), num_frames=num_frames, size=SIZE)


def tiny_clip(num_frames: int = 4) -> Collage:
    """A few frames."""
    return Collage(SIZE, num_frames=num_frames)


class TinyChannels(FramesDataModule):
    """Two frames of the collage, with masks and flow, whose colours are mixed to some number of channels."""

    def __init__(self, num_channels: int) -> None:
        super().__init__(SIZE, num_frames=2, batch_size=2, repeats=1, seed=0)
        self.num_channels = num_channels

    def load(self) -> tuple[Frame, ...]:
        """Mix them."""
        mixture = torch.rand(self.num_channels, 3, generator=torch.Generator().manual_seed(0))
        mixture /= mixture.sum(1, keepdim=True)
        return tuple(
            Frame(
                frame.index,
                frame.inputs,
                SIZE,
                torch.einsum("dc,chw->dhw", mixture, frame.target),
                frame.instances,
                frame.flow,
                frame.name,
            )
            for frame in tiny_clip().frames[:2]
            if frame.target is not None
        )


def tiny_channels(num_channels: int) -> VideoINR:
    """A NeRV that makes some number of channels."""
    torch.manual_seed(0)
    network = NeRV(SIZE, strides=(4,), width=6, levels=4, out_channels=num_channels)
    return VideoINR(network, num_frames=2, size=SIZE)


def tiny_image() -> ImageINR:
    """A small FFN, always with the same weights."""
    torch.manual_seed(0)
    return ImageINR(FFN(num_frequencies=6, widths=(10, 8)), size=SIZE)


def tiny_photograph() -> Image:
    """A photograph, two steps per epoch."""
    return Image("rocket", SIZE, steps_per_epoch=2)


def trainer(folder: Path, callbacks: Sequence[Callback] = (), max_epochs: int = 3, **options: Any) -> Trainer:
    """A silent trainer that logs to TensorBoard below ``folder``."""
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": TensorBoardLogger(folder, name="logs"),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
    }
    return Trainer(callbacks=list(callbacks), max_epochs=max_epochs, **(settings | options))


def whole_half_and_resumed(folder: Path, callbacks: Callable[[], Sequence[Callback]]) -> tuple[Path, Path, Path]:
    """Logs of an image's run over two epochs, of one over the first, and of one that goes on from there."""

    def run(name: str, max_epochs: int, resume: str | None = None) -> Path:
        training = trainer(folder / name, [*callbacks(), LastCheckpoint()], max_epochs=max_epochs)
        training.fit(tiny_image(), tiny_photograph(), ckpt_path=resume)
        assert training.log_dir is not None
        return Path(training.log_dir)

    half = run("half", 1)
    return run("whole", 2), half, run("resumed", 2, str(half / "checkpoints/last.ckpt"))


def weights_of(module: LightningModule) -> list[torch.Tensor]:
    """Copies of all parameters."""
    return [parameter.detach().clone() for parameter in module.parameters()]


_SHORT = [
    *("--trainer.max_epochs", "2", "--trainer.check_val_every_n_epoch", "1", "--trainer.accelerator", "cpu"),
    *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
]
_NERV = [
    *("--config", "nerv", "--data.num_frames", "4", "--model.network.strides", "[2, 2]", "--model.network.width", "7"),
    *("--model.network.levels", "6", "--trainer.callbacks", "LastCheckpoint", *_SHORT),
    *("--trainer.callbacks+", "ModelCheckpoint", "--trainer.callbacks.filename", "best-{epoch}"),
]
_FFN = [
    *("--config", "ffn", "--data.size", "[16, 32]", "--data.steps_per_epoch", "2"),
    *("--model.network.num_frequencies", "6", "--model.network.widths", "[10, 8]"),
    *("--trainer.callbacks", "LastCheckpoint", *_SHORT),
]
RUNS = [
    [*_NERV, "--data.size", "[16, 32]"],
    [*_NERV, "--data.size", "[16, 32]", "--seed_everything", "1"],
    [*_NERV, "--data.size", "[16, 16]"],
    [*_FFN],
    [*_NERV, "--data.size", "[16, 32]", "--data.seed", "5"],
    [*_NERV, "--data.size", "[16, 32]", "--model.network.strides", "[4]"],
]
"""Words of ``fit``: two seeds; another size; another network; another clip; other layers."""


class Probe(XINCCallback):
    """Remembers when it was called and with what."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.moments: list[tuple[int, int]] = []
        self.seen: list[DissectedFrame] = []
        self.layers_seen: list[str] = []

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Note the moment, and what there is."""
        self.moments.append((outputs.epoch, outputs.step))
        self.seen = list(frames)
        self.layers_seen = list(layers)
        outputs.scalars(layers[0], {"probe": float(frames[0].canvas[layers[0]].num_neurons)}, frames[0].frame.index)


class Unhurried(Callback):
    """Leaves time for an interrupt, however busy the machine is."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait a little."""
        del trainer, pl_module
        time.sleep(0.1)


class Careful(LightningDataModule):
    """Somebody else's datamodule: it has to be prepared, and does not like to be set up twice."""

    def __init__(self) -> None:
        super().__init__()
        self.size, self.num_frames = SIZE, 4
        self.calls: list[str] = []
        self.clip = tiny_clip()

    def prepare_data(self) -> None:
        """Note it."""
        self.calls.append("prepare_data")

    def setup(self, stage: str) -> None:
        """Note it; insist on the order."""
        self.calls.append("setup")
        assert self.calls == ["prepare_data", "setup"]

    def train_dataloader(self) -> object:
        """Those of the clip."""
        return self.clip.train_dataloader()


class Foreign(LightningModule):
    """Somebody else's module: another network, batches as dictionaries, nothing of ours."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 12), nn.SiLU(), nn.Linear(12, 3), nn.Sigmoid())

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Mean squared error."""
        return (self.net(batch["xy"]) - batch["rgb"]).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=0.1)
