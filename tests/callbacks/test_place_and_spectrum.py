from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer

from xinc_pl import MapSpectrum, PlaceOrContent

LAYERS = ("block_1", "block_2", "head")


def events_of(log_dir: str | None) -> EventAccumulator:
    return EventAccumulator(str(log_dir), size_guidance={"images": 0, "scalars": 0}).Reload()


def test_place_or_content_of_a_pair_over_the_epochs(tmp_path: Path) -> None:
    callback = PlaceOrContent(
        num_back=2, min_motion=1, num_neurons=9, frames=[2, 3], at_epochs=(0, 1), on_error="raise"
    )
    run = trainer(tmp_path, [callback], max_epochs=2)
    run.fit(tiny_video(), tiny_clip())
    assert [frame.index for frame in callback.frames] == [0, 1, 2, 3]
    events = events_of(run.log_dir)
    tag = "xinc/place_or_content/{}/{}/frame_0003"
    assert [picture.step for picture in events.Images(tag.format("all_layers", "neurons"))] == [0, 2, 4]
    stored = np.load(Path(run.log_dir) / "xinc/place_or_content/head/neurons/frame_0003_epoch_0002.npz")
    assert stored["place"].shape == stored["content"].shape == (9,)
    for what in ("place", "content"):
        quartiles = [
            events.Scalars(tag.format("head", f"{what}/{name}"))[-1].value
            for name in ("lower_quartile", "median", "upper_quartile")
        ]
        np.testing.assert_allclose(quartiles, np.nanquantile(stored[what], (0.25, 0.5, 0.75)), rtol=1e-5)
    for layer in LAYERS:
        assert 0 < events.Scalars(tag.format(layer, "content/p"))[-1].value <= 1
        assert 0 <= events.Scalars(tag.format(layer, "nearer_to_content"))[-1].value <= 1
        assert len(events.Scalars(tag.format(layer, "content/median_other_pair"))) == 3


def test_frames_of_a_pair_may_be_given_in_code(tmp_path: Path) -> None:
    frames = list(tiny_clip().frames[1:4])
    callback = PlaceOrContent(num_back=2, min_motion=1, frames=frames, at_epochs=(), on_error="raise")
    run = trainer(tmp_path, [callback], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    assert [path.name for path in tmp_path.rglob("frame_*.png")] == ["frame_0003_epoch_0001.png"]


@pytest.mark.parametrize("case", ["no flow", "no motion", "image", "short clip"])
def test_without_flow_or_motion_one_line_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture, case: str) -> None:
    frames = [replace(frame, flow=None) if case == "no flow" else frame for frame in tiny_clip().frames]
    options = {
        "no flow": {"frames": frames, "num_back": 2, "min_motion": 1},
        "no motion": {"frames": frames, "num_back": 2, "min_motion": 1000},
        "image": {},
        "short clip": {},
    }[case]
    callback = PlaceOrContent(at_epochs=(0, 1), on_error="raise", **options)  # type: ignore[arg-type] # of either kind
    module, data = (tiny_image(), tiny_photograph()) if case == "image" else (tiny_video(), tiny_clip())
    with caplog.at_level("INFO"):
        trainer(tmp_path, [callback], max_epochs=2).fit(module, data)
    assert sum("PlaceOrContent is left out: there are no two frames" in each.message for each in caplog.records) == 1
    assert not list(tmp_path.rglob("*.png"))


def test_flow_is_estimated_where_that_is_asked_for(tmp_path: Path) -> None:
    frames = [replace(frame, flow=None) for frame in tiny_clip().frames[:3]]
    callback = PlaceOrContent(
        num_back=2, min_motion=0.5, estimate_flow=True, frames=frames, at_epochs=(), on_error="raise"
    )
    run = trainer(tmp_path, [callback], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    assert len(list(tmp_path.rglob("neurons/frame_0002_epoch_0001.png"))) == 1


def test_one_pair_is_shown_and_the_motion_of_another_is_its_control(tmp_path: Path) -> None:
    module, data = tiny_video(num_frames=7), tiny_clip(num_frames=7)
    run = trainer(tmp_path, [PlaceOrContent(num_back=2, min_motion=0.5, at_epochs=(), on_error="raise")], max_epochs=1)
    run.fit(module, data)
    assert [path.name for path in tmp_path.rglob("neurons/frame_*.png")] == ["frame_0004_epoch_0001.png"]
    tags = events_of(run.log_dir).Tags()["scalars"]
    assert "xinc/place_or_content/head/content/median_other_pair/frame_0004" in tags


def test_there_have_to_be_so_many_frames_before(tmp_path: Path) -> None:
    with pytest.raises(MisconfigurationException, match="PlaceOrContent: frame 3 has no frame 8 before it"):
        trainer(tmp_path, [PlaceOrContent(frames=[3])]).fit(tiny_video(), tiny_clip())


def test_the_spectrum_of_a_video_and_its_frame(tmp_path: Path) -> None:
    run = trainer(tmp_path, [MapSpectrum(num_neurons=9, at_epochs=(0,), on_error="raise")], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    events = events_of(run.log_dir)
    assert len(events.Images("xinc/map_spectrum/all_layers/spectra")) == 2
    for name in (*LAYERS, "target", "residual"):
        centroids = events.Scalars(f"xinc/map_spectrum/{name}/centroid")
        assert [each.step for each in centroids] == [0, 2]
        assert all(0 < each.value < 0.71 for each in centroids)
    stored = np.load(Path(run.log_dir) / "xinc/map_spectrum/head/spectra_epoch_0001.npz")
    assert stored["power"].shape == (9, len(stored["frequencies"]))
    median = events.Scalars("xinc/map_spectrum/head/centroid")[-1].value
    assert median == pytest.approx(np.nanmedian(stored["centroid"]), rel=1e-5)


def test_without_target_the_spectrum_of_the_layers_alone_is_drawn(tmp_path: Path) -> None:
    frames = [replace(tiny_clip().frames[0], target=None)]
    run = trainer(tmp_path, [MapSpectrum(frames=frames, at_epochs=(), on_error="raise")], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    tags = events_of(run.log_dir).Tags()["scalars"]
    assert {tag.split("/")[2] for tag in tags if "map_spectrum" in tag} == set(LAYERS)


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        (PlaceOrContent, "num_back"),
        (PlaceOrContent, "min_motion"),
        (PlaceOrContent, "num_neurons"),
        (MapSpectrum, "num_neurons"),
    ],
)
def test_wrong_arguments_are_named(kind: type[PlaceOrContent], argument: str) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: {argument} is 0"):
        kind(**{argument: 0})  # type: ignore[arg-type] # any of them
