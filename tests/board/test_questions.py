"""What the tab is told, over HTTP, against what the core gives."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking import Board
from torch.nn import functional as F

from xinc_pl.board.selection import thinned, top_by_pixel
from xinc_pl.canvas import Canvas
from xinc_pl.recorded import RecordedRun, recorded_run

MOMENT: dict[str, Any] = {"run": "version_0", "epoch": 3, "frame": 2}


@pytest.fixture(scope="module")
def run(logdir: Path) -> RecordedRun:
    found = recorded_run(logdir / "version_0")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def canvas(run: RecordedRun) -> Canvas:
    return run.canvas(3, 2)


@pytest.fixture(scope="module")
def effect(run: RecordedRun) -> Canvas:
    return run.canvas(3, 2, "effect")


def test_runs_with_recordings_are_listed(board: Board, logdir: Path) -> None:
    assert board.ask("runs") == {"runs": ["version_0"], "num_listed": 2, "logdir": str(logdir)}


def test_a_run_tells_its_epochs_and_frames(board: Board, run: RecordedRun) -> None:
    facts = board.ask("run", run="version_0")
    assert [each["epoch"] for each in facts["epochs"]] == [0, 1, 3, 4]
    assert facts["frames"] == [0, 2]
    assert facts["epochs"][2]["psnr"] == [run.moment(3, 0).psnr, run.moment(3, 2).psnr]
    assert facts["epochs"][2]["step"] == run.moment(3).step


@pytest.mark.parametrize("convention", ["paper", "effect"])
def test_layers(board: Board, run: RecordedRun, convention: Any) -> None:
    facts = board.ask("layers", **MOMENT, convention=convention)
    expected = run.canvas(3, 2, convention)
    assert [each["name"] for each in facts["layers"]] == list(expected)
    assert [each["num_neurons"] for each in facts["layers"]] == [layer.num_neurons for layer in expected.values()]
    assert set(facts["skipped"]) == set(expected.skipped)


def test_pictures(board: Board, run: RecordedRun, canvas: Canvas) -> None:
    facts, frame = board.ask("pictures", **MOMENT), run.frame(2)
    np.testing.assert_array_equal(facts["target"], frame.target)
    np.testing.assert_allclose(facts["reconstruction"], canvas.image.clamp(0, 1))
    mse = np.mean((facts["target"].astype(float) - facts["reconstruction"]) ** 2)
    assert facts["psnr"] == pytest.approx(-10 * np.log10(mse), abs=1e-4)
    names = [each["name"] for each in facts["instances"]]
    assert len(set(names)) == len(names) == len(frame.instances)
    assert all(name.startswith(each.category) for name, each in zip(names, frame.instances, strict=True))
    for row, column in np.ndindex(*frame.size):
        own = [(int(each.mask.sum()), at) for at, each in enumerate(frame.instances) if each.mask[row, column]]
        assert facts["positions"][row, column] == (min(own)[1] if own else -1)


@pytest.mark.parametrize("by", ["magnitude", "positive", "negative"])
@pytest.mark.parametrize("convention", ["paper", "effect"])
def test_the_neurons_of_a_rectangle(board: Board, run: RecordedRun, convention: Any, by: str) -> None:
    layer = run.canvas(3, 2, convention)["block_2"]
    facts = board.ask("top", **MOMENT, convention=convention, layer="block_2", rectangle="3,4,9,12", k=5, by=by)
    maps, magnitudes = layer.maps().double(), layer.magnitudes().double()
    here = magnitudes[:, 3:9, 4:12].mean((1, 2))
    signed = maps[:, 3:9, 4:12].mean((1, 2))
    order = {"magnitude": here, "positive": signed, "negative": -signed}[by].argsort(descending=True)[:5]
    assert facts["neurons"] == order.tolist()
    assert facts["num_selected"] == facts["num_pixels"] == 48
    assert facts["total"] == pytest.approx(float(here.sum()))
    np.testing.assert_allclose(facts["values"], here[order], rtol=1e-4)
    np.testing.assert_allclose(facts["signed"], signed[order], rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(facts["shares"], here[order] / here.sum(), rtol=1e-4)
    np.testing.assert_allclose(facts["means"], magnitudes[order].mean((1, 2)), rtol=1e-4)
    within = magnitudes[order][:, 3:9, 4:12].sum((1, 2)) / magnitudes[order].sum((1, 2))
    np.testing.assert_allclose(facts["within"], within, rtol=1e-4)
    np.testing.assert_array_equal(facts["maps"], layer.maps(order))


def test_the_neurons_of_a_pixel_and_of_an_instance(board: Board, run: RecordedRun, canvas: Canvas) -> None:
    pixel = board.ask("top", **MOMENT, layer="head", pixel="5,7", k=3)
    assert pixel["neurons"] == canvas["head"].top((5, 7), 3).neurons.tolist()
    assert pixel["labels"] == [canvas["head"].label(neuron) for neuron in pixel["neurons"]]
    mask = run.frame(2).instances[1].mask
    instance = board.ask("top", **MOMENT, layer="head", instance=1, k=3)
    assert instance["neurons"] == canvas["head"].top(mask, 3).neurons.tolist()
    assert instance["num_selected"] == int(mask.sum())


def test_effects_are_looked_at_in_evenly_spaced_pixels(effect: Canvas) -> None:
    mask = torch.zeros(16, 32, dtype=torch.bool)
    mask[2:12, 3:29] = True
    thin = thinned(mask, 64)
    assert int(thin.sum()) == 64
    assert bool((mask | ~thin).all())
    rows = thin.any(1).nonzero().flatten().tolist()
    assert (rows[0], rows[-1]) == (2, 11)
    assert thinned(mask, 1000) is mask
    expected, found = effect["block_1"].top(thin, 6), top_by_pixel(effect["block_1"], thin, 6, "magnitude")
    assert found.neurons.tolist() == expected.neurons.tolist()
    assert found.total == pytest.approx(expected.total)
    torch.testing.assert_close(found.values, expected.values)
    torch.testing.assert_close(found.signed, expected.signed)
    torch.testing.assert_close(found.shares, expected.shares)


def test_changes_since_the_epoch_before(board: Board, run: RecordedRun, canvas: Canvas) -> None:
    facts = board.ask("changes", **MOMENT, layer="block_2", rectangle="0,0,4,4", neurons="7,2,5")
    before = run.canvas(1, 2)["block_2"].maps([7, 2, 5])
    expected = (canvas["block_2"].maps([7, 2, 5]) - before)[:, :4, :4].abs().double().mean((1, 2))
    assert facts["before"] == 1
    np.testing.assert_allclose(facts["changes"], expected, rtol=1e-5)
    first = board.ask("changes", **(MOMENT | {"epoch": 0}), layer="block_2", pixel="0,0", neurons="7,2")
    assert (first["before"], first["changes"]) == (None, None)


def test_maps_may_be_small(board: Board, canvas: Canvas) -> None:
    maps = canvas["block_1"].maps([4, 0])
    facts = board.ask("maps", **MOMENT, layer="block_1", neurons="4,0")
    np.testing.assert_array_equal(facts["maps"], maps)
    np.testing.assert_allclose(facts["means"], maps.abs().mean((1, 2)), rtol=1e-5)
    small = board.ask("maps", **MOMENT, layer="block_1", neurons="4,0", side=8)
    np.testing.assert_allclose(small["maps"], F.avg_pool2d(maps[:, None], 4)[:, 0], rtol=1e-5, atol=1e-9)


def test_a_neuron(board: Board, run: RecordedRun, effect: Canvas) -> None:
    facts = board.ask("neuron", **MOMENT, layer="block_2", neuron=9)
    np.testing.assert_array_equal(facts["outputs"], effect["block_2"].maps([9], per_output=True)[0])
    source, destination = divmod(9, effect["block_2"].neuron_shape[1])
    assert facts["label"] == f"{source} → {destination}"
    (weight,) = (
        weight
        for call in run.recording(3, 2).calls
        for weight in call.tensors()
        if weight.ndim == 4 and tuple(weight.shape[:2]) == effect["block_2"].neuron_shape[::-1]
    )
    np.testing.assert_array_equal(facts["weights"], weight[destination, source].detach())


def test_without_neurons(board: Board, run: RecordedRun, effect: Canvas) -> None:
    facts = board.ask("without", **MOMENT, neuron=["head:3", "block_1:4", "head:0"])
    expected = effect.removal.together({"head": [3, 0], "block_1": [4]}).clamp(0, 1)
    np.testing.assert_allclose(facts["image"], expected, atol=1e-6)
    target = run.frame(2).target
    assert target is not None

    def psnr(image: torch.Tensor) -> float:
        return float(-10 * (image.double() - target).square().mean().log10())

    assert facts["psnr"] == pytest.approx(psnr(expected), abs=1e-4)
    assert facts["intact"] == pytest.approx(psnr(effect.image.clamp(0, 1)), abs=1e-4)
    assert facts["intact"] == pytest.approx(run.moment(3, 2).psnr, abs=1e-4)
    assert facts["has_target"] is True


def test_torch_is_imported_when_something_is_asked() -> None:
    program = (
        "import sys; from xinc_pl.board.plugin import CanvasPlugin; "
        "from tensorboard.plugins.base_plugin import TBContext; "
        "plugin = CanvasPlugin(TBContext(logdir='x')); plugin.get_plugin_apps(); plugin.is_active(); "
        "plugin.frontend_metadata(); assert not {'torch', 'lightning'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
