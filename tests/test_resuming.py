"""Which checkpoint the command line goes on from, and what it says to the others."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tiny import Foreign, tiny_image

from xinc_pl import NeRV, VideoINR
from xinc_pl.checkpoints import CheckpointError
from xinc_pl.cli import main
from xinc_pl.resuming import choose_checkpoint, newest_checkpoint

SUBCOMMANDS = ["fit", "validate", "test", "predict"]


@pytest.fixture
def last(finished_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint that may be spoilt, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["xinc"])
    return Path(shutil.copy(finished_runs / "lightning_logs/version_0/checkpoints/last.ckpt", "some.ckpt"))


def video(width: int = 7) -> VideoINR:
    """The module that the checkpoint is of."""
    return VideoINR(NeRV((16, 32), strides=(2, 2), width=width, levels=6), num_frames=4, size=(16, 32))


def choose(
    asked: str | Path | None,
    subcommand: str = "fit",
    module: LightningModule | None = None,
    weights_only: bool | None = None,
) -> Path:
    trainer = SimpleNamespace(loggers=[TensorBoardLogger(".", "logs")], max_epochs=9, default_root_dir=".")
    chosen = choose_checkpoint(asked, subcommand, cast(Trainer, trainer), module or video(), weights_only)
    assert chosen is not None
    return Path(chosen)


def message_of(asked: str | Path | None, subcommand: str = "fit", **options: Any) -> str:
    before = sorted(Path().rglob("*"))
    with pytest.raises(CheckpointError) as error:
        choose(asked, subcommand, **options)
    assert sorted(Path().rglob("*")) == before, "nothing was written, nothing has run"
    assert "\n" not in str(error.value)
    return str(error.value)


class Touch:
    """Leaves a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


def edited(file: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    state = torch.load(file, weights_only=True)
    edit(state)
    torch.save(state, file)


def old(version: str) -> Callable[[Path], None]:
    def write(file: Path) -> None:
        edited(file, lambda state: (state.pop("loops"), state.update({"pytorch-lightning_version": version})))

    return write


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]), "is damaged"),
    "empty": (lambda file: file.write_bytes(b""), "is empty"),
    "text": (lambda file: file.write_text("seed_everything: 0\n"), "is damaged"),
    "zeros": (lambda file: file.write_bytes(bytes(1000)), "is damaged"),
    "folder": (lambda file: (file.unlink(), file.mkdir()), "is a folder"),
    "missing": (lambda file: file.unlink(), "does not exist"),
    "hostile": (lambda file: edited(file, lambda state: state.update(a=Touch())), "could run any program"),
    "weights alone": (lambda file: torch.save(video().state_dict(), file), "was not written by Lightning"),
    "a tensor": (lambda file: torch.save(torch.zeros(3), file), "was not written by Lightning"),
    "other values": (lambda file: edited(file, lambda state: state.update(epoch="x")), "was not written by Lightning"),
    "no version": (lambda file: edited(file, lambda state: state.pop("pytorch-lightning_version")), "may be very old"),
    "Lightning 0.9": (old("0.9.0"), "Lightning 0.9.0"),
    "Lightning 1.4": (old("1.4.9"), "Lightning 1.4.9"),
    "no version at all": (old("?"), "cannot read any more"),
}


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
@pytest.mark.parametrize(("spoil", "words"), BAD.values(), ids=BAD)
def test_a_bad_file_is_one_line(last: Path, subcommand: str, spoil: Callable[[Path], object], words: str) -> None:
    spoil(last)
    message = message_of(last, subcommand)
    assert words in message
    assert "'some.ckpt'" in message


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
@pytest.mark.parametrize("address", ["https://example.com/last.ckpt", "s3://bucket/last.ckpt", "file:///last.ckpt"])
def test_an_address_is_not_fetched(last: Path, subcommand: str, address: str) -> None:
    del last
    assert f"ckpt_path '{address}' is an address; download it" in message_of(address, subcommand)


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_another_network_and_another_width_are_named(last: Path, subcommand: str) -> None:
    assert "network.stem.weight is 224x12x1x1 in the file, and 288x12x1x1" in message_of(
        last, subcommand, module=video(9)
    )
    assert "have no network.encoding.frequencies, but network." in message_of(last, subcommand, module=tiny_image())


def test_fit_needs_an_optimizer_and_the_others_do_not(last: Path) -> None:
    edited(last, lambda state: (state.pop("optimizer_states"), state.pop("lr_schedulers"), state.pop("callbacks")))
    assert "has no optimizer, only weights" in message_of(last)
    assert all(choose(last, subcommand) == last for subcommand in SUBCOMMANDS[1:])


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda state: state.update(optimizer_states=[]), "has 0 optimizers"),
        (lambda state: state.update(optimizer_states={}), "optimizer_states are no list"),
        (lambda state: state["optimizer_states"][0]["param_groups"][0].update(params=[0]), "of 1 weights"),
        (lambda state: state.update(loops={"fit_loop": {}}), "does not tell where in its training"),
        (lambda state: state.update(callbacks=[]), "callbacks are no dict"),
        (lambda state: state.update(epoch=9), "is of epoch 10, but trainer.max_epochs is 9"),
    ],
    ids=range(6),
)
def test_fit_needs_all_that_a_training_is_made_of(last: Path, edit: Callable[[Any], object], words: str) -> None:
    edited(last, edit)
    assert words in message_of(last)


def test_one_may_trust_a_file_of_ones_own(last: Path) -> None:
    edited(last, lambda state: state.update(a=Path("x")))
    assert message_of(last).endswith("if you trust it, say --weights_only false")
    assert choose(last, weights_only=False) == last


def test_a_good_checkpoint_is_taken(last: Path) -> None:
    assert all(choose(last, subcommand) == last for subcommand in SUBCOMMANDS)


def test_somebody_elses_module_may_change_the_weights_it_loads(last: Path) -> None:
    class Renames(Foreign):
        def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["state_dict"] = self.state_dict()

    assert choose(last, module=Renames()) == last
    assert "do not fit the network" in message_of(last, module=Foreign())


RELEASED = {
    "nerv": {f"decoder.1.conv.upconv.0.{kind}": torch.zeros(3) for kind in ("weight", "bias")},
    "ffn": {"model.positional_encoding.B": torch.zeros(2), "model.net.0.linear.weight": torch.zeros(2)},
}


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("kind", RELEASED)
def test_the_published_codes_own_files_get_a_line_that_says_how(last: Path, kind: str, pickled: bool) -> None:
    more = {"hyper_parameters": Touch()} if pickled else {}  # theirs have omegaconf's objects there
    torch.save({"state_dict": RELEASED[kind], "epoch": 3, "global_step": 4, **more}, last)
    message = message_of(last)
    assert "is the published code's" in message
    assert "python -m xinc_pl import FILE" in message


def test_without_a_checkpoint_fit_starts_and_the_others_refuse(last: Path) -> None:
    del last
    trainer = cast(Trainer, SimpleNamespace(loggers=[], max_epochs=1, default_root_dir="runs"))
    assert choose_checkpoint(None, "fit", trainer, video(), None) is None
    for subcommand in SUBCOMMANDS[1:]:
        with pytest.raises(CheckpointError, match=f"{subcommand} needs a trained network: give --ckpt_path FILE"):
            choose_checkpoint(None, subcommand, trainer, video(), None)


def run_with(number: int, **files: float) -> Path:
    """A run's folder with checkpoints, and when they were written."""
    folder = Path(f"logs/version_{number}/checkpoints")
    folder.mkdir(parents=True)
    for name, time in files.items():
        file = Path(shutil.copy("some.ckpt", folder / f"{name.replace('__', '=')}.ckpt"))
        os.utime(file, (time, time))
    return folder


def test_last_and_best_are_the_newest_runs(last: Path) -> None:
    assert last.is_file()
    run_with(0, last=1, best=2)
    folder = run_with(1, last=11, best_1=10)
    run_with(2)
    for subcommand in SUBCOMMANDS:
        assert choose("last", subcommand) == folder / "last.ckpt"
        assert choose("best", subcommand) == folder / "best_1.ckpt"


def test_the_best_is_the_one_that_model_checkpoint_found(last: Path) -> None:
    edited(last, lambda s: s.update(callbacks={"ModelCheckpoint{}": {"best_model_path": "/moved/epoch=3.ckpt"}}))
    folder = run_with(0, epoch__3=1, epoch__4=2, last=3)
    assert newest_checkpoint(Path("logs"), "best") == folder / "epoch=3.ckpt"


def test_where_there_is_no_last_or_best_it_is_said(last: Path) -> None:
    for name in ("last", "best"):
        assert f"there is no {name} checkpoint: no run in logs has left any" in message_of(name)
    run_with(0, best=1, last=2)
    run_with(1, epoch__3=3)
    assert last.is_file()
    for name in ("last", "best"):
        assert f"logs/version_1, has no {name} checkpoint; it has epoch=3.ckpt" in message_of(name)


NERV = [
    *("--config", "nerv", "--data.size", "[16, 32]", "--data.num_frames", "4", "--model.network.strides", "[2, 2]"),
    *("--model.network.width", "7", "--model.network.levels", "6", "--trainer.callbacks", "LastCheckpoint"),
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.max_epochs", "4"),
    *("--trainer.enable_model_summary", "false"),
]


@pytest.mark.parametrize(
    ("subcommand", "asked"),
    [("fit", "some.ckpt"), ("validate", None), ("test", "last"), ("predict", "https://example.com/last.ckpt")],
)
def test_the_command_line_exits_before_it_makes_a_folder(
    last: Path, capsys: pytest.CaptureFixture[str], subcommand: str, asked: str | None
) -> None:
    edited(last, lambda state: state.update(a=Touch()))
    with pytest.raises(SystemExit) as exit_:
        main([subcommand, *NERV, *(["--ckpt_path", asked] if asked else [])])
    assert exit_.value.code == 2
    assert len([line for line in capsys.readouterr().err.splitlines() if line.startswith("xinc: error: ")]) == 1
    assert [file.name for file in Path().iterdir()] == ["some.ckpt"]


def test_a_checkpoint_names_no_class_that_is_made(last: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = {"_class_path": "os.system", "command": "touch ran"}
    edited(last, lambda state: state.update(hyper_parameters=hostile))
    main(["test", *NERV, "--ckpt_path", "some.ckpt"])
    assert "test/psnr" in capsys.readouterr().out
    assert not Path("ran").exists()


def test_another_learning_rate_is_reported_and_the_checkpoints_holds(last: Path) -> None:
    with pytest.warns(UserWarning, match=r"lr is 0.5, but 0.001 holds"):
        main(["fit", *NERV, "--ckpt_path", str(last), "--model.lr", "0.5"])
    state = torch.load("lightning_logs/version_0/checkpoints/last.ckpt", weights_only=True)
    assert state["optimizer_states"][0]["param_groups"][0]["initial_lr"] == 0.001
