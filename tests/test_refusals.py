"""What the command line refuses: one line, exit code 2, and nothing left behind."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from test_cli import QUIET, SHORT, TINY, UNWATCHED

from xinc_pl.cli import main
from xinc_pl.complaints import one_line


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("sys.argv", ["xinc"])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must be refused; returns what it says."""
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip() and not line.startswith("Seed set")]
    assert exit_.value.code == 2
    assert len(lines) == 1
    assert lines[0].startswith("xinc: error: ")
    assert not list(Path().rglob("*")), "nothing is left behind"
    return lines[0].removeprefix("xinc: error: ")


def fit(base: str, *more: str) -> list[str]:
    return ["fit", *TINY[base], *SHORT, *QUIET, *UNWATCHED, *more]


def callback(name: str, *more: str) -> list[str]:
    return ["fit", *TINY["nerv"], *SHORT, *QUIET, "--trainer.callbacks", name, *more]


WRONG_WORDS = [
    ([], ["no subcommand", "fit, validate"]),
    (["fti"], ["'fti'", "did you mean 'fit'?"]),
    (["comapre"], ["did you mean 'compare'?"]),
    (["fit"], ["data and model are missing", "--config nerv"]),
    (["fit", "extra"], ["'extra'", "--"]),
    (["fit", "--config", "nevr"], ["'nevr'", "did you mean 'nerv'?"]),
    (["fit", "--config", "."], ["is a folder"]),
    (["--config", "nerv", "fit"], ["xinc fit --config nerv"]),
    (fit("nerv", "--model.lr", "abc"), ["model.lr: expected a number, got 'abc'"]),
    (fit("nerv", "--model.lr", ""), ["model.lr: expected a number, got ''"]),
    (fit("nerv", "--model.network.width", "7.5"), ["model.network.width: expected an integer or null, got '7.5'"]),
    (fit("nerv", "--model.network.levelz", "5"), ["NeRV has no option 'levelz'", "did you mean 'levels'?"]),
    (fit("nerv", "--model.network.foo", "5"), ["NeRV has no option 'foo'", "it has size, model_size"]),
    (fit("nerv", "--model.network", "Nerv"), ["model.network", "'Nerv'", "did you mean 'NeRV'?"]),
    (fit("nerv", "--model.network", "torch.nn.Linear"), ["Linear needs in_features and out_features"]),
    (fit("nerv", "--model", "FFN"), ["model: ", "'FFN'", "there are ImageINR, VideoINR"]),
    (fit("nerv", "--model.schedule", "cosine"), ["constant, warmup_cosine", "did you mean 'warmup_cosine'?"]),
    (fit("nerv", "--model.loss", "MSELos"), ["model.loss", "did you mean 'MSELoss'?"]),
    (fit("nerv", "--model.loss", "torch.nn.functional.mse_loss"), ["model.loss: expected the name of a Module"]),
    (fit("nerv", "--data", "Colage"), ["data: ", "did you mean 'Collage'?"]),
    (fit("nerv", "--data.size", "[16]"), ["data.size: expected a list of 2, got '[16]'"]),
    (fit("nerv", "--data.size", "[16, x]"), ["data.size: expected an integer, got 'x'"]),
    (fit("nerv", "--trainer.max_epoch", "3"), ["--trainer.max_epoch", "did you mean '--trainer.max_epochs'?"]),
    (fit("nerv", "--trainer.precision", "17"), ["trainer.precision: expected one of 64, 32, 16, ", "'17'"]),
    (fit("nerv", "--trainer.devices", "abc"), ["`devices`"]),
    (fit("nerv", "--trainer.callbacks", "ModelChekpoint"), ["did you mean 'ModelCheckpoint'?"]),
    (fit("nerv", "--trainer.callbacks", "EarlyStopping"), ["trainer.callbacks: EarlyStopping needs monitor"]),
]

WRONG_VALUES = [
    (fit("nerv", "--model.betas", "[2, 0.9]"), ["VideoINR: betas are (2.0, 0.9)"]),
    (fit("nerv", "--model.lr", ".inf"), ["lr is inf"]),
    (fit("nerv", "--seed_everything", "-1"), ["seed_everything is -1", "4294967295"]),
    (fit("nerv", "--data.seed", "-1"), ["Collage: seed is -1"]),
    (fit("nerv", "--trainer.check_val_every_n_epoch", "0"), ["trainer.check_val_every_n_epoch is 0", "at least 1"]),
    (fit("nerv", "--trainer.max_epochs", "0"), ["trainer.max_epochs is 0", "nothing would be trained"]),
    (fit("nerv", "--trainer.gradient_clip_val", "-1"), ["gradient_clip_val is -1"]),
    (fit("nerv", "--trainer.val_check_interval", "100"), ["`val_check_interval` (100)"]),
    (fit("nerv", "--data.num_frames", "1000000000"), ["Collage with 1000000000 frames of 16x32 needs", "are free"]),
    (fit("nerv", "--model.network.width", "10000000"), ["NeRV with ", "weights needs", "are free"]),
    (fit("ffn", "--model.network.widths", "[9000000, 9000000]"), ["FFN with ", "weights needs"]),
    (fit("nerv", "--model.network.levels", "2000"), ["levels is 2000 with base 1.25", "393"]),
    (fit("nerv", "--model.network.base", "-2"), ["base is -2"]),
    (fit("ffn", "--model.network.scale", "1e38"), ["FFN gives numbers that are not finite before the first step"]),
    (fit("nerv", "--model.network", "FFN"), ["FFN cannot be called with times (1)", "ImageINR fits"]),
    (fit("ffn", "--model.network", "NeRV"), ["NeRV cannot be called with coordinates (512, 2)"]),
    (fit("nerv", "--model", "ImageINR"), ["ImageINR fits one image", "video of 4 frames"]),
    (fit("ffn", "--model", "VideoINR"), ["VideoINR fits a video", "are an image"]),
    (fit("ffn", "--model.network.out_channels", "4"), ["FFN makes (1, 4, 16, 32), and the frames are (1, 3, 16, 32)"]),
    (fit("nerv", "--model.loss", "torch.nn.NLLLoss"), ["the loss NLLLoss cannot be taken"]),
    (fit("nerv", "--model.loss", "torch.nn.MSELoss", "--model.loss.reduction", "none"), ["has to give one number"]),
    (callback("ContributionCanvas", "--trainer.callbacks.frames", "[0, 0]"), ["frame 0 is among the frames 2 times"]),
    (callback("ContributionCanvas", "--trainer.callbacks.layers", "[haed]"), ["'haed'", "did you mean 'head'?"]),
    (callback("ContributionCanvas", "--trainer.callbacks.seed", "-1"), ["ContributionCanvas: seed is -1"]),
    (
        callback("GroupingVariance", "--trainer.callbacks.grid", "[17, 4]"),
        ["17 by 4 is finer than frame 0"],
    ),
    (callback("ModelCheckpoint", "--trainer.callbacks.monitor", "val_psnr"), ["not measured", "'val/psnr'?"]),
]


@pytest.mark.parametrize(("arguments", "words"), [*WRONG_WORDS, *WRONG_VALUES], ids=lambda value: " ".join(value[-2:]))
def test_a_refusal_is_one_line_and_leaves_nothing(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(capsys, *arguments)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"- a\n- b\n", ["is a list"]),
        (b"", ["is empty"]),
        (b"just text", ["is a single value"]),
        (b"a: [1\nb: }", ["is not YAML", "line 2"]),
        ("# é".encode("latin-1"), ["not text in UTF-8"]),
        (bytes(range(256)), ["not text in UTF-8"]),
        (b"trainer: &a {x: *a}", ["an alias in it"]),
        (b"nc: 80\nnames: [cat]\n", ["no key 'nc'", "model, optimizer"]),
        (b"modle: 3\n", ["no key 'modle'", "did you mean 'model'?"]),
        (b"trainer: 5\n", ["trainer is 5"]),
        (b"trainer: {max_epochs: many}\n", ["trainer.max_epochs: expected an integer or null, got 'many'"]),
        (
            b"model: {class_path: VideoINR, init_args: {network: {class_path: NeRV, init_args: {wdth: 7}}}}",
            ["model.network: NeRV has no option 'wdth'", "did you mean 'width'?"],
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_a_wrong_configuration_file_is_named(
    content: bytes, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_bytes(content)
    message = refusal(capsys, *fit("nerv", "--config", str(file)))
    assert all(word in message for word in [*words, str(file)]), message


class NeedsWhatIsNotThere(Callback):
    """A callback that cannot be made."""

    def __init__(self, answer: int = 42) -> None:
        del answer
        raise ModuleNotFoundError("NeedsWhatIsNotThere requires a package of that name; pip install it")


def test_the_true_reason_is_not_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text(f"trainer: {{callbacks: [LastCheckpoint, {{class_path: {__name__}.NeedsWhatIsNotThere}}]}}")
    try:
        message = refusal(capsys, *fit("nerv", "--config", str(file)))
    except ModuleNotFoundError as error:  # somebody's own class: its traceback is kept
        message = str(error)
    assert "requires a package of that name" in message


def test_a_module_that_is_missing_deep_in_the_alternatives() -> None:
    message = """Parser key "trainer.callbacks":
  Does not validate against any of the Union subtypes
  Subtypes: [list[lightning.pytorch.callbacks.callback.Callback], <class 'NoneType'>]
  Errors:
    - Problem with given class_path 'lightning.pytorch.callbacks.RichProgressBar':
        `RichProgressBar` requires `rich` >= 10.2.2
    - Expected a <class 'NoneType'>
  Given value type: <class 'list'>
  Given value: [{'class_path': 'lightning.pytorch.callbacks.RichProgressBar'}]"""
    line = one_line(message)
    assert line.startswith("trainer.callbacks: ")
    assert "requires `rich` >= 10.2.2" in line
    assert "\n" not in line


@pytest.mark.parametrize("message", ["", "\n\n", "Errors:\n- x", "Parser key", 'Parser key "a":', "x\ny"])
def test_any_message_becomes_a_line(message: str) -> None:
    assert "\n" not in one_line(message)


def test_a_run_of_before_keeps_its_files(capsys: pytest.CaptureFixture[str]) -> None:
    main(fit("nerv"))
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()}
    with pytest.raises(SystemExit, match="2"):
        main(fit("nerv", "--model.network", "FFN"))
    assert "FFN cannot be called" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()} == before
    assert os.listdir("lightning_logs") == ["version_0"]


def broken(checkpoint: dict[str, object]) -> None:
    weights = checkpoint["state_dict"]
    assert isinstance(weights, dict)
    weights["network.head.bias"].fill_(torch.nan)


def shorter(checkpoint: dict[str, object]) -> None:
    checkpoint["xinc_num_frames"] = 3


@pytest.mark.parametrize(
    ("change", "words"), [(broken, "network.head.bias"), (shorter, "3 frames, and this one has 4")]
)
def test_a_checkpoint_that_does_not_do_is_refused(
    change: Callable[[dict[str, object]], None], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(fit("nerv"))
    path = Path("lightning_logs/version_0/checkpoints/last.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, path)
    for command in ("fit", "validate"):
        capsys.readouterr()
        with pytest.raises(SystemExit, match="2"):
            main([command, *fit("nerv")[1:], "--ckpt_path", str(path)])
        assert words in capsys.readouterr().err
    assert os.listdir("lightning_logs") == ["version_0"]


class Confused(Callback):
    """Somebody's callback with a mistake in it."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Fail."""
        raise ValueError("a mistake")


def test_what_goes_wrong_in_ones_own_code_keeps_its_traceback_and_leaves_no_folder() -> None:
    with pytest.raises(ValueError, match="a mistake"):
        main(fit("nerv", "--trainer.callbacks+", f"{__name__}.Confused"))
    assert not list(Path().rglob("*"))
