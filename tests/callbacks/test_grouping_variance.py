from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer

import xinc_pl.callbacks.grouping_variance
from xinc_pl import GroupingVariance
from xinc_pl.analysis.partitions import PARTITION_NAMES, Partition

TESTABLE = ("instances", "rgb", "gabor", "superpixels")


def test_pictures_and_numbers_of_all_layers_and_partitions(tmp_path: Path) -> None:
    callback = GroupingVariance(at_epochs=(0,), num_clusters=4, grid=(2, 2), shuffled=True, on_error="raise")
    run = trainer(tmp_path, [callback], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    events = EventAccumulator(run.log_dir, size_guidance={"images": 0, "scalars": 0}).Reload()
    pictures = events.Images("xinc/grouping_variance/all_layers/variances")
    assert [picture.step for picture in pictures] == [0, 2]
    assert len(events.Images("xinc/grouping_variance/frame/partitions")) == 1, "they do not change"
    for layer in ("block_1", "block_2", "head"):
        for name in PARTITION_NAMES:
            values = {
                quantity: events.Scalars(f"xinc/grouping_variance/{layer}/{name}/{quantity}")[-1].value
                for quantity in ("lower_quartile", "median", "upper_quartile", "shuffled_median")
            }
            assert values["lower_quartile"] <= values["median"] <= values["upper_quartile"]
    stored = np.load(Path(run.log_dir) / "xinc/grouping_variance/head/variances_epoch_0001.npz")
    nulls = {f"{name}_{what}" for name in TESTABLE for what in ("sampled_median", "null", "middle", "within")}
    assert set(stored) == {*PARTITION_NAMES, *(f"random_{name}" for name in PARTITION_NAMES), *nulls}


def test_every_partition_that_has_a_null_stands_beside_it(tmp_path: Path) -> None:
    callback = GroupingVariance(at_epochs=(), num_clusters=4, num_shifts=5, num_compared=7, on_error="raise")
    run = trainer(tmp_path, [callback], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    events = EventAccumulator(run.log_dir, size_guidance={"scalars": 0}).Reload()
    tags = {tag.removeprefix("xinc/grouping_variance/") for tag in events.Tags()["scalars"] if "grouping" in tag}
    assert {tag.split("/")[1] for tag in tags if tag.endswith("/p")} == set(TESTABLE)
    assert not [tag for tag in tags if "shuffled" in tag]
    stored = np.load(Path(run.log_dir) / "xinc/grouping_variance/head/variances_epoch_0001.npz")
    for name in TESTABLE:
        null, actual = stored[f"{name}_null"], stored[f"{name}_sampled_median"]
        assert len(null) == 5
        values = {
            what: events.Scalars(f"xinc/grouping_variance/head/{name}/{what}")[-1].value
            for what in ("ratio", "p", "null_median")
        }
        assert values["null_median"] == pytest.approx(np.median(null), rel=1e-5)
        assert values["ratio"] == pytest.approx(actual / np.median(null), rel=1e-5)
        within, middle = stored[f"{name}_within"], stored[f"{name}_middle"]
        reached = [(1 + (null >= actual).sum()) / 6]
        if np.isfinite(middle):  # a tiny frame's middle may hold one cluster only
            reached.append((1 + (within >= middle).sum()) / (1 + np.isfinite(within).sum()))
        assert values["p"] == pytest.approx(max(reached))
    assert {"head/instances/given_colour", "head/instances/given_place"} <= tags


def test_without_masks_instances_are_left_out_with_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    callback = GroupingVariance(at_epochs=(0, 1), num_clusters=4, on_error="raise")
    with caplog.at_level("INFO"):
        trainer(tmp_path, [callback], max_epochs=2).fit(tiny_image(), tiny_photograph())
    lines = [record.message for record in caplog.records if "is left out" in record.message]
    assert lines == [
        "The partition instances is left out: the frame has no instance masks; give them in Frame(instances=...)"
    ]
    assert not list(tmp_path.rglob("*failed*"))
    assert len(list(tmp_path.rglob("variances_epoch_*.png"))) == 3


def test_a_layer_of_zero_maps_and_a_partition_of_one_cluster_are_drawn_without_numbers(tmp_path: Path) -> None:
    module = tiny_video()
    with torch.no_grad():
        module.network.head.weight.zero_()
        module.network.head.bias.zero_()
    callback = GroupingVariance(["rgb"], num_clusters=1, at_epochs=(0,), on_error="raise")
    run = trainer(tmp_path, [callback])
    run.validate(module, tiny_clip(), verbose=False)
    assert Image.open(next(tmp_path.rglob("variances_epoch_0000.png"))).size[0] == 1280
    events = EventAccumulator(run.log_dir).Reload()
    assert not [tag for tag in events.Tags()["scalars"] if "grouping_variance" in tag]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"partitions": []}, "partitions is empty"),
        ({"partitions": ["sky"]}, "no partition 'sky'; choose from instances"),
        ({"num_clusters": 0}, "num_clusters is 0"),
        ({"num_shifts": 0}, "num_shifts is 0"),
        ({"num_compared": 0}, "num_compared is 0"),
        ({"max_neurons": 0}, "max_neurons is 0"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=f"GroupingVariance: .*{words}"):
        GroupingVariance(**arguments)  # type: ignore[arg-type]


def test_where_clusters_were_moved_to_is_kept_for_the_same_clusters_only(monkeypatch: pytest.MonkeyPatch) -> None:
    callback, frame = GroupingVariance(num_shifts=3), tiny_clip().frames[0]
    colours, others = ({Partition("rgb"): torch.arange(96).view(8, 12) % number} for number in (3, 4))
    first = callback._clusters(frame, colours)
    assert callback._clusters(frame, colours) is first
    assert callback._clusters(frame, others)[Partition("rgb")].labels is others[Partition("rgb")]
    monkeypatch.setattr(xinc_pl.callbacks.grouping_variance, "_MOST_KEPT", 3 * 96 - 1)
    callback = GroupingVariance(num_shifts=3)
    assert callback._clusters(frame, colours) is not callback._clusters(frame, colours), "they would take too much"


def test_partitions_that_have_no_null_stand_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(*_: object) -> None:
        raise AssertionError("maps for nulls that there are not")

    monkeypatch.setattr(xinc_pl.callbacks.grouping_variance, "compared_magnitudes", unwanted)
    callback = GroupingVariance(partitions=["grid", "comb"], at_epochs=(), on_error="raise")
    run = trainer(tmp_path, [callback], max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    tags = EventAccumulator(run.log_dir).Reload().Tags()
    assert "xinc/grouping_variance/all_layers/variances" in tags["images"]
    assert "xinc/grouping_variance/head/grid/median" in tags["scalars"]
    assert not [tag for tag in tags["scalars"] if tag.endswith("/p")]
