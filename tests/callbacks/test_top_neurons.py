from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer

from xinc_pl import TopNeurons


def test_objects_of_a_clip_over_the_epochs(tmp_path: Path) -> None:
    run = trainer(tmp_path, [TopNeurons(k=2, at_epochs=(0,), on_error="raise")], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    events = EventAccumulator(str(run.log_dir), size_guidance={"images": 0, "scalars": 0}).Reload()
    for layer in ("block_1", "block_2", "head"):
        assert len(events.Images(f"xinc/top_neurons/{layer}/maps")) == 2
        found = {name: events.Scalars(f"xinc/top_neurons/{layer}/{name}")[-1].value for name in ("ratio", "p")}
        assert found["ratio"] > 1
        assert 1 / 25 <= found["p"] + 1e-6 <= 1 + 1e-5
    stored = np.load(Path(run.log_dir) / "xinc/top_neurons/head/top_epoch_0001.npz")
    names = [f"{each.category} {each.id}" for each in tiny_clip().frames[0].instances]
    assert stored["clusters"].tolist() == names or stored["clusters"].tolist() == [*names, "other"]
    assert stored["by_ratio"].shape == stored["shares"].shape == (len(stored["clusters"]), 2)
    picture = np.asarray(Image.open(Path(run.log_dir) / "xinc/top_neurons/head/maps_epoch_0001.png"))
    assert picture.shape[1:] == (1280, 3)


def test_without_masks_colours_are_the_clusters(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        run = trainer(tmp_path, [TopNeurons(num_clusters=4, at_epochs=(), on_error="raise")], max_epochs=1)
        run.fit(tiny_image(), tiny_photograph())
    stored = np.load(next(Path(run.log_dir).rglob("top_epoch_0001.npz")))
    assert stored["clusters"].tolist() == ["rgb 0", "rgb 1", "rgb 2", "rgb 3"]
    assert not [each for each in caplog.messages if "instances" in each]


def test_a_grid_has_no_null(tmp_path: Path) -> None:
    run = trainer(tmp_path, [TopNeurons(partition="grid", at_epochs=(), on_error="raise")], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    events = EventAccumulator(str(run.log_dir)).Reload()
    assert not [tag for tag in events.Tags()["scalars"] if tag.startswith("xinc/top_neurons") and tag.endswith("/p")]
    assert list(Path(run.log_dir).rglob("maps_epoch_0001.png"))


def test_where_there_is_no_partition_one_line_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = [replace(tiny_clip().frames[0], target=None, instances=())]
    with caplog.at_level("INFO"):
        run = trainer(tmp_path, [TopNeurons(frames=frames, at_epochs=(0,), on_error="raise")], max_epochs=1)
        run.fit(tiny_video(), tiny_clip())
    lines = [each for each in caplog.messages if each.startswith("TopNeurons is left out: ")]
    assert lines == ["TopNeurons is left out: the frame allows no partition rgb"]
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize("argument", ["k", "num_clusters", "max_shown"])
def test_wrong_numbers_are_named(argument: str) -> None:
    with pytest.raises(ValueError, match=f"TopNeurons: {argument} is 0"):
        TopNeurons(**{argument: 0})  # type: ignore[arg-type] # any of them


def test_a_wrong_partition_is_named() -> None:
    with pytest.raises(ValueError, match="TopNeurons: there is no partition 'colour'"):
        TopNeurons(partition="colour")  # type: ignore[arg-type] # that is the point
