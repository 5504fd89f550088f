import warnings
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins import TorchCheckpointIO
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import SIZE, Probe, tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer, weights_of

from xinc_pl import ContributionCanvas, ImageINR
from xinc_pl.callbacks import LastCheckpoint
from xinc_pl.callbacks.aside import aside, clear_asides
from xinc_pl.training import NonFiniteLossError


class Stop(Callback):
    """Fails in the middle of an epoch, as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, *args: object, **kwargs: object) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError("pulled the plug")


def checkpoint_below(folder: Path) -> Path:
    (checkpoint,) = (file for file in folder.rglob("*") if ".ckpt" in file.name)
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


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("-inf")])
def test_an_interval_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"every_n_seconds is {seconds}"):
        LastCheckpoint(every_n_seconds=seconds)


def best() -> ModelCheckpoint:
    return ModelCheckpoint(monitor="val/psnr", mode="max", filename="best", save_on_train_epoch_end=False)


@pytest.mark.parametrize("order", [1, -1])
def test_lightning_knows_the_best_checkpoint_whatever_the_order(tmp_path: Path, order: int) -> None:
    run = trainer(tmp_path, [LastCheckpoint(), best()][::order], max_epochs=2)
    assert isinstance(run.checkpoint_callback, ModelCheckpoint)
    run.fit(tiny_image(), tiny_photograph())
    assert isinstance(run.checkpoint_callback, ModelCheckpoint)
    assert Path(run.checkpoint_callback.best_model_path).name == "best.ckpt"
    assert len(run.checkpoint_callbacks) == 1
    (metrics,) = run.test(tiny_image(), tiny_photograph(), ckpt_path="best", verbose=False)
    assert metrics["test/psnr"] > 0
    kept = torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)
    (state,) = [state for key, state in kept["callbacks"].items() if key.startswith("ModelCheckpoint")]
    assert Path(state["best_model_path"]).name == "best.ckpt", "all other callbacks have had their turn"


def test_alone_it_is_not_taken_for_the_one_that_knows_the_best(tmp_path: Path) -> None:
    run = trainer(tmp_path, [LastCheckpoint()], max_epochs=1)
    assert run.checkpoint_callback is None
    run.fit(tiny_image(), tiny_photograph())
    assert run.checkpoint_callback is None
    assert checkpoint_below(tmp_path).is_file()


def test_a_run_goes_on_from_the_best_checkpoint_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    # Lightning ends the epoch of that checkpoint again, without a step.
    probes = Probe(at_epochs=[1, 2, 3]), Probe(at_epochs=[1, 2, 3])
    keeper = ModelCheckpoint(filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=False)
    whole, resumed = tiny_video(), tiny_video()
    trainer(tmp_path / "whole", [keeper, probes[0]], max_epochs=3).fit(whole, tiny_clip())
    checkpoint = next(tmp_path.rglob("epoch=1.ckpt"))
    run = trainer(tmp_path / "resumed", [LastCheckpoint(), probes[1]], max_epochs=3)
    run.fit(resumed, tiny_clip(), ckpt_path=checkpoint)
    assert all(torch.equal(a, b) for a, b in zip(weights_of(whole), weights_of(resumed), strict=True))
    assert probes[1].moments == probes[0].moments[1:]
    logs = [events_of(each).Scalars("train/psnr") for each in (tmp_path / "whole", tmp_path / "resumed")]
    assert [(event.step, event.value) for event in logs[1]] == [(event.step, event.value) for event in logs[0]][1:]


def events_of(folder: Path) -> EventAccumulator:
    (file,) = folder.rglob("events.out.tfevents.*")
    return EventAccumulator(str(file)).Reload()


@pytest.mark.parametrize("now", [{"lr": 0.5}, {"betas": (0.5, 0.999)}, {"schedule": "warmup_cosine"}])
def test_settings_that_do_not_hold_are_reported(tmp_path: Path, now: dict[str, Any]) -> None:
    trainer(tmp_path, [LastCheckpoint()], max_epochs=1).fit(tiny_image(), tiny_photograph())
    other = ImageINR(tiny_image().network, size=SIZE, **now)
    with pytest.warns(UserWarning, match=f"ImageINR: {next(iter(now))} is .*checkpoint's"):
        trainer(tmp_path, max_epochs=2).fit(other, tiny_photograph(), ckpt_path=checkpoint_below(tmp_path))


def test_a_run_that_goes_on_as_it_was_set_has_nothing_to_report(tmp_path: Path) -> None:
    trainer(tmp_path, [LastCheckpoint()], max_epochs=1).fit(tiny_video(), tiny_clip())
    with warnings.catch_warnings(record=True) as caught:
        trainer(tmp_path, max_epochs=2).fit(tiny_video(), tiny_clip(), ckpt_path=checkpoint_below(tmp_path))
    assert not [each for each in caught if "holds" in str(each.message)]


@pytest.mark.parametrize("callback", [LastCheckpoint, Probe])
def test_what_a_killed_process_has_left_is_cleared_at_the_next_start(tmp_path: Path, callback: Any) -> None:
    places = ["checkpoints/.last.ckpt.aside", "xinc/a/b/.film.gif.aside", "reconstruction/.video.gif.aside"]
    left = [tmp_path / "logs" / run / place for run in ("version_0", "version_1") for place in places]
    others = [tmp_path / "logs/version_0/mine.aside", tmp_path / "elsewhere/checkpoints/.last.ckpt.aside"]
    for file in (*left, *others):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    trainer(tmp_path, [callback()], max_epochs=1).fit(tiny_image(), tiny_photograph())
    assert not [file for file in left if file.exists()]
    assert all(file.exists() for file in others)


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "version_0/checkpoints/last.ckpt"
    with aside(file) as half:
        half.write_bytes(b"whole")
        clear_asides(tmp_path / "version_1")
        assert half.exists()
    assert file.read_bytes() == b"whole"
    assert [each.name for each in file.parent.iterdir()] == ["last.ckpt"]


def test_a_full_disk_leaves_the_checkpoint_of_before_and_nothing_aside(tmp_path: Path) -> None:
    class Full(TorchCheckpointIO):
        def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
            if checkpoint["global_step"] > 2:
                Path(path).write_bytes(b"half")
                raise OSError(28, "No space left on device")
            super().save_checkpoint(checkpoint, path, storage_options)

    run = trainer(tmp_path, [LastCheckpoint(every_n_seconds=0)], max_epochs=3, plugins=[Full()])
    with pytest.raises(OSError, match="No space left"):
        run.fit(tiny_image(), tiny_photograph())
    assert torch.load(checkpoint_below(tmp_path), weights_only=True)["global_step"] == 2
