"""Weights of the published code, through the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from xinc_pl import load_run
from xinc_pl.cli import main

Golden = Callable[[str], dict[str, Tensor]]
QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


class Settings:
    """As the hyper-parameters of theirs: objects of a class that is not there when they are read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("open('was_here', 'w')",)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["xinc"])


@pytest.fixture
def ffn_file(golden: Golden) -> Path:
    """A Lightning checkpoint of the trained image network, with settings that cannot be read."""
    numbers = golden("ffn_cityscapes_0005")
    state = {"model.positional_encoding.B": numbers["B"]}
    for index in (1, 2, 3):
        for kind in ("weight", "bias"):
            state[f"model.net.{index - 1}.linear.{kind}"] = numbers[f"{kind}_{index}"]
    torch.save({"state_dict": state, "epoch": 999, "global_step": 1000, "hyper_parameters": Settings()}, "theirs.ckpt")
    return Path("theirs.ckpt")


@pytest.fixture
def nerv_file(golden: Golden) -> Path:
    """A state dict of a small video network, as several processes leave it."""
    numbers = golden("nerv_small")
    state = {f"module.blocks.0.{key[6:]}": value for key, value in numbers.items() if key.startswith("state.")}
    torch.save({"state_dict": state, "epoch": 49, "args": Settings()}, "theirs.pth")
    return Path("theirs.pth")


def test_an_image_network_gives_the_published_numbers(ffn_file: Path, golden: Golden) -> None:
    main(["import", str(ffn_file), "--out", "run"])
    assert not Path("was_here").exists()
    numbers, run = golden("ffn_cityscapes_0005"), load_run("run")
    assert (run.epoch, run.step) == (1000, 1000)
    dissected = run.dissected(0, "released")
    picture = np.asarray(Image.open("run/target/0000.png")).astype(float) / 255
    expected = numbers["output"].clamp(0, 1).permute(1, 2, 0).numpy()
    assert np.abs(picture - expected).max() <= 0.5 / 255 + 1e-4
    for layer in ("layer_1", "layer_2", "layer_3"):
        canvas = dissected.canvas[layer]
        statistics = canvas.statistics({"labels": numbers["labels"]})
        assert statistics.thresholds[0.1] == pytest.approx(float(numbers[f"{layer}.threshold_10"]), rel=1e-3)
        for ours, theirs in (
            (statistics.total, numbers[f"{layer}.total"]),
            (statistics.sum, numbers[f"{layer}.sum_per_neuron"]),
            (statistics.partitions["labels"].mean, numbers[f"{layer}.mean_per_cluster"]),
        ):
            atol = 2e-4 * float(theirs.nanmean().abs())
            torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-3, atol=atol)
        sample = canvas.magnitudes(numbers[f"{layer}.sample_index"])[:, ::8, ::8]
        expected_maps = numbers[f"{layer}.sample"].abs()
        torch.testing.assert_close(sample, expected_maps, rtol=1e-3, atol=1e-3 * float(expected_maps.mean()))


def test_a_video_network_gives_the_published_frame(nerv_file: Path, golden: Golden) -> None:
    main(["import", str(nerv_file), "--out", "run", "--num_frames", "4"])
    assert not Path("was_here").exists()
    numbers, run = golden("nerv_small"), load_run("run")
    assert run.epoch == 50
    frame = run.network(numbers["t"].reshape(1))[0]
    torch.testing.assert_close(frame, numbers["output"], rtol=1e-4, atol=1e-5)
    assert [file.name for file in sorted(Path("run/target").iterdir())] == [f"000{index}.png" for index in range(4)]


def test_it_is_validated_predicted_and_compared(nerv_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["import", str(nerv_file), "--num_frames", "4"])
    run = Path("lightning_logs/imported_0")
    printed = capsys.readouterr().out
    assert f"xinc validate --config {run}/config.yaml --ckpt_path {run}/checkpoints/last.ckpt" in printed
    assert "its target is what the network itself makes" in printed
    words = ["--config", f"{run}/config.yaml", "--ckpt_path", f"{run}/checkpoints/last.ckpt", *QUIET]
    main(["validate", *words])
    maps = list(Path("lightning_logs/version_0/xinc/contribution_canvas").rglob("maps_epoch_0050.png"))
    assert {each.parent.name for each in maps} == {"block_1", "block_2", "block_3", "head"}
    main(["predict", *words])
    assert len(list((run / "reconstruction").glob("compared_*.png"))) == 4
    main(["import", str(nerv_file), "--num_frames", "4"])
    second = Path("lightning_logs/imported_1")
    main(["compare", str(run), str(second), "--layers", "head"])
    assert list(Path("lightning_logs/compare_0").glob("matching*"))


def test_data_of_ones_own_are_the_target(ffn_file: Path) -> None:
    Image.new("RGB", (64, 32), (255, 0, 0)).save("red.png")
    main(["import", str(ffn_file), "--out", "run", "--data", "red.png", "--size", "16", "32"])
    target = load_run("run").frame(0).target
    assert target is not None
    assert target.shape == (3, 16, 32)
    assert target[0].min() > 0.99
    assert not Path("run/target").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone.ckpt"], "file 'gone.ckpt' does not exist"),
        (["text.pth"], "text.pth: it is no archive of torch's"),
        (["other.pth"], "these are no weights of the published code"),
        (["nothing.pth"], "it holds no weights"),
        (["nan.pth"], "weights that are not finite, such as positional_encoding.B"),
        (["theirs.pth", "--num_frames", "0"], "--num_frames is 0"),
        (["theirs.pth", "--grid", "3", "1"], "not a NeRV of the published code"),
        (["theirs.pth", "--data", "no/where"], "--data 'no/where' does not exist"),
        (["theirs.pth", "--out", "full"], "'full' is there already"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    words: list[str], message: str, nerv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nerv_file.is_file()
    Path("text.pth").write_text("hello")
    Path("full").mkdir()
    Path("full/file").touch()
    torch.save({"conv.weight": torch.zeros(2)}, "other.pth")
    torch.save([1, 2], "nothing.pth")
    torch.save({"positional_encoding.B": torch.tensor([torch.nan])}, "nan.pth")
    before = set(Path().rglob("*"))
    with pytest.raises(SystemExit) as stopped:
        main(["import", *words])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert set(Path().rglob("*")) == before
