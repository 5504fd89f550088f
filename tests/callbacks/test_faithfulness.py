from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import SIZE, tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer, weights_of, whole_half_and_resumed
from torch import Tensor, nn

from xinc_pl import Faithfulness, Frame
from xinc_pl.analysis.removal_orders import MAGNITUDE_OVER_MEAN, ORDERS

CORRELATIONS = ("rank_correlation", "spatial_correlation", "spatial_correlation_control")


def test_pictures_and_numbers_of_all_layers_conventions_and_orders(tmp_path: Path) -> None:
    run = trainer(
        tmp_path,
        [Faithfulness(at_epochs=(0,), num_neurons=12, num_candidates=12, frames=[0, 2], on_error="raise")],
        max_epochs=1,
    )
    run.fit(tiny_video(), tiny_clip())
    events = EventAccumulator(run.log_dir, size_guidance={"images": 0, "scalars": 0}).Reload()
    pictures = events.Images("xinc/faithfulness/all_layers/faithfulness")
    assert [picture.step for picture in pictures] == [0, 2]
    tag = "xinc/faithfulness/{}/{}/{}"
    for layer in ("block_1", "block_2", "head"):
        for convention in ("paper", "released", "effect"):
            for quantity in CORRELATIONS:
                assert -1 <= events.Scalars(tag.format(layer, convention, quantity))[-1].value <= 1
        ranks = {each: events.Scalars(tag.format(layer, each, "rank_correlation"))[-1].value for each in ("effect",)}
        assert ranks["effect"] > 0.8
    for layer in ("block_1", "block_2", "head", "all_layers"):
        # Within one layer the magnitude over its mean is the magnitude.
        for order in (each for each in ORDERS if layer == "all_layers" or each != MAGNITUDE_OVER_MEAN):
            assert len(events.Scalars(tag.format(layer, order, "pruning"))) == 2
    assert run.log_dir is not None
    stored = np.load(Path(run.log_dir) / "xinc/faithfulness/all_layers/faithfulness_epoch_0001.npz")
    assert stored["shares"].tolist() == [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5]
    assert stored["head.gram.lost"].shape == stored["all_layers.random.lost"].shape == (7,)
    value, low, high = stored["head.effect.rank_correlation"]
    assert low <= value <= high
    # The sum of M**2, against the squared change, on both frames.
    assert stored["head.effect.rank_correlation"][0] > 0.9


def test_of_a_video_four_frames_are_looked_at() -> None:
    callback = Faithfulness()
    assert list(callback.choose_frames(None, 30)) == [0, 10, 19, 29]
    assert list(callback.choose_frames(None, 2)) == [0, 1]
    assert list(callback.choose_frames(None, None)) == list(callback.choose_frames(None, 1)) == [0]
    assert list(callback.choose_frames([3], 30)) == [3]


def test_training_ends_in_the_same_bits(tmp_path: Path) -> None:
    ends = []
    for callbacks in (
        [],
        [Faithfulness(at_epochs=(0, 1), num_neurons=4, num_candidates=6, frames=[0, 3], on_error="raise")],
    ):
        module = tiny_video()
        torch.manual_seed(5)
        trainer(tmp_path / str(len(callbacks)), callbacks, max_epochs=2).fit(module, tiny_clip())
        ends.append((weights_of(module), torch.get_rng_state()))
    assert all(torch.equal(one, other) for one, other in zip(ends[0][0], ends[1][0], strict=True))
    assert torch.equal(ends[0][1], ends[1][1])


def test_a_resumed_run_draws_the_same(tmp_path: Path) -> None:
    whole, _, resumed = whole_half_and_resumed(
        tmp_path, lambda: [Faithfulness(at_epochs=(0, 1), num_neurons=8, num_candidates=8, on_error="raise")]
    )
    picture = "xinc/faithfulness/all_layers/faithfulness_epoch_0002.png"
    assert (resumed / picture).read_bytes() == (whole / picture).read_bytes()


class Skipping(LightningModule):
    """A network that is no chain of layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.last = nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        """With a connection past the second layer."""
        hidden = self.first(inputs).tanh()
        result: Tensor = self.last(hidden + self.second(hidden).tanh())
        return result


def test_a_network_that_is_no_chain_is_shown_under_the_convention_that_needs_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = Frame(0, torch.rand(SIZE[0] * SIZE[1], 2), SIZE, None)
    callback = Faithfulness(
        at_epochs=(0,), num_neurons=6, num_candidates=6, frames=[frame], network="net", on_error="raise"
    )
    module = tiny_image()
    module.net = Skipping()
    with caplog.at_level("INFO"):
        run = trainer(tmp_path, [callback], max_epochs=1)
        run.fit(module, tiny_photograph())
    lines = [record.message for record in caplog.records if "is left out" in record.message]
    assert [line.split(" is left out")[0] for line in lines] == [
        "Faithfulness: the convention paper",
        "Faithfulness: the convention released",
    ]
    tags = EventAccumulator(run.log_dir).Reload().Tags()["scalars"]
    assert "xinc/faithfulness/second/effect/rank_correlation" in tags
    assert "xinc/faithfulness/all_layers/magnitude/pruning" in tags
    assert "xinc/faithfulness/all_layers/gram_mean/pruning" in tags
    assert not [tag for tag in tags if "/paper/" in tag]
    assert Image.open(next(tmp_path.rglob("faithfulness_epoch_0000.png"))).size[0] == 1600


def test_dead_layers_are_drawn_without_correlations(tmp_path: Path) -> None:
    module = tiny_video()
    with torch.no_grad():
        module.network.head.weight.zero_()
    run = trainer(tmp_path, [Faithfulness(num_neurons=5, num_candidates=5, frames=[1], on_error="raise")])
    run.validate(module, tiny_clip(), verbose=False)
    tags = EventAccumulator(run.log_dir).Reload().Tags()["scalars"]
    assert not [tag for tag in tags if "correlation" in tag]
    assert "xinc/faithfulness/head/paper/blind" in tags


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_neurons": 1}, "num_neurons is 1"),
        ({"num_candidates": 1}, "num_candidates is 1"),
        ({"conventions": []}, "choose"),
        ({"conventions": ["mine"]}, "mine"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=f"Faithfulness: .*{words}"):
        Faithfulness(**arguments)  # type: ignore[arg-type]
