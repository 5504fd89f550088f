"""Projects that import ``pytorch_lightning``, which is Lightning's code under another name."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import DataLoader

from xinc_pl import Frame, load_run
from xinc_pl.callbacks import (
    CanvasEvolution,
    CanvasRecorder,
    ContributionCanvas,
    LastCheckpoint,
    RunSummary,
)
from xinc_pl.frames import pixel_coordinates

pl = pytest.importorskip("pytorch_lightning")

SIZE = (8, 12)
COORDINATES = pixel_coordinates(SIZE)
TARGET = torch.linspace(0, 1, 3 * 96).reshape(3, *SIZE)
FRAME = Frame(0, COORDINATES, SIZE, TARGET)


def module() -> Any:
    class INR(pl.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(2, 12), nn.SiLU(), nn.Linear(12, 3), nn.Sigmoid())

        def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
            loss = (self.net(batch) - TARGET.reshape(3, -1).T).square().mean()
            self.log("train/loss", loss)
            return loss

        def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
            self.log("val/psnr", -10 * (self.net(batch) - TARGET.reshape(3, -1).T).square().mean().log10())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=0.01)

        def xinc_network(self) -> nn.Module:
            return self.net

        def xinc_frames(self, indices: list[int]) -> list[Frame]:
            return [FRAME for _ in indices]

    return INR()


def data() -> DataLoader[Any]:
    return DataLoader([COORDINATES], batch_size=None)


def made(folder: Path, callbacks: list[Any], max_epochs: int = 2, **options: Any) -> Any:
    settings: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    settings |= {"logger": pl.loggers.TensorBoardLogger(folder), "log_every_n_steps": 1, "num_sanity_val_steps": 0}
    return pl.Trainer(callbacks=callbacks, max_epochs=max_epochs, **(settings | options))


def analyses() -> list[Any]:
    return [
        ContributionCanvas(num_neurons=2, on_error="raise"),
        CanvasEvolution(num_neurons=2, on_error="raise"),
        CanvasRecorder(on_error="raise"),
    ]


def test_everything_works_as_with_lightning_and_the_weights_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    plain = module()
    made(tmp_path / "plain", [], enable_checkpointing=False).fit(plain, data(), data())
    watched = module()
    best = pl.callbacks.ModelCheckpoint(monitor="val/psnr", mode="max")
    run = made(tmp_path / "watched", [LastCheckpoint(), *analyses(), RunSummary(), best])
    run.fit(watched, data(), data())
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), watched.parameters(), strict=True))
    folder = Path(run.log_dir)
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    images = set(events.Tags()["images"])
    assert {"xinc/contribution_canvas/0/maps", "xinc/canvas_evolution/0/film"} <= images
    assert len(events.Images("xinc/contribution_canvas/0/maps")) == 3
    assert "xinc/guide/text_summary" in events.Tags()["tensors"]
    assert (folder / "xinc/canvas_evolution/0/film.webp").is_file()
    assert load_run(folder).epochs == (0, 1, 2)
    assert "best val/psnr" in (out := capsys.readouterr().out)
    assert f"logs:      {folder}" in out
    assert not [warning for warning in recwarn if "takes pictures" in str(warning.message)]


def test_a_run_goes_on_from_the_last_checkpoint_and_is_dissected_by_validate(tmp_path: Path) -> None:
    def trained(folder: Path, max_epochs: int, resume: Path | None = None) -> Path:
        callbacks = [CanvasEvolution(num_neurons=2, on_error="raise"), LastCheckpoint()]
        run = made(folder, callbacks, max_epochs, enable_checkpointing=False)
        run.fit(module(), data(), data(), ckpt_path=resume, weights_only=True)
        return Path(run.log_dir)

    half = trained(tmp_path / "half", 1)
    resumed = trained(tmp_path / "resumed", 2, half / "checkpoints/last.ckpt")
    with Image.open(resumed / "xinc/canvas_evolution/0/film.webp") as film:
        assert film.n_frames == 3, "epochs 0 and 1 of the first part, and 2"
    again = made(tmp_path / "again", [ContributionCanvas(on_error="raise")])
    again.validate(module(), data(), ckpt_path=resumed / "checkpoints/last.ckpt", verbose=False, weights_only=True)
    assert (Path(again.log_dir) / "xinc/contribution_canvas/0/maps_epoch_0002.png").is_file()


def test_its_loggers_work_in_lightnings_trainer(tmp_path: Path) -> None:
    from tiny import tiny_image, tiny_photograph, trainer

    logger = pl.loggers.TensorBoardLogger(tmp_path)
    run = trainer(tmp_path, [ContributionCanvas(at_epochs=())], max_epochs=1, logger=logger)
    run.fit(tiny_image(), tiny_photograph())
    events = EventAccumulator(logger.log_dir).Reload()
    assert "xinc/contribution_canvas/layer_1/maps" in events.Tags()["images"]
    assert list((Path(logger.log_dir) / "xinc").rglob("*.png")), "files lie beside the events"


@pytest.mark.slow
def test_its_command_line_takes_the_callbacks_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "trainer: {max_epochs: 1, accelerator: cpu, enable_progress_bar: false, callbacks: ["
        "{class_path: xinc_pl.ContributionCanvas, init_args: {num_neurons: 2, at_epochs: []}}, "
        "{class_path: xinc_pl.callbacks.LastCheckpoint}, {class_path: xinc_pl.callbacks.RunSummary}]}"
    )
    (tmp_path / "project.py").write_text(
        "from pytorch_lightning.cli import LightningCLI\n"
        "from test_pytorch_lightning import data, module\n"
        "class INR(type(module())):\n"
        "    def train_dataloader(self):\n"
        "        return data()\n"
        "LightningCLI(INR)\n"
    )
    done = subprocess.run(
        [sys.executable, "project.py", "fit", "--config", "config.yaml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (run,) = (tmp_path / "lightning_logs").iterdir()
    assert (run / "xinc/contribution_canvas/0/maps_epoch_0001.png").is_file()
    assert (run / "checkpoints/last.ckpt").is_file()
