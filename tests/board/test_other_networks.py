"""The tab on networks that are not ours: no chain of layers, one channel, no target."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import Board


@pytest.fixture(scope="module")
def board(others: Path) -> Board:
    """``version_0`` is a perceptron's on coordinates, ``version_1`` that of a sum."""
    return Board(others)


@pytest.mark.parametrize(
    ("run", "convention"), [("version_0", "paper"), ("version_0", "effect"), ("version_1", "effect")]
)
def test_every_question_is_answered(board: Board, run: str, convention: str) -> None:
    moment: dict[str, Any] = {"run": run, "epoch": 1, "frame": 0}
    layers = board.ask("layers", **moment, convention=convention)["layers"]
    pictures = board.ask("pictures", **moment)
    channels, height, width = pictures["reconstruction"].shape
    for layer, num_neurons in ((each["name"], each["num_neurons"]) for each in layers):
        k = min(3, num_neurons)
        top = board.ask("top", **moment, convention=convention, layer=layer, pixel="1,2", k=k)
        assert sum(top["shares"]) <= 1 + 1e-6
        listed = ",".join(map(str, top["neurons"]))
        changes = board.ask("changes", **moment, convention=convention, layer=layer, pixel="1,2", neurons=listed)
        assert len(changes["changes"]) == len(changes["groups"]) == k
        maps = board.ask("maps", **moment, convention=convention, layer=layer, neurons=listed)["maps"]
        assert maps.shape == (k, height, width)
        np.testing.assert_allclose(maps[:, 1, 2], top["signed"], rtol=1e-4, atol=1e-7)
        neuron = board.ask("neuron", **moment, layer=layer, neuron=top["neurons"][0])
        assert neuron["outputs"].shape == (channels, height, width)
        assert neuron["num_weights"] == neuron["weights"].size


def test_without_a_target_the_image_with_all_neurons_is_what_counts(board: Board) -> None:
    moment: dict[str, Any] = {"run": "version_1", "epoch": 1, "frame": 0}
    pictures = board.ask("pictures", **moment)
    assert pictures["target"] is None
    assert pictures["psnr"] is None
    layer = board.ask("layers", **moment, convention="effect")["layers"][0]["name"]
    without = board.ask("without", **moment, neuron=f"{layer}:1")
    assert without["has_target"] is False
    mse = np.mean((without["image"].astype(float) - pictures["reconstruction"]) ** 2)
    assert without["psnr"] == (None if mse == 0 else pytest.approx(-10 * np.log10(mse), abs=1e-3))


def test_a_network_that_is_no_chain_is_refused_under_the_papers_formulas(board: Board) -> None:
    status, reason = board.refused("layers", run="version_1", epoch=1, frame=0, convention="paper")
    assert status == 422
    assert reason.startswith("run version_1: ")
    assert "effect" in reason
