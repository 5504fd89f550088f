from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
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


def test_it_can_be_written_less_often(tmp_path: Path) -> None:
    trainer(tmp_path, [LastCheckpoint(every_n_epochs=2)], max_epochs=3).fit(tiny_image(), tiny_photograph())
    assert torch.load(checkpoint_below(tmp_path), weights_only=True)["epoch"] == 1


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="every_n_epochs is 0"):
        LastCheckpoint(every_n_epochs=0)
