"""Canvases as arrays, against what the canvas itself gives."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny import tiny_clip, tiny_video, trainer

from xinc_pl import CanvasRecorder, load_run
from xinc_pl.cli import main
from xinc_pl.tools.export import ARRAYS


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    training = trainer(tmp_path_factory.mktemp("run"), [CanvasRecorder(frames=[0, 2], at_epochs=(0, 1))], max_epochs=1)
    training.fit(tiny_video(), tiny_clip())
    return Path(str(training.log_dir))


WORDS = ["--epoch", "0", "--frame", "2", "--neurons", "5", "0", "--partitions", "rgb", "--convention", "effect"]


def test_arrays_are_those_of_the_canvas(run: Path, tmp_path: Path) -> None:
    main(["export", str(run), "--out", str(tmp_path / "a.npz"), *WORDS])
    stored = np.load(tmp_path / "a.npz", allow_pickle=False)
    recorded = load_run(run)
    canvas = recorded.canvas(0, 2, "effect")
    target = recorded.frame(2).target
    assert target is not None
    assert np.array_equal(stored["target"], target.numpy())
    assert np.array_equal(stored["reconstruction"], canvas.image.clamp(0, 1).numpy())
    about = json.loads(str(stored["about"]))
    assert (about["epoch"], about["frame"], about["convention"]) == ("0", "2", "effect")
    for name, layer in canvas.items():
        magnitudes = layer.magnitudes(torch.from_numpy(stored[f"{name}/neurons"])).double().numpy()
        assert np.allclose(stored[f"{name}/sum"], magnitudes.sum((1, 2)), rtol=1e-6)
        assert np.allclose(stored[f"{name}/total"], magnitudes.sum(0), rtol=1e-6)
        assert stored[f"{name}/map_neurons"].tolist() == [5, 0]
        assert np.array_equal(stored[f"{name}/maps"], layer.maps([5, 0]).numpy())
        labels = stored["rgb/labels"]
        for cluster, area in enumerate(stored[f"{name}/rgb/areas"]):
            assert area == (labels == cluster).sum()
            expected = magnitudes[:, labels == cluster].sum(1)
            assert np.allclose(stored[f"{name}/rgb/sum"][:, cluster], expected, rtol=1e-6)


def test_every_array_is_documented_with_its_type_and_the_formats_hold_the_same(run: Path, tmp_path: Path) -> None:
    for name in ("a.npz", "a.safetensors"):
        main(["export", str(run), "--out", str(tmp_path / name), *WORDS])
    known = {}
    for names, meaning in ARRAYS.items():
        first, *endings = names.split(", ")
        known |= dict.fromkeys([first, *(first.rpartition("_")[0] + each for each in endings)], meaning)
    layers = list(load_run(run).canvas(convention="effect"))
    stored = np.load(tmp_path / "a.npz", allow_pickle=False)
    with safe_open(tmp_path / "a.safetensors", "pt") as tensors:
        assert set(tensors.keys()) == set(stored) - {"about"}
        assert tensors.metadata()["convention"] == "effect"
        for name in tensors.keys():  # noqa: SIM118 - it is no mapping
            general = "/".join("LAYER" if part in layers else part for part in name.split("/"))
            general = general.replace("rgb/", "PARTITION/")
            assert str(stored[name].dtype) in known[general], name
            assert torch.equal(tensors.get_tensor(name), torch.from_numpy(stored[name]))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--epoch", "5"], "has no recording after epoch 5; it has 0, 1"),
        (["--frame", "1"], "has no recording of frame 1; it has 0, 2"),
        (["--layers", "heda"], "there is no layer 'heda'"),
        (["--neurons", "100000"], "no layer has a neuron 100000"),
        (["--neurons", "-1"], "no layer has a neuron -1"),
        (["--out", "a.txt"], "neither .npz nor .safetensors"),
        (["--partitions", "colour"], "invalid choice: 'colour'"),
    ],
)
def test_what_does_not_do_is_one_line_and_no_file(
    run: Path,
    tmp_path: Path,
    words: list[str],
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["export", str(run), "--out", "a.npz", *words])
    told = capsys.readouterr().err
    assert (stop.value.code, told.count("\n")) == (2, 1)
    assert line in told
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.npz"
    file.write_text("mine")
    with pytest.raises(SystemExit):
        main(["export", str(run), "--out", str(file)])
    assert "is there already" in capsys.readouterr().err
    assert file.read_text() == "mine"
