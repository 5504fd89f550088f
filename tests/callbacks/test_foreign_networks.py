"""Networks that take and return other things than one tensor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from tiny import Probe, trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from xinc_pl import Frame
from xinc_pl.callbacks import CanvasEvolution, ContributionCanvas, Faithfulness
from xinc_pl.canvas import Inputs
from xinc_pl.frames import pixel_coordinates, psnr_from_mse

SIZE = (6, 8)
COORDINATES = pixel_coordinates(SIZE)
TARGET = torch.linspace(0, 1, 3 * 48).reshape(3, *SIZE)


class Net(nn.Module):
    """Takes and returns what a test wants."""

    def __init__(self, enter: Callable[..., Tensor], leave: Callable[[Tensor], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(2, 12), nn.SiLU(), nn.Linear(12, 3), nn.Sigmoid())
        self.enter, self.leave = enter, leave

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.leave(self.layers(self.enter(*args, **kwargs)))


class Project(LightningModule):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self.net.layers(batch) - TARGET.flatten(1).T).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def fit(folder: Path, net: Net, callbacks: list[Any]) -> Path:
    run = trainer(folder, callbacks, max_epochs=1)
    run.fit(Project(net), DataLoader([COORDINATES], batch_size=None))
    return Path(run.log_dir)


ENTRIES = {
    "tensor": (lambda xy: xy, COORDINATES),
    "positional": (lambda x, y: torch.cat([x, y], -1), (COORDINATES[:, :1], COORDINATES[:, 1:])),
    "dict": (lambda batch: batch["in"]["xy"], {"in": {"xy": COORDINATES}, "time": torch.zeros(1)}),
    "by name": (lambda *, xy, scale: scale * xy, Inputs(xy=COORDINATES, scale=1.0)),
    "list": (lambda parts: parts[0], [COORDINATES, torch.zeros(1)]),
}
EXITS = {
    "tensor": (lambda image: image, None),
    "key": (lambda image: {"rgb": image, "depth": image[:, :1]}, "rgb"),
    "index": (lambda image: (image[:, :1], image), 1),
    "path": (lambda image: {"fine": [image[:, :1], {"rgb": image}]}, ["fine", 1, "rgb"]),
    "function": (lambda image: {"fine": (image,)}, lambda result: result["fine"][0].clamp(0, 1)),
}


@pytest.mark.parametrize(
    ("entry", "exit_"), [*((entry, "tensor") for entry in ENTRIES), *(("tensor", name) for name in EXITS)]
)
def test_every_kind_of_inputs_and_outputs_is_dissected_alike(tmp_path: Path, entry: str, exit_: str) -> None:
    (enter, inputs), (leave, output) = ENTRIES[entry], EXITS[exit_]
    probe = Probe(network="net", frames=[Frame(0, inputs, SIZE, TARGET)], output=output, at_epochs=(), on_error="raise")
    net = Net(enter, leave)
    fit(tmp_path, net, [probe])
    expected = net.layers(COORDINATES).detach().T.reshape(3, *SIZE)
    (frame,) = probe.seen
    assert torch.allclose(frame.reconstruction, expected, atol=1e-6)
    assert frame.psnr == pytest.approx(float(psnr_from_mse((expected - TARGET).square().mean())), abs=1e-3)
    assert probe.layers_seen == ["layers.0", "layers.2"]


def test_analyses_of_one_network_whose_images_are_two(tmp_path: Path) -> None:
    net = Net(lambda xy: xy, lambda image: {"rgb": image, "negative": 1 - image})
    frames = [Frame(0, COORDINATES, SIZE, TARGET)]
    general: dict[str, Any] = {"network": "net", "frames": frames, "at_epochs": (), "on_error": "raise"}
    first, second = Probe(name="a", output="rgb", **general), Probe(name="b", output=["negative"], **general)
    folder = fit(
        tmp_path,
        net,
        [
            first,
            second,
            ContributionCanvas(output="rgb", num_neurons=2, **general),
            CanvasEvolution(output="rgb", num_neurons=2, **general),
            Faithfulness(output="rgb", num_neurons=4, num_candidates=6, **general),
        ],
    )
    assert torch.allclose(first.seen[0].reconstruction, 1 - second.seen[0].reconstruction, atol=1e-6)
    assert list(folder.rglob("faithfulness_epoch_0001.png"))


@pytest.mark.parametrize("output", ["missing", 7, ["rgb", 0, 0, 0], lambda result: result])
def test_an_output_that_is_not_there_is_one_line(tmp_path: Path, output: Any) -> None:
    net = Net(lambda xy: xy, lambda image: {"rgb": image})
    probe = Probe(network="net", frames=[Frame(0, COORDINATES, SIZE, TARGET)], output=output)
    with pytest.warns(UserWarning, match="Probe is left out"):
        fit(tmp_path, net, [probe])
    assert probe.moments == []
