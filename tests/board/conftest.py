"""A small recorded run, and what answers about it."""

from pathlib import Path

import pytest
import torch
from asking import Board
from lightning.pytorch import LightningModule
from tiny import tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer
from torch import Tensor, nn

import xinc_pl.tools.compare
from xinc_pl import CanvasRecorder, Frame
from xinc_pl.frames import pixel_coordinates

SIZE = (6, 10)


class Sum(nn.Module):
    """Two ways from the coordinates to a grey image, added up."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = (nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)) for _ in range(2))

    def forward(self, xy: Tensor) -> Tensor:
        added: Tensor = self.one(xy) + self.other(xy)
        return added


class Module(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = Sum()

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        mean: Tensor = self.net(batch).square().mean()
        return mean

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture(scope="session")
def logdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: ``version_0`` has recordings, ``version_1`` has none."""
    folder = tmp_path_factory.mktemp("board")
    recorder = CanvasRecorder(at_epochs=(0, 1, 3), frames=[0, 2], on_error="raise")
    trainer(folder, [recorder], max_epochs=4).fit(tiny_video(), tiny_clip())
    trainer(folder, [], max_epochs=1).fit(tiny_video(), tiny_clip())
    return folder / "logs"


@pytest.fixture(scope="session")
def board(logdir: Path) -> Board:
    """Asked by many tests."""
    return Board(logdir)


@pytest.fixture(scope="session")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of other networks: a perceptron on coordinates; and a sum, of one channel, without a target."""
    folder = tmp_path_factory.mktemp("others")
    trainer(folder, [CanvasRecorder(on_error="raise")], max_epochs=1).fit(tiny_image(), tiny_photograph())
    inputs = pixel_coordinates(SIZE)
    recorder = CanvasRecorder(frames=[Frame(0, inputs, SIZE, None)], network="net", on_error="raise")
    trainer(folder, [recorder], max_epochs=1).fit(Module(), torch.utils.data.DataLoader([inputs], batch_size=None))
    return folder / "logs"


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of one clip with different seeds, a third that is compared with none, and the comparison of the two."""
    folder = tmp_path_factory.mktemp("compared")
    for seed in range(3):
        module = tiny_video()
        torch.manual_seed(seed)
        for parameter in module.network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        trainer(folder, [CanvasRecorder(at_epochs=(0, 1), on_error="raise")], max_epochs=2).fit(module, tiny_clip())
    logs = folder / "logs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xinc_pl.tools.compare, "joint_layout", lambda *_: None)  # which takes ten seconds to compile
        xinc_pl.tools.compare.main([str(logs / "version_0"), str(logs / "version_1"), "--out", str(logs / "compare_0")])
    return logs
