"""Which weights are dissected where another callback swaps them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from PIL import Image
from tiny import Probe, tiny_image, tiny_photograph, trainer
from torch import nn

from xinc_pl.callbacks import ContributionCanvas, DissectedFrame, Outputs


class Notes(Probe):
    """What the network is that it sees, and what the title says."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.weights_seen: dict[int, torch.Tensor] = {}
        self.notes: dict[int, str] = {}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        super().analyse(frames, layers, outputs)
        self.weights_seen[outputs.epoch] = flat(frames[0].network)
        self.notes[outputs.epoch] = outputs.note


class Witness(Callback):
    """The weights at each epoch's end, in each validation, and at the very end."""

    def __init__(self) -> None:
        self.at_epoch_end: dict[int, torch.Tensor] = {}
        self.in_validation: dict[int, torch.Tensor] = {}
        self.at_fit_end = torch.zeros(0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.at_epoch_end[trainer.current_epoch + 1] = flat(pl_module)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.in_validation[trainer.current_epoch + 1] = flat(pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.at_fit_end = flat(pl_module)


def flat(module: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


class OwnEMA(Callback):
    """Somebody's own moving average, swapped in for validation."""

    def __init__(self) -> None:
        self.average: list[torch.Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.average = [parameter.detach().clone() for parameter in pl_module.parameters()]

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        for average, parameter in zip(self.average, pl_module.parameters(), strict=True):
            average.lerp_(parameter.detach(), 0.5)

    def swap(self, pl_module: LightningModule) -> None:
        for place, parameter in enumerate(pl_module.parameters()):
            parameter.data, self.average[place] = self.average[place], parameter.data

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.swap(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.swap(pl_module)


def run(folder: Path, callbacks: list[Callback], max_epochs: int = 3, **options: Any) -> None:
    trainer(folder, callbacks, max_epochs=max_epochs, **options).fit(tiny_image(), tiny_photograph())


@pytest.mark.parametrize("is_first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("average", [lambda: EMAWeightAveraging(decay=0.5), OwnEMA], ids=["lightning", "own"])
def test_both_kinds_of_weights_are_dissected_and_titles_say_which(tmp_path: Path, average: Any, is_first: bool) -> None:
    raw = Notes(at_epochs=(1, 2), name="raw", on_error="raise")
    validated = Notes(at_epochs=(1, 2), name="validated", weights="validation", on_error="raise")
    witness = Witness()
    ours: list[Callback] = [raw, validated, witness]
    run(tmp_path, [average(), *ours] if is_first else [*ours, average()])
    for epoch in (1, 2, 3):
        assert torch.equal(raw.weights_seen[epoch], witness.at_epoch_end[epoch])
        assert torch.equal(validated.weights_seen[epoch], witness.in_validation[epoch])
        assert not torch.equal(raw.weights_seen[epoch], validated.weights_seen[epoch])
        assert raw.notes[epoch] == "weights of the epoch's end"
    assert validated.notes[3] == "weights that validation sees"
    assert validated.moments == raw.moments == [(1, 2), (2, 4), (3, 6)]


def test_without_swaps_nothing_is_said(tmp_path: Path) -> None:
    raw, validated = Notes(name="raw"), Notes(name="validated", weights="validation")
    run(tmp_path, [raw, validated])
    assert set(raw.notes.values()) == {""}
    assert raw.moments == validated.moments
    assert all(torch.equal(raw.weights_seen[epoch], validated.weights_seen[epoch]) for epoch in raw.weights_seen)


def test_what_is_due_without_a_validation_waits_for_the_next_one(tmp_path: Path) -> None:
    probe, witness = Notes(at_epochs=(0, 1, 3), weights="validation"), Witness()
    run(tmp_path, [EMAWeightAveraging(decay=0.5), probe, witness], max_epochs=5, check_val_every_n_epoch=2)
    assert [epoch for epoch, _ in probe.moments] == [0, 2, 4, 5]
    assert torch.equal(probe.weights_seen[2], witness.in_validation[2])
    assert torch.equal(probe.weights_seen[5], witness.at_fit_end), "the averaged weights, which the training leaves"
    assert probe.notes[5] == "weights that the training leaves"


def test_of_several_validations_in_an_epoch_the_last_counts(tmp_path: Path) -> None:
    probe = Notes(at_epochs=(1,), weights="validation")
    run(tmp_path, [probe], max_epochs=1, val_check_interval=1)
    assert probe.moments == [(1, 2)]


def test_averages_at_the_end_are_told_too(tmp_path: Path) -> None:
    probe, witness = Notes(at_epochs=()), Witness()
    run(tmp_path, [StochasticWeightAveraging(0.01, swa_epoch_start=1), probe, witness])
    assert torch.equal(probe.weights_seen[3], witness.at_epoch_end[3])
    assert not torch.equal(probe.weights_seen[3], witness.at_fit_end)
    assert probe.notes == {3: "weights of the epoch's end"}


def test_the_line_stands_above_the_picture(tmp_path: Path) -> None:
    def height(callbacks: list[Callback], name: str) -> int:
        run(tmp_path / name, [*callbacks, ContributionCanvas(at_epochs=(), layers=["layer_1"])], max_epochs=1)
        (path,) = (tmp_path / name).rglob("maps_epoch_0001.png")
        return Image.open(path).height

    assert height([EMAWeightAveraging()], "averaged") == height([], "plain") + 30


def test_a_wrong_choice_is_named() -> None:
    with pytest.raises(ValueError, match="Probe: weights is 'best'; choose epoch_end or validation"):
        Probe(weights="best")
