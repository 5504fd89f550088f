import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import Foreign, Probe, tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer, weights_of
from torch.utils.data import DataLoader

import xinc_pl.analysis.dissected
from xinc_pl import Frame, VideoINR
from xinc_pl.callbacks import DissectedFrame, LastCheckpoint, Outputs, XINCCallback
from xinc_pl.callbacks.board import board_of
from xinc_pl.frames import pixel_coordinates


def test_dissects_before_the_first_step_on_schedule_and_at_the_end(tmp_path: Path) -> None:
    probe = Probe(at_epochs=(0, 2))
    trainer(tmp_path, [probe], max_epochs=5).fit(tiny_video(), tiny_clip())
    assert probe.moments == [(0, 0), (2, 4), (5, 10)]  # two steps per epoch


def test_the_last_epoch_is_dissected_once_if_it_is_on_schedule(tmp_path: Path) -> None:
    probe = Probe(at_epochs=(), every_n_epochs=2)
    trainer(tmp_path, [probe], max_epochs=4).fit(tiny_video(), tiny_clip())
    assert probe.moments == [(0, 0), (2, 4), (4, 8)]


def test_the_end_is_dissected_when_the_run_stops_early(tmp_path: Path) -> None:
    probe = Probe(at_epochs=())
    stop = EarlyStopping("train/loss", patience=1, min_delta=1e9, check_on_train_epoch_end=True)
    trainer(tmp_path, [probe, stop], max_epochs=50).fit(tiny_video(), tiny_clip())
    assert len(probe.moments) == 1
    assert 0 < probe.moments[0][0] < 50


def test_the_end_is_dissected_when_steps_run_out(tmp_path: Path) -> None:
    probe = Probe(at_epochs=(0,))
    trainer(tmp_path, [probe], max_epochs=-1, max_steps=3).fit(tiny_video(), tiny_clip())
    assert [step for _, step in probe.moments] == [0, 3]


def test_a_resumed_run_does_not_start_over(tmp_path: Path) -> None:
    trainer(tmp_path, [LastCheckpoint()], max_epochs=2).fit(tiny_video(), tiny_clip())
    checkpoint = next(tmp_path.rglob("last.ckpt"))
    probe = Probe(at_epochs=(0, 1, 3))
    trainer(tmp_path, [probe], max_epochs=4).fit(tiny_video(), tiny_clip(), ckpt_path=checkpoint)
    assert probe.moments == [(3, 6), (4, 8)]


def test_validate_dissects_once_at_the_checkpoints_epoch_and_step(tmp_path: Path) -> None:
    trainer(tmp_path, [LastCheckpoint()], max_epochs=3).fit(tiny_video(), tiny_clip())
    checkpoint = next(tmp_path.rglob("last.ckpt"))
    probe = Probe(at_epochs=())
    trainer(tmp_path, [probe]).validate(tiny_video(), tiny_clip(), ckpt_path=checkpoint, verbose=False)
    assert probe.moments == [(3, 6)]


class Disturbing(Probe):
    """Draws random numbers, leaves modes as dissecting does, and fails halfway."""

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        super().analyse(frames, layers, outputs)
        torch.rand(100)
        frames[0].statistics(layers[0])
        raise RuntimeError("out of ideas")


@pytest.mark.parametrize("kind", [Probe, Disturbing])
def test_training_ends_with_the_same_bits_with_and_without(tmp_path: Path, kind: type[Probe]) -> None:
    class Noisy(VideoINR):
        """Makes the training depend on the global random state."""

        def reconstruct(self, indices: torch.Tensor) -> torch.Tensor:
            frames = super().reconstruct(indices)
            return frames + 0.1 * torch.rand_like(frames) if self.training else frames

    def train(callbacks: list[Any]) -> list[torch.Tensor]:
        module = tiny_video()
        module.__class__ = Noisy
        trainer(tmp_path, callbacks, max_epochs=3).fit(module, tiny_clip())
        return weights_of(module)

    without = train([])
    with pytest.warns(UserWarning) if kind is Disturbing else contextlib.nullcontext():
        with_callback = train([kind(at_epochs=(0, 1, 2))])
    assert all(torch.equal(a, b) for a, b in zip(without, with_callback, strict=True))


def test_a_failing_analysis_is_reported_and_counted_and_the_training_goes_on(tmp_path: Path) -> None:
    probe = Disturbing(at_epochs=(0, 1))
    run = trainer(tmp_path, [probe], max_epochs=2)
    with pytest.warns(UserWarning) as record:
        run.fit(tiny_video(), tiny_clip())
    messages = [str(warning.message) for warning in record]
    assert run.current_epoch == 2
    assert sum("Disturbing failed after epoch" in message and "Traceback" in message for message in messages) == 3
    assert any("failed at 3 moments" in message and "out of ideas" in message for message in messages)


def test_other_processes_stay_while_the_first_one_sums_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments: list[str] = []

    class Slow(Probe):
        def conclude(self, outputs: Outputs) -> None:
            moments.append("summed up")

    run = trainer(tmp_path, [Slow()], max_epochs=1)
    monkeypatch.setattr(run.strategy, "barrier", lambda name=None: moments.append(str(name)))
    run.fit(tiny_image(), tiny_photograph())
    assert moments.index("summed up") < moments.index("xinc")


def test_on_error_raise_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of ideas"):
        trainer(tmp_path, [Disturbing(on_error="raise")]).fit(tiny_video(), tiny_clip())


def test_callbacks_share_one_dissection_and_let_go_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = xinc_pl.analysis.dissected.record

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(xinc_pl.analysis.dissected, "record", counting)
    first, second = Probe(at_epochs=(0, 1), name="a"), Probe(at_epochs=(1, 2), name="b")
    run = trainer(tmp_path, [first, second], max_epochs=2)
    run.fit(tiny_video(), tiny_clip())
    assert len(calls) == 1 + 3, "one at set-up, one at each of the three moments"
    assert first.seen[0] is second.seen[0]
    assert not board_of(run)._frames
    assert board_of(run).num_dissections == 3


def test_layers_are_selected_in_the_networks_order(tmp_path: Path) -> None:
    probe = Probe(at_epochs=(), layers=["head", "block_2"])
    trainer(tmp_path, [probe], max_epochs=1).fit(tiny_video(), tiny_clip())
    assert probe.layers_seen == ["block_2", "head"]


def test_frames_are_selected_by_index(tmp_path: Path) -> None:
    probe = Probe(at_epochs=(), frames=[3, 1])
    trainer(tmp_path, [probe], max_epochs=1).fit(tiny_video(), tiny_clip())
    assert [dissected.frame.index for dissected in probe.seen] == [3, 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"layers": ["blocc"]}, ["blocc", "block_1, block_2, head"]),
        ({"frames": [9]}, ["no frame 9", "0 to 3"]),
        ({"network": "missing"}, ["no submodule 'missing'", "network"]),
        ({"network": max}, ["builtin_function", "torch.nn.Module"]),
    ],
)
def test_what_does_not_exist_is_found_before_the_first_step(
    tmp_path: Path, arguments: dict[str, Any], words: list[str]
) -> None:
    module = tiny_video()
    with pytest.raises(MisconfigurationException) as error:
        trainer(tmp_path, [Probe(**arguments)]).fit(module, tiny_clip())
    assert all(word in str(error.value) for word in words)
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), tiny_video().parameters(), strict=True))


@pytest.mark.parametrize(
    "arguments",
    [{"at_epochs": (-1,)}, {"every_n_epochs": 0}, {"convention": "mine"}, {"on_error": "ignore"}, {"layers": []}],
)
def test_bad_arguments_are_refused_by_name(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Probe(**arguments)


def test_two_callbacks_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MisconfigurationException, match="2 callbacks are called 'probe'"):
        trainer(tmp_path, [Probe(), Probe()]).fit(tiny_video(), tiny_clip())


def test_two_callbacks_of_one_class_have_their_own_state() -> None:
    assert Probe(name="a").state_key != Probe(name="b").state_key


def foreign_frame() -> Frame:
    return Frame(0, pixel_coordinates((4, 6)), (4, 6), torch.rand(3, 4, 6))


def foreign_batches() -> DataLoader[Any]:
    return DataLoader([{"xy": pixel_coordinates((4, 6)), "rgb": torch.rand(24, 3)}], batch_size=None)


def test_a_foreign_project_is_told_the_three_ways(tmp_path: Path) -> None:
    with pytest.raises(MisconfigurationException) as error:
        trainer(tmp_path, [Probe()]).fit(Foreign(), foreign_batches())
    assert all(way in str(error.value) for way in ("network=", "def xinc_network(self)", "datamodule"))
    with pytest.raises(MisconfigurationException) as error:
        trainer(tmp_path, [Probe(network="net")]).fit(Foreign(), foreign_batches())
    assert all(way in str(error.value) for way in ("frames=[", "def xinc_frames(self, indices", "datamodule"))


class Helpful(Foreign):
    """Somebody else's module that answers for itself."""

    def xinc_network(self) -> torch.nn.Module:
        return self.net

    def xinc_frames(self, indices: list[int]) -> list[Frame]:
        assert indices == [0]
        return [foreign_frame()]


def test_a_foreign_project_can_use_arguments_or_methods(tmp_path: Path) -> None:
    by_argument = Probe(at_epochs=(), network="net", frames=[foreign_frame()])
    trainer(tmp_path, [by_argument], max_epochs=1).fit(Foreign(), foreign_batches())
    by_method = Probe(at_epochs=())
    trainer(tmp_path, [by_method], max_epochs=1).fit(Helpful(), foreign_batches())
    assert by_argument.layers_seen == by_method.layers_seen == ["0", "2"], "paths within the network that was given"


class Residual(torch.nn.Module):
    """No chain of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (torch.nn.Linear(2, 2) for _ in range(3))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        hidden = self.first(values)
        return self.third(hidden + self.second(hidden).relu())


class Grumbling(torch.nn.Linear):
    """Raises an error of its own."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("not\nnow")


def test_a_network_that_is_no_chain_is_refused_before_the_first_step_if_errors_are_to_be_raised(tmp_path: Path) -> None:
    probe = Probe(network=Residual(), frames=[foreign_frame()], on_error="raise")
    with pytest.raises(
        MisconfigurationException, match=r"between second and third.*'__add__'|between second and third"
    ):
        trainer(tmp_path, [probe]).fit(Foreign(), foreign_batches())


@pytest.mark.parametrize(("network", "reason"), [(Residual(), "chain of layers breaks"), (Grumbling(2, 3), "not now")])
def test_what_the_network_refuses_is_one_line_and_the_others_go_on(
    tmp_path: Path, network: torch.nn.Module, reason: str
) -> None:
    refused = Probe(network=network, frames=[foreign_frame()], name="refused")
    other = Probe(network="net", frames=[foreign_frame()], at_epochs=(0,), name="other")
    run = trainer(tmp_path, [refused, other], max_epochs=2)
    with pytest.warns(UserWarning, match="is left out") as record:
        run.fit(Foreign(), foreign_batches())
    (line,) = [str(warning.message) for warning in record if "left out" in str(warning.message)]
    assert reason in line
    assert "\n" not in line
    assert (refused.moments, [epoch for epoch, _ in other.moments]) == ([], [0, 2])


def test_without_tensorboard_scalars_still_go_to_the_logger_and_a_warning_tells(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    with pytest.warns(UserWarning, match="no TensorBoardLogger"):
        trainer(tmp_path, [Probe()], max_epochs=1, logger=logger).fit(tiny_image(), tiny_photograph())
    assert "xinc/probe/layer_1/probe" in (Path(logger.log_dir) / "metrics.csv").read_text()


def test_a_rehearsal_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    probe = Probe()
    trainer(tmp_path, [probe, LastCheckpoint()], fast_dev_run=True).fit(tiny_video(), tiny_clip())
    assert probe.moments == []
    assert not list(tmp_path.rglob("*.*"))


def test_the_network_is_dissected_where_it_stands_not_as_it_was(tmp_path: Path) -> None:
    video = tiny_video()

    class Sums(Probe):
        def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
            super().analyse(frames, layers, outputs)
            expected = video(torch.tensor([0]))[0].detach()
            assert torch.allclose(frames[0].reconstruction, expected, atol=1e-6)

    trainer(tmp_path, [Sums(at_epochs=(0, 1, 2), on_error="raise")]).fit(video, tiny_clip())


def test_the_base_class_cannot_be_used_itself() -> None:
    with pytest.raises(TypeError, match="analyse"):
        XINCCallback()  # type: ignore[abstract]


class Stateful(Probe):
    """Its state can be neither taken nor taken up."""

    def state_dict(self) -> dict[str, Any]:
        raise RuntimeError("no state today")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        raise KeyError("of another version")


def test_a_state_that_cannot_be_taken_does_not_end_the_training(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no state today"):
        trainer(tmp_path, [Stateful(), LastCheckpoint()], max_epochs=2).fit(tiny_image(), tiny_photograph())
    with pytest.raises(RuntimeError, match="no state today"):
        trainer(tmp_path, [Stateful(on_error="raise"), ModelCheckpoint(tmp_path)]).fit(tiny_image(), tiny_photograph())


class Unwilling(Callback):
    """Of somebody else; its state can be taken once."""

    num_calls = 0

    def state_dict(self) -> dict[str, Any]:
        self.num_calls += 1
        if self.num_calls > 1:
            raise RuntimeError("no state any more")
        return {}


def test_a_strangers_state_that_cannot_be_taken_leaves_the_checkpoint_of_before(tmp_path: Path) -> None:
    run = trainer(tmp_path, [Unwilling(), LastCheckpoint()], max_epochs=3)
    with pytest.warns(UserWarning, match="after epoch 3 cannot be taken.*no state any more"):
        run.fit(tiny_image(), tiny_photograph())
    assert run.current_epoch == 3
    assert torch.load(next(tmp_path.rglob("last.ckpt")), weights_only=True)["epoch"] == 0


def test_a_state_that_cannot_be_taken_up_does_not_end_the_training(tmp_path: Path) -> None:
    class Good(Probe):
        def state_dict(self) -> dict[str, Any]:
            return {"a": 1}

    Good.__qualname__ = Stateful.__qualname__
    trainer(tmp_path, [Good(name="same"), LastCheckpoint()], max_epochs=1).fit(tiny_image(), tiny_photograph())
    resumed = Stateful(at_epochs=(), name="same")
    with pytest.warns(UserWarning, match="of another version"):
        trainer(tmp_path, [resumed], max_epochs=2).fit(
            tiny_image(), tiny_photograph(), ckpt_path=next(tmp_path.rglob("last.ckpt"))
        )
    assert [epoch for epoch, _ in resumed.moments] == [2]


class TwoPlayers(Foreign):
    """Two optimizers that take turns by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def configure_optimizers(self) -> Any:
        return [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in (self.net[0], self.net[2])]

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            loss = Foreign.training_step(self, batch, batch_idx)
            self.manual_backward(loss)
            optimizer.step()
        self.log("loss", loss, on_step=True)

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        """Nothing."""


def test_steps_are_those_of_lightnings_curves_also_with_two_optimizers(tmp_path: Path) -> None:
    probe = Probe(network="net", frames=[foreign_frame()], at_epochs=(1,))
    run = trainer(tmp_path, [probe, LastCheckpoint()], max_epochs=3)
    run.fit(TwoPlayers(), foreign_batches())
    assert run.global_step == 6
    events = EventAccumulator(run.log_dir).Reload()
    assert [point.step for point in events.Scalars("loss")] == [0, 1, 2]
    assert [point.step for point in events.Scalars("xinc/probe/0/probe")] == [1, 3]
    checkpoint = next(tmp_path.rglob("last.ckpt"))
    again = Probe(network="net", frames=[foreign_frame()])
    trainer(tmp_path / "again", [again]).validate(TwoPlayers(), foreign_batches(), ckpt_path=checkpoint, verbose=False)
    assert again.moments == [(3, 3)]
