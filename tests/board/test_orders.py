"""The list is the top of all neurons, whatever it is sorted by: against all maps, looked at one by one."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking import Board
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.board.orders import Orders, Whole, alike, unit_vectors
from xinc_pl.board.requests import RequestError
from xinc_pl.canvas import LayerCanvas
from xinc_pl.recorded import RecordedRun, recorded_run

MOMENT: dict[str, Any] = {"run": "version_0", "epoch": 3, "frame": 2}
PLACE = {"rectangle": "3,4,9,12"}
HERE = (slice(None), slice(3, 9), slice(4, 12))


@pytest.fixture(scope="module")
def run(logdir: Path) -> RecordedRun:
    found = recorded_run(logdir / "version_0")
    assert found is not None
    return found


def order_of(by: str, now: LayerCanvas, before: LayerCanvas) -> Tensor:
    """A number for each neuron of the layer."""
    magnitudes = now.magnitudes().double()
    if by == "total":
        return magnitudes.mean((1, 2))
    if by == "focus":
        return magnitudes[HERE].mean((1, 2)) / magnitudes.mean((1, 2))
    return (now.maps() - before.maps()).double().abs()[HERE].mean((1, 2))


@pytest.mark.parametrize("by", ["total", "focus", "change"])
@pytest.mark.parametrize(("convention", "layer"), [("paper", "block_2"), ("paper", "head"), ("effect", "block_2")])
def test_the_first_of_all_neurons(board: Board, run: RecordedRun, by: str, convention: Any, layer: str) -> None:
    now, before = (run.canvas(epoch, 2, convention)[layer] for epoch in (3, 1))
    expected = order_of(by, now, before)
    facts = board.ask("top", **MOMENT, **PLACE, convention=convention, layer=layer, k=7, by=by)
    assert facts["by"] == by
    assert facts["group_sizes"] is None
    first = expected.sort(descending=True).values[:7]
    np.testing.assert_allclose(expected[facts["neurons"]], first, rtol=1e-4)
    magnitudes = now.magnitudes().double()[HERE].mean((1, 2))
    np.testing.assert_allclose(facts["values"], magnitudes[facts["neurons"]], rtol=1e-4)
    np.testing.assert_allclose(facts["shares"], magnitudes[facts["neurons"]] / magnitudes.sum(), rtol=1e-4)
    np.testing.assert_allclose(facts["signed"], now.maps().double()[HERE].mean((1, 2))[facts["neurons"]], rtol=1e-3)
    assert facts["total"] == pytest.approx(float(magnitudes.sum()), rel=1e-5)
    if by == "change":
        neurons = ",".join(map(str, facts["neurons"]))
        column = board.ask("changes", **MOMENT, **PLACE, convention=convention, layer=layer, neurons=neurons)
        np.testing.assert_allclose(column["changes"], first, rtol=1e-4)


def test_other_neurons_come_first_than_those_with_the_largest_share(board: Board) -> None:
    listed = {by: set(board.ask("top", **MOMENT, **PLACE, layer="block_2", k=8, by=by)["neurons"]) for by in
              ("magnitude", "total", "focus", "change")}  # fmt: skip
    assert all(listed[by] - listed["magnitude"] for by in ("total", "focus", "change"))


def naive_groups(maps: Tensor, shares: Tensor) -> list[list[int]]:
    """The neuron with the largest share and all that are like it; of the others, the same again."""
    left, found = shares.argsort(descending=True).tolist(), []
    while left:
        first = left[0]
        alike_first = [
            each
            for each in left
            if each == first or abs(float(F.cosine_similarity(maps[first].flatten(), maps[each].flatten(), 0))) >= 0.7
        ]
        found.append(alike_first)
        left = [each for each in left if each not in alike_first]
    return found


@pytest.mark.parametrize(("convention", "layer"), [("paper", "block_2"), ("effect", "head")])
@pytest.mark.parametrize("k", [1, 9, 16])
def test_by_group(board: Board, run: RecordedRun, convention: Any, layer: str, k: int) -> None:
    canvas = run.canvas(3, 2, convention)[layer]
    groups = naive_groups(canvas.maps().double(), canvas.magnitudes().double()[HERE].mean((1, 2)))
    assert len(groups) > 1
    expected = [(neuron, len(group)) for group in groups for neuron in group[: math.isqrt(k)]][:k]
    facts = board.ask("top", **MOMENT, **PLACE, convention=convention, layer=layer, k=k, by="group")
    assert list(zip(facts["neurons"], facts["group_sizes"], strict=True)) == expected
    neurons = ",".join(map(str, facts["neurons"]))
    letters = board.ask("changes", **MOMENT, **PLACE, convention=convention, layer=layer, neurons=neurons)["groups"]
    assert letters == [at for at, group in enumerate(groups) for _ in group[: math.isqrt(k)]][:k]


def test_groups_of_a_few(run: RecordedRun) -> None:
    maps = run.canvas(3, 2)["block_2"].maps().double()
    order = torch.randperm(len(maps), generator=torch.Generator().manual_seed(0))[:12]
    groups = naive_groups(maps[order], torch.arange(12, 0, -1))
    expected = [next(at for at, group in enumerate(groups) if each in group) for each in range(12)]
    assert alike(unit_vectors(maps[order].float(), len(maps))) == tuple(expected)
    assert alike(torch.zeros(3, 5)) == (0, 1, 2)
    signs = torch.tensor([[1.0, 0], [-1, 0], [0, 1]])
    assert alike(signs) == (0, 0, 1)


def test_maps_of_many_neurons_are_compared_in_small() -> None:
    maps = torch.rand(2, 128, 256)
    few, many = unit_vectors(maps, 1000), unit_vectors(maps, 500_000)
    assert few.shape == (2, 32 * 64)
    assert many.shape[1] * 500_000 <= 64 << 20
    torch.testing.assert_close(few.norm(dim=1), torch.ones(2))
    pooled = maps.reshape(2, 32, 4, 64, 4).mean((2, 4)).flatten(1)
    torch.testing.assert_close(few, pooled / pooled.norm(dim=1, keepdim=True))


def test_where_there_is_no_epoch_before(board: Board) -> None:
    first = MOMENT | {"epoch": 0}
    facts = board.ask("top", **first, **PLACE, layer="head", by="change")
    assert facts["by"] == "magnitude"
    assert facts["neurons"] == board.ask("top", **first, **PLACE, layer="head")["neurons"]


def test_all_maps_are_gone_through_once(logdir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(logdir / "version_0", tmp_path / "version_0")
    board, passes = Board(tmp_path), []
    stream = LayerCanvas.stream

    def counted(self: LayerCanvas, *args: Any, **options: Any) -> Iterator[tuple[Tensor, Tensor]]:
        passes.append(self.name)
        return stream(self, *args, **options)

    monkeypatch.setattr(LayerCanvas, "stream", counted)
    before = board.ask("top", **MOMENT, pixel="1,2", layer="head", by="total")
    board.ask("top", **MOMENT, pixel="9,9", layer="head", by="total")
    board.ask("top", **MOMENT, pixel="9,9", layer="head", by="focus")
    assert passes == ["head"]
    for pixel in ("1,2", "9,9"):
        board.ask("top", **MOMENT, pixel=pixel, layer="block_1", by="group")
    assert passes == ["head", "block_1"]
    folder = tmp_path / "version_0/xinc/recordings"
    shutil.copyfile(folder / "epoch_0000.safetensors", folder / "epoch_0003.safetensors")
    after = board.ask("top", **MOMENT, pixel="1,2", layer="head", by="total")
    assert passes == ["head", "block_1", "head"]
    assert after["means"] != before["means"]


def test_what_would_take_too_long_is_refused(run: RecordedRun) -> None:
    now, before = run.canvas(3, 2)["block_2"], run.canvas(1, 2)["block_2"]
    orders, whole = Orders(1 << 20, patience=0), Whole(now, "key")
    asked = {
        "total": lambda: orders.totals(whole),
        "group": lambda: orders.grouped(whole, lambda k, by: now.top((0, 0), k, by), 4),
        "change": lambda: orders.changes(now, before, torch.ones(now.size, dtype=torch.bool), False),
    }
    for order, ask in asked.items():
        with pytest.raises(RequestError, match=rf"neurons of block_2 by {order} would take 1 minute; sort by share"):
            ask()


def test_another_layer_has_no_change(run: RecordedRun) -> None:
    canvas = run.canvas(3, 2)
    with pytest.raises(RequestError, match="head has changed its shape"):
        Orders(1 << 20).changes(canvas["head"], canvas["block_1"], torch.ones(16, 32, dtype=torch.bool), False)


@pytest.mark.parametrize(
    "by", ["", "Total", "total,total", "share", "'", "magnitude\n", "__class__", ["total", "focus"]]
)
def test_orders_that_there_are_not(board: Board, by: Any) -> None:
    status, reason = board.refused("top", **MOMENT, **PLACE, layer="head", by=by)
    assert status == 400
    assert reason.startswith("by ")
