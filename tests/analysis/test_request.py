from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import SIZE, Probe, tiny_clip, tiny_video, trainer

import xinc_pl.analysis.partitions
from xinc_pl import Frame
from xinc_pl.analysis.dissected import FramePartitions
from xinc_pl.analysis.partitions import Partition
from xinc_pl.callbacks import DissectedFrame, Request
from xinc_pl.canvas import LayerCanvas, LayerStatistics
from xinc_pl.canvas.statistics.lock_step import LockStep

GRID, COMB = Partition("grid", grid=(2, 4)), Partition("comb", grid=(2, 2))


def test_requests_are_united_without_repetition() -> None:
    united = Request.united([Request((GRID,), (0.5,)), Request((COMB, GRID), (0.1, 0.5)), Request()])
    assert united == Request((GRID, COMB), (0.1, 0.5))


class Asking(Probe):
    """Asks for something of whole layers."""

    def __init__(self, wanted: Request, **arguments: Any) -> None:
        super().__init__(on_error="raise", **arguments)
        self.wanted = wanted
        self.found: list[set[str]] = []

    def request(self) -> Request:
        return self.wanted

    def analyse(self, frames: Any, layers: Any, outputs: Any) -> None:
        super().analyse(frames, layers, outputs)
        statistics = frames[0].statistics("head")
        assert {each.key for each in self.wanted.partitions} <= set(statistics.partitions)
        assert set(self.wanted.masses) <= set(statistics.thresholds)
        self.found.append(set(statistics.partitions))


def test_all_that_are_due_share_one_pair_of_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original = LayerCanvas.statistics

    def counting(self: LayerCanvas, *args: Any, **kwargs: Any) -> Any:
        calls.append(self.name)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(LayerCanvas, "statistics", counting)
    callbacks = [
        Asking(Request((GRID,)), at_epochs=(0, 1), name="a"),
        Asking(Request((COMB, GRID), (0.5,)), at_epochs=(0,), name="b"),
        Asking(Request((COMB,)), at_epochs=(0,), frames=[1], name="elsewhere"),
    ]
    trainer(tmp_path, callbacks, max_epochs=1).fit(tiny_video(), tiny_clip())
    assert calls == ["head"] * 4, "one of each frame, at epochs 0 and 1, which is the end"
    assert callbacks[0].found[0] == {GRID.key, COMB.key}
    assert callbacks[2].found[0] == {COMB.key}, "another frame, for which nobody has asked for the grid"


def test_partitions_are_computed_once_and_kept() -> None:
    frame = Frame(0, torch.zeros(1), SIZE, None)
    known = FramePartitions()
    assert known.labels(frame, GRID) is known.labels(frame, GRID)
    assert known.labels(frame, GRID) is not known.labels(Frame(1, torch.zeros(1), SIZE, None), GRID)


def test_a_partition_that_fails_troubles_only_those_who_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(partition: Partition, frame: Frame) -> torch.Tensor:
        raise ZeroDivisionError(partition.name)

    monkeypatch.setitem(xinc_pl.analysis.partitions._MAKERS, "comb", failing)
    module, clip = tiny_video(), tiny_clip()
    frame = clip.xinc_frames([0])[0]
    dissected = DissectedFrame(frame, module.network, "paper", [Request((GRID, COMB))])
    assert set(dissected.statistics("head").partitions) == {GRID.key}
    with pytest.raises(ZeroDivisionError):
        dissected.labels(COMB)


@pytest.mark.parametrize(("request_", "passes"), [(Request(), 1), (Request((GRID,)), 1), (Request((GRID,), (0.5,)), 2)])
def test_one_pass_is_enough_where_nobody_asks_for_more_than_sums(
    request_: Request, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed: list[object] = []
    stream = LockStep.stream
    monkeypatch.setattr(LockStep, "stream", lambda self, *args: (streamed.append(args), stream(self, *args))[1])
    frame = tiny_clip().xinc_frames([0])[0]
    dissected = DissectedFrame(frame, tiny_video().network, "paper", [request_])
    totals = dissected.totals("head")
    assert dissected.totals("head") is totals
    assert len(streamed) == passes
    assert set(totals.partitions) == {each.key for each in request_.partitions}
    assert torch.equal(totals.sum, dissected.statistics("head").sum)
    assert dissected.totals("head") is dissected.statistics("head"), "what is known already"


def test_who_wants_the_same_sample_shares_it_and_who_wants_another_has_his_own() -> None:
    few, others, everything = (
        Request((GRID,), max_neurons=5),
        Request((COMB,), (0.5,), max_neurons=5),
        Request((GRID,), (0.1,)),
    )
    frame = tiny_clip().xinc_frames([0])[0]
    dissected = DissectedFrame(frame, tiny_video().network, "paper", [few, others, everything])
    layer = next(name for name in dissected.canvas if dissected.canvas[name].num_neurons > 5)
    sampled, whole = dissected.statistics(layer, few), dissected.statistics(layer)
    assert dissected.statistics(layer, others) is sampled
    assert set(sampled.partitions) == {GRID.key, COMB.key}
    assert (set(whole.partitions), set(whole.thresholds)) == ({GRID.key}, {0.1})
    assert (sampled.num_neurons, sampled.num_in_layer) == (5, whole.num_neurons)
    assert torch.equal(sampled.neurons, dissected.canvas[layer].sampled(5))
    torch.testing.assert_close(sampled.sum, whole.sum[sampled.neurons], rtol=1e-5, atol=0)
    rows = whole.partitions[GRID.key].sum[sampled.neurons]
    torch.testing.assert_close(sampled.partitions[GRID.key].sum, rows, rtol=1e-5, atol=0)
    another = Request(max_neurons=5, seed=1)
    assert not torch.equal(dissected.statistics(layer, another).neurons, sampled.neurons)


def test_where_all_is_asked_only_of_a_sample_totals_are_of_all_neurons_and_take_one_pass() -> None:
    frame = tiny_clip().xinc_frames([0])[0]
    dissected = DissectedFrame(frame, tiny_video().network, "paper", [Request((GRID,), max_neurons=2)])
    totals, canvas = dissected.totals("head"), dissected.canvas["head"]
    assert not isinstance(totals, LayerStatistics)
    assert torch.equal(totals.neurons, canvas.sample)


def test_samples_are_nested_and_a_layer_that_is_no_larger_is_taken_whole() -> None:
    canvas = DissectedFrame(tiny_clip().xinc_frames([0])[0], tiny_video().network, "paper").canvas["head"]
    assert set(canvas.sampled(3, 4).tolist()) < set(canvas.sampled(6, 4).tolist())
    assert torch.equal(canvas.sampled(10**6), canvas.sample)
    assert torch.equal(canvas.sampled(None, 7), canvas.sample)


def test_statistics_of_chosen_neurons_come_in_ascending_order_and_refuse_what_is_not_there() -> None:
    canvas = DissectedFrame(tiny_clip().xinc_frames([0])[0], tiny_video().network, "paper").canvas["head"]
    found = canvas.statistics(neurons=[3, 0, 2])
    assert found.neurons.tolist() == [0, 2, 3]
    torch.testing.assert_close(found.total, canvas.magnitudes([0, 2, 3]).double().sum(0), rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match="has neurons 0 to"):
        canvas.statistics(neurons=[10**6])


def test_a_sample_of_a_whole_layer_is_the_layer_and_not_gone_through_again() -> None:
    few, everything = Request((GRID,), max_neurons=10**6), Request((COMB,), (0.5,))
    dissected = DissectedFrame(tiny_clip().xinc_frames([0])[0], tiny_video().network, "paper", [few, everything])
    statistics = dissected.statistics("head", few)
    assert dissected.statistics("head") is statistics
    assert dissected.totals("head") is statistics
    assert set(statistics.partitions) == {GRID.key, COMB.key}
