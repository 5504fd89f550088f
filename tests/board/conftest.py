"""A small recorded run, and what answers about it."""

from pathlib import Path

import pytest
from asking import Board
from tiny import tiny_clip, tiny_video, trainer

from xinc_pl import CanvasRecorder


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
