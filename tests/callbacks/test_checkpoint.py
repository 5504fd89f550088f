from pathlib import Path
from typing import ClassVar

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tiny import tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer, weights_of

from xinc_pl import ContributionCanvas
from xinc_pl.callbacks import LastCheckpoint
from xinc_pl.training import NonFiniteLossError


class Stop(Callback):
    """Fails in the middle of an epoch, as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *args: object, **kwargs: object) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError("pulled the plug")


def checkpoint_below(folder: Path) -> Path:
    (checkpoint,) = folder.rglob("*.ckpt*")
    assert checkpoint.name == "last.ckpt", "nothing is left aside"
    return checkpoint


@pytest.mark.parametrize(("module", "data"), [(tiny_video, tiny_clip), (tiny_image, tiny_photograph)])
def test_an_interrupted_run_goes_on_bit_identically_from_its_last_whole_epoch(
    tmp_path: Path, module: type[LightningModule], data: type
) -> None:
    whole = module()
    trainer(tmp_path / "whole", [ContributionCanvas(at_epochs=(0, 2))], max_epochs=4).fit(whole, data())
    with pytest.raises(RuntimeError, match="plug"):
        trainer(tmp_path / "broken", [LastCheckpoint(), Stop(step=5)], max_epochs=4).fit(module(), data())
    checkpoint = checkpoint_below(tmp_path / "broken")
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 4
    resumed = module()
    trainer(tmp_path / "resumed", max_epochs=4).fit(resumed, data(), ckpt_path=checkpoint)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(whole), weights_of(resumed), strict=True))


class Poison(Callback):
    """Makes a weight NaN in the last step of an epoch."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        if trainer.current_epoch == 1 and batch_idx == 1:
            with torch.no_grad():
                next(pl_module.network.parameters()).flatten()[0] = float("nan")


def test_a_checkpoint_with_nan_weights_is_not_kept(tmp_path: Path) -> None:
    run = trainer(tmp_path, [Poison(), LastCheckpoint()], max_epochs=4)
    with (
        pytest.warns(UserWarning, match="weights are not finite after epoch 2"),
        pytest.raises(NonFiniteLossError, match="epoch 2"),
    ):
        run.fit(tiny_image(), tiny_photograph())
    state = torch.load(checkpoint_below(tmp_path), weights_only=True)
    assert state["global_step"] == 2
    assert all(torch.isfinite(value).all() for value in state["state_dict"].values())


def test_it_is_written_now_and_then(tmp_path: Path) -> None:
    class Look(Callback):
        written: ClassVar[list[int]] = []

        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            files = list(tmp_path.rglob("last.ckpt"))
            self.written.append(torch.load(files[0], weights_only=True)["epoch"] if files else -1)

    seldom, often = LastCheckpoint(every_n_seconds=1e6), LastCheckpoint(every_n_seconds=0)
    for callback, expected in ((seldom, [-1, 0, 0]), (often, [2, 0, 1])):
        Look.written.clear()
        trainer(tmp_path, [callback, Look()], logger=TensorBoardLogger(tmp_path, version=0)).fit(
            tiny_image(), tiny_photograph()
        )
        assert Look.written == expected
        assert torch.load(checkpoint_below(tmp_path), weights_only=True)["epoch"] == 2


def test_keeping_the_state_leaves_the_trainers_checkpoints_alone(tmp_path: Path) -> None:
    run = trainer(tmp_path, [LastCheckpoint()], max_epochs=1)
    run.fit(tiny_image(), tiny_photograph())
    run.save_checkpoint(tmp_path / "by_hand.ckpt", weights_only=False)
    assert (tmp_path / "by_hand.ckpt").stat().st_size > 1000


def test_a_negative_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="every_n_seconds is -1"):
        LastCheckpoint(every_n_seconds=-1)
