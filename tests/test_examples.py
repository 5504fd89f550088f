"""The scripts in examples/ do what they say, on tiny runs."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from skimage.io import imread
from tiny import tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer

from xinc_pl import (
    CanvasRecorder,
    ContributionVsIntensity,
    GroupingVariance,
    MotionContributions,
    RepresentationSpread,
    load_run,
    plots,
)

FILE = Path(__file__).parent.parent / "examples/figures.py"
LAYERS = ("block_1", "block_2", "head")
OF_ALL_LAYERS = {"fig_04_16_grouping", "fig_05_intensity", "fig_06_15_18_spread", "fig_07_17_neurons_per_pixel"}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("figures", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A clip, the same after two epochs more, and a photograph."""
    folder = tmp_path_factory.mktemp("examples")
    kept = {"frames": [0, 1], "at_epochs": (), "on_error": "raise"}
    analyses = [
        GroupingVariance(["instances", "rgb", "gabor", "grid"], at_epochs=()),
        *(each(at_epochs=()) for each in (ContributionVsIntensity, RepresentationSpread)),
        MotionContributions(frames=[1], at_epochs=()),
    ]
    for module, data, callbacks, epochs in (
        (tiny_video(), tiny_clip(), [CanvasRecorder(**kept), *analyses], 1),
        (tiny_video(), tiny_clip(), [CanvasRecorder(**kept)], 3),
        (tiny_image(), tiny_photograph(), [CanvasRecorder(at_epochs=())], 1),
    ):
        trainer(folder, callbacks, epochs).fit(module, data)
    return [folder / f"logs/version_{number}" for number in range(3)]


def names(folder: Path) -> set[str]:
    return {file.stem for file in folder.iterdir()}


def test_all_figures_of_two_trainings(script: ModuleType, runs: list[Path], tmp_path: Path) -> None:
    script.main([*map(str, runs[:2]), "--out", str(tmp_path / "made/here")])
    of_layers = {f"fig_{number}_{layer}" for number in ("03_11_maps", "10_12_13_points") for layer in LAYERS}
    whole_runs = {"fig_08_19_objects", "fig_09_motion", "fig_14_several_seeds"}
    assert names(tmp_path / "made/here") == OF_ALL_LAYERS | of_layers | whole_runs
    assert all(imread(file).std() > 5 for file in (tmp_path / "made/here").iterdir())


@pytest.mark.parametrize(
    ("draw", "picture"),
    [
        ("grouping", "grouping_variance/all_layers/variances"),
        ("intensity", "contribution_vs_intensity/all_layers/comparison"),
        ("spread", "representation_spread/all_layers/spread"),
        ("neurons_per_pixel", "representation_spread/all_layers/neurons_per_pixel"),
        ("motion", "motion_contributions/all_layers/motion/frame_0001"),
    ],
)
def test_they_are_what_the_callbacks_have_drawn(script: ModuleType, runs: list[Path], draw: str, picture: str) -> None:
    (drawn,) = (runs[0] / "xinc").glob(f"{picture}_epoch_0001.png")
    figure = getattr(script, draw)(script.Shown(load_run(runs[0])))
    assert np.array_equal(plots.pixels_of(figure), imread(drawn))


def test_an_image_has_no_motion_and_no_objects(
    script: ModuleType, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main([str(runs[2]), "--out", str(tmp_path), "--convention", "released", "--format", "svg"])
    assert names(tmp_path) > OF_ALL_LAYERS
    told = [line for line in capsys.readouterr().out.splitlines() if "left out" in line]
    assert told[0] == "fig_08_19_objects is left out: the frames have no instance masks, or only tiny ones"
    assert told[1].startswith("fig_09_motion is left out: no two neighbouring frames")
    assert not {"fig_08_19_objects", "fig_09_motion"} & names(tmp_path)


def test_a_checkpoint_shows_all_frames(script: ModuleType, finished_runs: Path) -> None:
    shown = script.Shown(load_run(finished_runs / "lightning_logs/version_0", "last.ckpt"))
    assert shown.frames == (0, 1, 2, 3)
    assert script.objects(shown) is not None
    assert script.motion(shown) is not None


def test_what_does_not_do_is_one_line(
    script: ModuleType, runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, told in (
        (["nothing"], "there is no run"),
        ([str(runs[0]), "--frame", "3"], "has no recording of frame 3; it has 0, 1"),
        ([str(runs[0]), str(runs[2])], "the runs have other layers or sizes"),
    ):
        with pytest.raises(SystemExit):
            script.main([*words, "--out", str(tmp_path / "made")])
        assert told in capsys.readouterr().err.splitlines()[-1]
        assert not (tmp_path / "made").exists()


def test_it_is_explained(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        script.main(["--help"])
    assert stopped.value.code == 0
    assert "--checkpoint" in capsys.readouterr().out
