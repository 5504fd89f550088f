"""Results are written by a thread of their own: in order, all of them, and what fails is told as ever."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from tiny import tiny_image, tiny_photograph, trainer

import xinc_pl.callbacks.outputs
from xinc_pl import XINCCallback
from xinc_pl.callbacks import DissectedFrame, Outputs
from xinc_pl.callbacks.desk import BackgroundDesk, WritingFailure


def test_results_are_written_in_order_by_another_thread_and_never_more_wait_than_can() -> None:
    desk, done, gate = BackgroundDesk(), [], threading.Event()
    desk.later("a", 0, lambda: gate.wait(30) and None)
    bringer = threading.Thread(
        target=lambda: [desk.later("a", 0, lambda number=number: done.append(number)) for number in range(200)]
    )
    bringer.start()
    bringer.join(0.2)
    assert bringer.is_alive()  # it waits: the queue is full
    gate.set()
    bringer.join(30)
    desk.finish()
    assert done == list(range(200))
    assert not [each for each in threading.enumerate() if each.name == "xinc writes"]


def test_what_fails_is_told_once_to_its_owner_and_the_rest_is_written() -> None:
    desk, done, error = BackgroundDesk(), [], OSError("no space left")

    def fail() -> None:
        raise error

    desk.later("a", 3, fail)
    desk.later("b", 3, lambda: done.append(1))
    desk.finish()
    assert done == [1]
    assert desk.failures("b") == []
    assert desk.failures("a") == [WritingFailure("a", 3, error)]
    assert desk.failures("a") == []


def test_an_interrupted_end_loses_nothing_of_what_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, done, gate = BackgroundDesk(), [], threading.Event()

    def interrupted(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    desk.later("a", 0, lambda: gate.wait(30) and done.append(1))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            desk.finish()
    (first,) = (each for each in threading.enumerate() if each.name == "xinc writes")
    gate.set()
    first.join(30)
    for number in range(2, 200):
        desk.later("a", 0, lambda number=number: done.append(number))
    desk.finish()
    assert done == list(range(1, 200))


class Drawing(XINCCallback):
    """Two pictures and an array in a buffer that it uses again."""

    def __init__(self, **arguments: object) -> None:
        super().__init__(at_epochs=(0, 1), **arguments)  # type: ignore[arg-type]
        self.buffer = np.zeros((4, 4, 3), np.uint8)

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw."""
        del frames
        for number in (1, 2):
            self.buffer[:] = 10 * outputs.epoch + number
            outputs.image(layers[0], f"picture_{number}", self.buffer)
            outputs.arrays(layers[0], f"array_{number}", {"a": self.buffer})


def stored(folder: Path) -> dict[str, int]:
    files = (folder / "xinc/drawing").rglob("array*.npz")
    return {file.stem: int(np.load(file)["a"].mean()) for file in files}


def test_buffers_may_be_used_again(tmp_path: Path) -> None:
    run = trainer(tmp_path, [Drawing()], max_epochs=1)
    run.fit(tiny_image(), tiny_photograph())
    found = stored(Path(str(run.log_dir)))
    assert found == {f"array_{n}_epoch_{epoch:04d}": 10 * epoch + n for n in (1, 2) for epoch in (0, 1)}


class Stopping(Callback):
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        raise RuntimeError("somebody else's mistake")


def test_what_waits_is_written_when_the_training_fails(tmp_path: Path) -> None:
    run = trainer(tmp_path, [Drawing(), Stopping()], max_epochs=1)
    with pytest.raises(RuntimeError, match="somebody else's"):
        run.fit(tiny_image(), tiny_photograph())
    assert set(stored(Path(str(run.log_dir)))) == {"array_1_epoch_0000", "array_2_epoch_0000"}
    assert not [each for each in threading.enumerate() if each.name == "xinc writes"]


def test_a_full_disk_is_told_as_a_failure_of_the_callback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xinc_pl.callbacks.outputs, "write_aside", full)
    with pytest.warns(UserWarning, match="Drawing failed after epoch 0; the training goes on") as told:
        trainer(tmp_path / "warn", [Drawing()], max_epochs=1).fit(tiny_image(), tiny_photograph())
    assert any("Drawing failed at 2 moments" in str(each.message) for each in told)
    with pytest.raises(OSError, match="No space left"):
        trainer(tmp_path / "raise", [Drawing(on_error="raise")], max_epochs=1).fit(tiny_image(), tiny_photograph())
