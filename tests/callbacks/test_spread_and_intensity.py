from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer

from xinc_pl import ContributionVsIntensity, RepresentationSpread


def scalars_of(log_dir: str, name: str) -> dict[str, list[int]]:
    events = EventAccumulator(log_dir, size_guidance={"scalars": 0}).Reload()
    return {
        tag.removeprefix(f"xinc/{name}/"): [point.step for point in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if tag.startswith(f"xinc/{name}/")
    }


def test_spread_of_all_layers(tmp_path: Path) -> None:
    run = trainer(tmp_path, [RepresentationSpread(mass=(0.1,), at_epochs=(0,), on_error="raise")], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    folder = Path(run.log_dir) / "xinc/representation_spread"
    sizes = {Image.open(path).size for path in (folder / "all_layers").glob("spread_*.png")}
    assert sizes == {(1280, 560)}, "the same at every moment"
    assert len(list((folder / "all_layers").glob("neurons_per_pixel_*.png"))) == 2
    quantities = ("pixels_per_neuron", "neurons_per_pixel_90", "zero_maps", "zero_inputs", "gini")
    expected = {f"{layer}/{each}": [0, 2] for layer in ("block_1", "block_2", "head") for each in quantities}
    assert scalars_of(run.log_dir, "representation_spread") == expected


def test_several_frames_have_their_own_tags(tmp_path: Path) -> None:
    callbacks = [
        each(at_epochs=(), frames=[0, 2], on_error="raise") for each in (RepresentationSpread, ContributionVsIntensity)
    ]
    run = trainer(tmp_path, callbacks, max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    assert "head/gini/frame_0002" in scalars_of(run.log_dir, "representation_spread")
    assert "head/edges/frame_0000" in scalars_of(run.log_dir, "contribution_vs_intensity")


def test_intensity_of_all_layers(tmp_path: Path) -> None:
    run = trainer(tmp_path, [ContributionVsIntensity(at_epochs=(), on_error="raise")], max_epochs=1)
    run.fit(tiny_image(), tiny_photograph())
    tags = scalars_of(run.log_dir, "contribution_vs_intensity")
    assert {tag.split("/")[1] for tag in tags} == {
        f"{name}{end}" for name in ("intensity", "edges") for end in ("", "_z", "_p")
    }
    assert Image.open(next(tmp_path.rglob("comparison_epoch_0001.png"))).size[0] == 1280


def test_a_constant_frame_gives_pictures_without_numbers_and_a_frame_without_target_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = tiny_clip()
    frames = [
        replace(clip.frames[0], target=torch.full((3, *clip.size), 0.5)),
        replace(clip.frames[1], target=None),
    ]
    callback = ContributionVsIntensity(at_epochs=(0,), frames=frames, on_error="raise")
    run = trainer(tmp_path, [callback], max_epochs=1)
    with caplog.at_level("INFO"):
        run.fit(tiny_video(), clip)
    assert sum("leaves out frame 1: it has no target" in record.message for record in caplog.records) == 1
    assert not scalars_of(run.log_dir, "contribution_vs_intensity")
    assert len(list(tmp_path.rglob("frame_0000_epoch_*.png"))) == 2
    assert not list(tmp_path.rglob("frame_0001_epoch_*.png"))


@pytest.mark.parametrize("mass", [[], [0.0], [1.0], [0.1, 2]])
def test_a_mass_that_is_no_share_is_refused(mass: list[float]) -> None:
    with pytest.raises(ValueError, match=r"RepresentationSpread: mass is .*between 0 and 1"):
        RepresentationSpread(mass=mass)


def test_a_sample_of_no_neurons_is_refused() -> None:
    with pytest.raises(ValueError, match="RepresentationSpread: max_neurons is 0"):
        RepresentationSpread(max_neurons=0)
