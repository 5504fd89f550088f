from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import SIZE, tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer

from xinc_pl import Collage, Instance, MotionContributions, NeRV, ObjectContributions, VideoINR


def tags_of(log_dir: str, kind: str) -> set[str]:
    events = EventAccumulator(log_dir, size_guidance={"images": 0}).Reload()
    return {tag for tag in events.Tags()[kind] if "contributions" in tag}


def test_objects_over_six_frames_of_a_video(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = VideoINR(NeRV(SIZE, strides=(2, 2), width=7, levels=6), num_frames=11, size=SIZE)
    callback = ObjectContributions(num_neurons=3, at_epochs=(0,), on_error="raise")
    run = trainer(tmp_path, [callback], max_epochs=1)
    run.fit(module, Collage(SIZE, num_frames=11))
    assert [frame.index for frame in callback.frames] == [0, 2, 4, 6, 8, 10]
    assert tags_of(run.log_dir, "images") == {"xinc/object_contributions/all_layers/objects"}
    names = ("concentration", "concentration_null", "concentration_p", "concentration_p_floor")
    expected = {
        f"xinc/object_contributions/{layer}/{name}" for layer in ("block_1", "block_2", "head") for name in names
    }
    assert tags_of(run.log_dir, "scalars") == expected


def test_objects_of_one_image_with_one_pixel_and_with_all(tmp_path: Path) -> None:
    data = tiny_photograph()
    (frame,) = data.frames
    pixel = torch.zeros(SIZE, dtype=torch.bool)
    pixel[3, 4] = True
    instances = (Instance(0, "dot", True, pixel), Instance(1, "all", False, torch.ones(SIZE, dtype=torch.bool)))
    frames = [replace(frame, instances=instances)]
    callback = ObjectContributions(min_area=0, at_epochs=(), frames=frames, on_error="raise")
    run = trainer(tmp_path, [callback], max_epochs=1)
    run.fit(tiny_image(), data)
    assert len(list(tmp_path.rglob("objects_epoch_0001.png"))) == 1
    assert not tags_of(run.log_dir, "scalars"), "no two of a kind"


def test_objects_that_are_all_too_small_are_told_of_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tiny_photograph()
    pixel = torch.zeros(SIZE, dtype=torch.bool)
    pixel[3, 4] = True
    frames = [replace(data.frames[0], instances=(Instance(0, "dot", True, pixel),))]
    run = trainer(tmp_path, [ObjectContributions(at_epochs=(0, 1), frames=frames, on_error="raise")], max_epochs=2)
    with caplog.at_level("INFO"):
        run.fit(tiny_image(), data)
    words = "all 1 objects cover less than 0.002 of the image; set min_area to less"
    assert sum(words in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (ObjectContributions, "ObjectContributions is left out: the frames have no instance masks"),
        (MotionContributions, "MotionContributions is left out: there are no two frames with a flow or targets"),
    ],
)
def test_an_image_without_masks_or_motion_is_left_out_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: type[ObjectContributions], words: str
) -> None:
    run = trainer(tmp_path, [kind(at_epochs=(0, 1), on_error="raise")], max_epochs=2)
    with caplog.at_level("INFO"):
        run.fit(tiny_image(), tiny_photograph())
    assert sum(words in record.message for record in caplog.records) == 1
    assert not list(tmp_path.rglob("*.png"))


def test_motion_of_two_pairs(tmp_path: Path) -> None:
    callback = MotionContributions(at_epochs=(0,), on_error="raise")
    run = trainer(tmp_path, [callback], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    assert [frame.index for frame in callback.frames] == [0, 1, 2]
    assert tags_of(run.log_dir, "images") == {
        f"xinc/motion_contributions/all_layers/motion/frame_000{later}" for later in (1, 2)
    }
    scalars = tags_of(run.log_dir, "scalars")
    assert "xinc/motion_contributions/head/correlation/frame_0002" in scalars
    assert "xinc/motion_contributions/head/correlation_other_pair/frame_0001" in scalars
    nulls = ("correlation", "correlation_given_difference", "moving_over_still")
    expected = {f"xinc/motion_contributions/head/{name}{end}/frame_0001" for name in nulls for end in ("", "_z", "_p")}
    assert expected <= scalars


def test_motion_of_one_chosen_pair_and_of_frames_given_in_code(tmp_path: Path) -> None:
    chosen = MotionContributions(at_epochs=(), frames=[3], on_error="raise", name="chosen")
    given = MotionContributions(at_epochs=(), frames=list(tiny_clip().frames[1:4]), on_error="raise", name="given")
    run = trainer(tmp_path, [chosen, given], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    pictures = {f"{path.parts[-4]}/{path.name}" for path in Path(run.log_dir).rglob("frame_*.png")}
    assert pictures == {
        f"{name}/frame_000{i}_epoch_0001.png" for name, i in (("chosen", 3), ("given", 2), ("given", 3))
    }


def test_there_is_no_frame_before_the_first(tmp_path: Path) -> None:
    with pytest.raises(MisconfigurationException, match="MotionContributions: there is no frame before frame 0"):
        trainer(tmp_path, [MotionContributions(frames=[0])]).fit(tiny_video(), tiny_clip())


@pytest.mark.parametrize(
    ("kind", "argument"), [(ObjectContributions, "num_neurons"), (MotionContributions, "min_motion")]
)
def test_wrong_arguments_are_named(kind: type[ObjectContributions], argument: str) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: {argument} is 0"):
        kind(**{argument: 0})  # type: ignore[arg-type]
