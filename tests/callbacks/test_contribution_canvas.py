from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer, weights_of

from xinc_pl import CanvasRecorder, ContributionCanvas, XINCCallback, dissect, load_run
from xinc_pl.canvas import CONVENTIONS, Convention


def run_folder(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "version_0"


@pytest.mark.parametrize(
    ("module", "data", "layers"),
    [
        (tiny_video, tiny_clip, ["block_1", "block_2", "head"]),
        (tiny_image, tiny_photograph, ["layer_1", "layer_2", "layer_3"]),
    ],
)
def test_every_layer_has_its_picture_and_its_numbers_at_every_moment(
    tmp_path: Path, module: type[LightningModule], data: type[LightningDataModule], layers: list[str]
) -> None:
    callback = ContributionCanvas(num_neurons=4, at_epochs=(0, 1), on_error="raise")
    trainer(tmp_path, [callback], max_epochs=2).fit(module(), data())
    events = EventAccumulator(str(run_folder(tmp_path)), size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    assert events.Tags()["images"] == [f"xinc/contribution_canvas/{layer}/maps" for layer in layers]
    for layer in layers:
        assert [event.step for event in events.Images(f"xinc/contribution_canvas/{layer}/maps")] == [0, 2, 4]
        for quantity in ("mean_magnitude", "zero_maps", "completeness_error"):
            assert len(events.Scalars(f"xinc/contribution_canvas/{layer}/{quantity}")) == 3
        for epoch in (0, 1, 2):
            file = run_folder(tmp_path) / f"xinc/contribution_canvas/{layer}/maps_epoch_{epoch:04d}.png"
            assert np.asarray(Image.open(file)).std() > 1


def test_the_files_hold_the_networks_maps(tmp_path: Path) -> None:
    module, data = tiny_video(), tiny_clip()
    trainer(tmp_path, [ContributionCanvas(num_neurons=5, at_epochs=())], max_epochs=2).fit(module, data)
    canvas = dissect(module.network, data.frames[0].inputs)
    for layer in canvas:
        stored = np.load(run_folder(tmp_path) / f"xinc/contribution_canvas/{layer}/maps_epoch_0002.npz")
        magnitudes = canvas[layer].magnitudes().double()
        assert stored["unit"] == pytest.approx(float(magnitudes.mean()), rel=1e-5)
        expected = canvas[layer].maps(stored["neurons"]).numpy()
        assert np.allclose(stored["maps"] * stored["unit"], expected, rtol=1e-4, atol=1e-7)
        assert np.allclose(stored["total"], (magnitudes.sum(0) / magnitudes.sum(0).mean()).numpy(), rtol=1e-4)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_convention_can_be_watched(tmp_path: Path, convention: Convention) -> None:
    callback = ContributionCanvas(at_epochs=(), convention=convention, num_neurons=2, on_error="raise")
    module, data = tiny_image(), tiny_photograph()
    trainer(tmp_path, [callback], max_epochs=1).fit(module, data)
    canvas = dissect(module.network, data.frames[0].inputs, size=data.size, convention=convention)
    stored = np.load(run_folder(tmp_path) / "xinc/contribution_canvas/layer_2/maps_epoch_0001.npz")
    expected = canvas["layer_2"].maps(stored["neurons"]).numpy()
    assert np.allclose(stored["maps"] * stored["unit"], expected, rtol=1e-3, atol=1e-7)


def test_the_same_neurons_are_shown_throughout(tmp_path: Path) -> None:
    trainer(tmp_path, [ContributionCanvas(num_neurons=3, at_epochs=(0, 1))]).fit(tiny_video(), tiny_clip())
    files = sorted((run_folder(tmp_path) / "xinc/contribution_canvas/block_1").glob("*.npz"))
    assert len(files) == 3
    assert len({tuple(np.load(file)["neurons"]) for file in files}) == 1


def test_several_frames_have_pictures_of_their_own(tmp_path: Path) -> None:
    callback = ContributionCanvas(at_epochs=(), frames=[0, 3], layers=["head"], on_error="raise")
    trainer(tmp_path, [callback], max_epochs=1).fit(tiny_video(), tiny_clip())
    folder = run_folder(tmp_path) / "xinc/contribution_canvas/head/maps"
    assert {file.name for file in folder.glob("*.png")} == {"frame_0000_epoch_0001.png", "frame_0003_epoch_0001.png"}


def test_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    with_canvas, without = tiny_image(), tiny_image()
    trainer(tmp_path, [ContributionCanvas(at_epochs=(0, 1, 2))], max_epochs=3).fit(with_canvas, tiny_photograph())
    trainer(tmp_path, max_epochs=3).fit(without, tiny_photograph())
    assert all(torch.equal(a, b) for a, b in zip(weights_of(with_canvas), weights_of(without), strict=True))


@pytest.mark.parametrize("num_neurons", [0, 101])
def test_a_senseless_number_of_neurons_is_refused(num_neurons: int) -> None:
    with pytest.raises(ValueError, match="num_neurons"):
        ContributionCanvas(num_neurons=num_neurons)


def test_the_same_neurons_under_two_conventions_next_to_each_other(tmp_path: Path) -> None:
    shown = ContributionCanvas(num_neurons=4, at_epochs=(), beside="effect", on_error="raise")
    run = trainer(tmp_path, [shown], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    folder = Path(run.log_dir) / "xinc/contribution_canvas"
    pictures = {path.parent.name: np.asarray(Image.open(path)) for path in folder.rglob("*.png")}
    assert set(pictures) == {"block_1", "block_2", "head"}
    for picture in pictures.values():
        assert picture.shape[1] == 2 * 1280
        assert not np.array_equal(picture[:, :1280], picture[:, 1280:])


@pytest.mark.parametrize("beside", ["paper", "mine"])
def test_there_must_be_something_to_compare_with(beside: str) -> None:
    with pytest.raises(ValueError, match=r"beside is .*choose from released, effect"):
        ContributionCanvas(beside=beside)


def maps_of(folder: Path, epoch: int, layer: str = "layer_2") -> dict[str, np.ndarray]:
    with np.load(folder / f"xinc/contribution_canvas/{layer}/maps_epoch_{epoch:04d}.npz") as stored:
        return dict(stored)


def run_with(folder: Path, *callbacks: XINCCallback) -> Path:
    run = trainer(folder, callbacks, max_epochs=2)
    run.fit(tiny_image(), tiny_photograph())
    return Path(str(run.log_dir))


def test_the_top_neurons_and_those_that_changed_most(tmp_path: Path) -> None:
    recorder = CanvasRecorder(at_epochs=(0, 1))
    top = run_with(tmp_path / "top", ContributionCanvas(num_neurons=3, order="top", at_epochs=(0, 1)), recorder)
    recorder = CanvasRecorder(at_epochs=(0, 1))
    changed = run_with(
        tmp_path / "changed", ContributionCanvas(num_neurons=3, order="changed", at_epochs=(0, 1)), recorder
    )
    run = load_run(top)
    sums = [run.canvas(epoch)["layer_2"].magnitudes().double().sum((1, 2)).numpy() for epoch in (0, 1)]
    for epoch in (0, 1):
        assert maps_of(top, epoch)["neurons"].tolist() == np.argsort(-sums[epoch])[:3].tolist()
    assert maps_of(changed, 0)["neurons"].tolist() == np.argsort(-sums[0])[:3].tolist()
    moved = np.abs(sums[1] / sums[1].sum() - sums[0] / sums[0].sum())
    assert maps_of(changed, 1)["neurons"].tolist() == np.argsort(-moved)[:3].tolist()


def test_named_neurons_and_no_maps_beside_a_recording(tmp_path: Path) -> None:
    canvas = ContributionCanvas(neurons=[7, 2], at_epochs=(0,))
    with_recorder = run_with(tmp_path / "with", canvas, CanvasRecorder(at_epochs=(2,)))
    first, last = maps_of(with_recorder, 0), maps_of(with_recorder, 2)
    assert first["neurons"].tolist() == last["neurons"].tolist() == [7, 2]
    assert "maps" in first  # this moment is not recorded
    assert "maps" not in last


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"neurons": [1, 1]}, "give each index once"),
        ({"neurons": []}, "give a list of 1 to 100 indices"),
        ({"neurons": [-1]}, "neurons is -1"),
        ({"neurons": [1], "order": "top"}, "leave one of them out"),
        ({"order": "best"}, "choose sample, top or changed"),
    ],
)
def test_neurons_and_order_that_do_not_do(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        ContributionCanvas(**options)
