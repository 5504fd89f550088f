import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny_datasets import needs_clips, write_cityscapes_vps, write_vipseg

from xinc_pl import load_run
from xinc_pl.cli import bundled_configs, main

_NETWORK = ["--model.network.strides", "[2, 2]", "--model.network.width", "7", "--model.network.levels", "6"]
TINY = {
    "nerv": ["--config", "nerv", "--data.size", "[16, 32]", "--data.num_frames", "4", *_NETWORK],
    "ffn": [
        *("--config", "ffn", "--data.size", "[16, 32]", "--data.steps_per_epoch", "2"),
        *("--model.network.num_frequencies", "6", "--model.network.widths", "[10, 8]"),
    ],
    "cityscapes_vps": ["--config", "cityscapes_vps", "--data.size", "[16, 32]", *_NETWORK],
    "vipseg": ["--config", "vipseg", "--data.size", "[16, 32]", *_NETWORK],
    "bunny": ["--config", "bunny", "--data.size", "[16, 32]", "--data.num_frames", "4", *_NETWORK],
}
SHORT = ["--trainer.max_epochs", "3", "--trainer.check_val_every_n_epoch", "1", "--trainer.accelerator", "cpu"]
QUIET = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
UNWATCHED = ["--trainer.callbacks", "LastCheckpoint"]
BASES = {"nerv", "ffn"}
ON_DATASETS = {
    "cityscapes_vps": lambda: write_cityscapes_vps(Path("cityscapes_vps")),
    "vipseg": lambda: write_vipseg(Path("VIPSeg_720P")),
    "bunny": lambda: needs_clips(),
}
"""Configurations that are bases too, and what they need in the working folder."""
OTHER_NETWORKS = {
    **dict.fromkeys(("siren", "finer", "gauss", "wire"), ("ffn", ["--model.network.widths", "[10, 8]"])),
    "positional_mlp": ("ffn", ["--model.network.widths", "[10, 8]", "--model.network.levels", "3"]),
    "hash_grid": ("ffn", ["--model.network.widths", "[10, 8]", "--model.network.levels", "3"]),
    "hnerv": ("nerv", ["--model.network.strides", "[1, 2, 2, 2]", "--model.network.width", "12"]),
    "hinerv": ("nerv", ["--model.network.strides", "[2, 2, 1]", "--model.network.width", "8"]),
    "grid_nerv": ("nerv", ["--model.network.strides", "[2, 2]", "--model.network.width", "8"]),
}
"""Overlays with a network of their own: the base that they follow, and what makes them small."""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["xinc"])  # Lightning warns if there are words besides those it is given


def fit(base: str, *more: str) -> Path:
    """Run ``fit`` in this process; returns the run's folder."""
    main(["fit", *TINY[base], *SHORT, *QUIET, *more])
    return max(Path("lightning_logs").iterdir(), key=lambda path: int(path.name.removeprefix("version_")))


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail with exit code 2 before training; returns its one line."""
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    assert exit_.value.code == 2
    assert not list(Path().rglob("*.ckpt"))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("xinc: error: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("base", sorted(BASES))
def test_fit_trains_dissects_keeps_checkpoints_and_sums_up(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit(base)
    assert {path.name for path in (run / "checkpoints").iterdir()} >= {"last.ckpt"}
    assert list((run / "checkpoints").glob("best-*.ckpt"))
    # Three layers, of an image after epochs 0, 1 and 3, of a clip after 0 and 3; recorded after all three.
    pictures = list((run / "xinc/contribution_canvas").rglob("*.png"))
    assert len(pictures) == 3 * {"ffn": 3, "nerv": 2}[base]
    assert {Image.open(picture).size[0] for picture in pictures} == {1280}
    more = {"ffn": {"representation_spread", "contribution_vs_intensity"}, "nerv": set()}[base]  # or with analyses.yaml
    analyses = {"grouping_variance", *more}
    kept = {"contribution_canvas", "neuron_umap", "recordings", *analyses}
    assert {path.name for path in (run / "xinc").iterdir()} == kept
    assert len(list((run / "xinc/recordings").glob("epoch_*.safetensors"))) == 3
    assert all(list((run / "xinc" / name / "all_layers").rglob("*_epoch_0003.png")) for name in analyses)
    printed = capsys.readouterr().out
    assert "best val/psnr" in printed
    assert "dissected: 3 times" in printed
    assert "logs:      lightning_logs/version_0" in printed
    assert "tensorboard --logdir lightning_logs --samples_per_plugin images=500" in printed


def test_sizes_come_from_the_data() -> None:
    saved = yaml.safe_load((fit("nerv", *UNWATCHED) / "config.yaml").read_text())
    assert saved["data"]["init_args"]["size"] == [16, 32]


def test_a_saved_config_repeats_the_run() -> None:
    first = fit("nerv", *UNWATCHED)
    main(["fit", "--config", str(first / "config.yaml")])
    second = Path("lightning_logs/version_1")
    one, other = (torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in (first, second))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_validate_and_predict_and_test_use_a_finished_run(capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(fit("nerv") / "checkpoints/last.ckpt")
    arguments = [*TINY["nerv"], "--trainer.accelerator", "cpu", "--ckpt_path", checkpoint]
    main(["validate", *arguments])
    assert len(list(Path("lightning_logs/version_1/xinc/contribution_canvas").rglob("*_epoch_0003.png"))) == 3
    assert list(Path("lightning_logs/version_1/xinc/grouping_variance").rglob("variances_epoch_0003.png"))
    main(["predict", *arguments])
    (film,) = Path("lightning_logs").rglob("reconstruction/video.gif")
    assert len(list(film.parent.glob("frame_*.png"))) == 4
    capsys.readouterr()
    main(["test", *arguments])
    assert "test/psnr" in capsys.readouterr().out


def test_predict_writes_an_image_as_png() -> None:
    checkpoint = str(fit("ffn", *UNWATCHED) / "checkpoints/last.ckpt")
    main(["predict", *TINY["ffn"], "--trainer.accelerator", "cpu", "--ckpt_path", checkpoint])
    folder = Path("lightning_logs/version_0/reconstruction")
    assert {file.name for file in folder.iterdir()} == {"compared_0000.png", "frame_0000.png"}
    assert np.asarray(Image.open(folder / "frame_0000.png")).shape == (16, 32, 3)


def test_predict_goes_into_the_run_that_it_is_of_in_any_size_and_at_any_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = fit("ffn", *UNWATCHED)
    words = ["--config", str(run / "config.yaml"), "--ckpt_path", str(run / "checkpoints/last.ckpt")]
    settings = (run / "config.yaml").read_text()
    main(["predict", *words, "--model.predict_size", "[32, 64]"])
    assert [file.name for file in (run / "reconstruction").iterdir()] == ["frame_0000.png"]
    assert Image.open(run / "reconstruction/frame_0000.png").size == (64, 32)
    run = fit("nerv", "--data.num_held_out", "2", *UNWATCHED)
    words = ["--config", str(run / "config.yaml"), "--ckpt_path", str(run / "checkpoints/last.ckpt")]
    main(["predict", *words, "--model.predict_between", "1"])
    assert len(list((run / "reconstruction").glob("frame_*.png"))) == 7
    assert {each.name for each in Path().rglob("version_*")} == {"version_0", "version_1"}
    assert {each.name for each in Path().iterdir()} == {"lightning_logs"}
    assert (Path("lightning_logs/version_0") / "config.yaml").read_text() == settings
    capsys.readouterr()
    main(["validate", *words])
    assert "val/psnr_unseen" in capsys.readouterr().out


def test_a_video_of_ones_own(tmp_path: Path) -> None:
    for index in range(4):
        Image.new("RGB", (40, 20), (60 * index, 0, 0)).save(tmp_path / f"f{index}.png")
    data = ["--data", "Video", "--data.path", str(tmp_path), "--data.size", "[16, 32]", "--data.num_frames", "4"]
    main(["fit", *TINY["nerv"], *SHORT, *QUIET, *UNWATCHED, *data])
    assert list(Path("lightning_logs").rglob("last.ckpt"))


def test_somebody_elses_data_are_prepared_and_set_up_once() -> None:
    assert (fit("nerv", "--data", "tiny.Careful", *UNWATCHED) / "checkpoints/last.ckpt").is_file()


@pytest.mark.parametrize("loss", ["L1Loss", "L1SSIMLoss", "torch.nn.HuberLoss"])
def test_other_losses(loss: str) -> None:
    assert fit("nerv", "--model.loss", loss, *UNWATCHED).is_dir()


def test_the_file_name_of_a_config_may_be_left_out_or_given_whole(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for name in ("nerv", "nerv.yaml", str(bundled_configs()["nerv"])):
        with pytest.raises(SystemExit) as exit_:
            main(["fit", "--config", name, "--print_config"])
        assert exit_.value.code == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] == printed[2]


@pytest.mark.parametrize("name", sorted(bundled_configs()))
def test_every_shipped_config_is_complete_and_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    is_base = name in BASES or name in ON_DATASETS
    followed = [OTHER_NETWORKS[name][0]] if name in OTHER_NETWORKS else sorted(BASES)
    bases, overlay = ([name], []) if is_base else (followed, ["--config", name])
    for base in bases:
        small = OTHER_NETWORKS[name][1] if name in OTHER_NETWORKS else TINY[base][6:]
        with pytest.raises(SystemExit) as exit_:
            main(["fit", "--config", base, *overlay, "--print_config"])
        assert exit_.value.code == 0
        parsed = yaml.safe_load(capsys.readouterr().out)
        given = yaml.safe_load(bundled_configs()[name].read_text())
        settings = given.get("trainer", {})
        for key in settings.keys() & {"max_epochs", "check_val_every_n_epoch"}:
            assert parsed["trainer"][key] == settings[key]
        if "callbacks" in settings:
            kinds = [each["class_path"] for each in settings["callbacks"]]
            assert [each["class_path"] for each in parsed["trainer"]["callbacks"]] == kinds
            assert "xinc_pl.callbacks.CanvasRecorder" in kinds, "every run can be asked later"
        ON_DATASETS.get(base, lambda: None)()
        main(["fit", *TINY[base][:2], *overlay, *TINY[base][2:6], *small, *QUIET, "--trainer.fast_dev_run", "1"])


@pytest.mark.parametrize("name", sorted(OTHER_NETWORKS))
def test_other_networks_are_trained_and_dissected(name: str, recwarn: pytest.WarningsRecorder) -> None:
    base, small = OTHER_NETWORKS[name]
    main(["fit", "--config", base, "--config", name, *TINY[base][2:6], *small, *SHORT, *QUIET])
    folder = Path("lightning_logs/version_0/xinc/contribution_canvas")
    layers = {path.name for path in folder.iterdir()}
    shown = {"hnerv": {"block_4", "head"}, "hinerv": {"grid_1", "block_1_grid_1", "block_3_layer_1_widen", "head"}}
    usual = {"block_1", "block_2", "head"} if base == "nerv" else {"layer_1", "layer_2", "layer_3"}
    assert layers >= shown.get(name, usual)
    assert all(list((folder / layer).glob("maps_epoch_0003.png")) for layer in layers)
    assert not [each for each in recwarn if "overruled" in str(each.message)]
    run = load_run("lightning_logs/version_0")
    assert run.dissected(0, "effect").psnr > 3
    assert run.epochs == (0, 1, 3), "recorded"
    assert set(run.canvas(3, 0, "effect")) >= layers


def test_a_dataset_s_objects_and_true_times_reach_the_analyses() -> None:
    write_cityscapes_vps(Path("cityscapes_vps"))
    run = fit("cityscapes_vps", "--trainer.max_epochs", "1")
    with np.load(next(run.rglob("object_contributions/head/objects_epoch_0001.npz"))) as arrays:
        assert arrays["shares"].shape[1:] == (5, 6)  # objects, without one that is too small; labelled frames
    assert list(run.rglob("grouping_variance/all_layers/*.png"))
    recorded = load_run(run)
    assert all(recorded.frame(index).instances for index in (4, 9, 14, 19, 24, 29))
    assert torch.load(run / "checkpoints/last.ckpt", weights_only=True)["xinc_num_frames"] == 30
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["init_args"]["video"] == "0005"


def test_a_dataset_s_frame_is_an_image() -> None:
    write_cityscapes_vps(Path("cityscapes_vps"))
    data = ["--data", "CityscapesVPS", "--data.frame", "4", "--data.video", "0005"]
    run = fit("ffn", *data, "--trainer.callbacks", "ObjectContributions", "--trainer.max_epochs", "1")
    assert list(run.rglob("object_contributions/all_layers/*.png"))


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["fit", "--data.help", "Collage"]])
def test_help_names_what_there_is(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 0
    printed = capsys.readouterr().out
    assert ("num_frames" if "Collage" in arguments else "nerv") in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "nope"], ["'nope'", "bundled are analyses, bunny, cityscapes_vps, ffn, finer, gauss"]),
        (["--config", "nerv", "--trainer.max_epoch", "3"], ["--trainer.max_epoch"]),
        (["--config", "nerv", "--data.size", "[100, 200]"], ["strides", "100x200", "96x192"]),
        (["--config", "nerv", "--data.num_frames", "0"], ["num_frames is 0"]),
        (["--config", "nerv", "--data", "Video", "--data.path", "missing"], ["'missing'", "neither a folder"]),
        (["--config", "nerv", "--data", "Video", "--data.path", "."], ["has no images"]),
        (["--config", "cityscapes_vps"], ["CityscapesVPS: there is no folder 'cityscapes_vps'", "set root"]),
        (["--config", "vipseg", "--data.root", "."], ["panoptic_gt_VIPSeg.json cannot be read"]),
        (["--config", "bunny", "--data.clip", "cats"], ["there is no clip 'cats'", "bigbuckbunny, bikes, carphone"]),
        (["--config", "ffn", "--data.image", "mona_lisa"], ["'mona_lisa'", "astronaut"]),
        (["--config", "nerv", "--model.lr", "0"], ["lr is 0"]),
        (["--config", "nerv", "--model", "nowhere.Model"], ["'nowhere.Model'", "No module named 'nowhere'"]),
        (["--config", "nerv", "--trainer.callbacks+", "Nonsense"], ["no class 'Nonsense'", "package.module.Nonsense"]),
        (["--config", "nerv", "--ckpt_path", "gone.ckpt"], ["ckpt_path 'gone.ckpt' does not exist"]),
        (
            ["--config", "nerv", "--trainer.callbacks", "ContributionCanvas", "--trainer.callbacks.layers", "[head_1]"],
            ["head_1", "block_1, block_2, block_3, head"],
        ),
        (
            ["--config", "nerv", "--trainer.callbacks", "ContributionCanvas", "--trainer.callbacks.at_epochs", "[-3]"],
            ["at_epochs has -3"],
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_before_training(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    message = error_of(capsys, "fit", *arguments)
    assert all(word in message for word in words), message


def test_a_configuration_without_an_end_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("endless.yaml").write_text("model: &a {init_args: *a}\n")
    assert "config 'endless.yaml' cannot be read: an alias in it" in error_of(capsys, "fit", "--config", "endless.yaml")


@pytest.mark.parametrize("logger", ["CSVLogger", "false"])
def test_without_tensorboard_there_is_a_warning_and_files_are_written(logger: str) -> None:
    options = ["--trainer.callbacks", "ContributionCanvas", "--trainer.callbacks.layers", "[layer_1]"]
    options += ["--trainer.callbacks.at_epochs", "[]", "--trainer.callbacks.num_neurons", "1"]
    more = ["--trainer.logger.save_dir", "."] if logger == "CSVLogger" else []
    with pytest.warns(UserWarning, match="no TensorBoardLogger, nor another that takes pictures"):
        main(["fit", *TINY["ffn"], *SHORT, *QUIET, *options, "--trainer.logger", logger, *more])
    folder = Path("lightning_logs/version_0" if more else ".")
    assert (folder / "xinc/contribution_canvas/layer_1/maps_epoch_0003.png").is_file()


def test_a_value_that_the_data_overrule_is_reported() -> None:
    with pytest.warns(UserWarning, match=r"model.init_args.network.init_args.size = .*64.* is overruled"):
        fit("nerv", "--model.network.size", "[64, 64]", *UNWATCHED)


def test_a_nan_loss_stops_the_run_with_a_clear_message_and_a_good_checkpoint() -> None:
    with pytest.raises(SystemExit, match=r"the loss is (nan|inf) in epoch \d+.*lower the learning rate"):
        fit("ffn", "--model.lr", "1e30", "--trainer.max_epochs", "20")
    for checkpoint in Path().rglob("*.ckpt"):
        state = torch.load(checkpoint, weights_only=True)["state_dict"]
        assert all(torch.isfinite(value).all() for value in state.values())


def test_a_process_leaves_its_group() -> None:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        main(["fit", *TINY["ffn"], *QUIET, "--trainer.fast_dev_run", "true", "--trainer.accelerator", "cpu"])
        assert not torch.distributed.is_initialized()
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_a_checkpoint_from_which_the_run_goes_on_bit_identically(kind: signal.Signals) -> None:
    arguments = [*TINY["nerv"], *SHORT, *QUIET, *UNWATCHED, "--trainer.max_epochs", "200"]
    arguments += ["--trainer.check_val_every_n_epoch", "100"]
    process = subprocess.Popen(
        [sys.executable, "-m", "xinc_pl", "fit", *arguments, "--trainer.callbacks+", "tiny.Unhurried"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(Path().rglob("last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(kind)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == {signal.SIGINT: 1, signal.SIGTERM: 143}[kind], errors
    broken = Path("lightning_logs/version_0/checkpoints/last.ckpt")
    epoch = torch.load(broken, weights_only=True)["epoch"]
    assert epoch < 199, "it was interrupted"
    main(["fit", *arguments, "--ckpt_path", str(broken)])
    main(["fit", *arguments])
    resumed, whole = (
        torch.load(f"lightning_logs/version_{number}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for number in (1, 2)
    )
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)
