"""How long one waits in the Canvas tab, for the default NeRV: from a click to the list of neurons, and to the strip.

python benchmarks/board.py

Trains a few epochs of a few steps with CanvasRecorder, starts TensorBoard, and asks over HTTP as the page does. Prints
medians of 20, with the smallest and the largest.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tensorboard import default, program

_NUM_TIMES = 20
_PATIENCE = 120.0  # seconds
_SIZE = (128, 256)


def record_a_run(folder: Path) -> None:
    """Seven recordings of the default network on the default clip."""
    fit = [sys.executable, "-m", "xinc_pl", "fit", "--config", "nerv.yaml", "--trainer.max_epochs", "6"]
    fit += ["--trainer.limit_train_batches", "2", "--trainer.enable_progress_bar", "false", "--trainer.callbacks"]
    fit += ["xinc_pl.callbacks.CanvasRecorder", "--trainer.callbacks.every_n_epochs", "1"]
    subprocess.run(fit, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def serve(logdir: str) -> None:
    """A TensorBoard with the tab, whether xinc_pl is installed or not; prints its address."""
    from xinc_pl.board.plugin import CanvasPlugin

    server = program.TensorBoard([*default.get_static_plugins(), CanvasPlugin])
    server.configure(("tensorboard", "--logdir", logdir, "--port", "0", "--load_fast", "false"))
    print(server.launch(), flush=True)
    time.sleep(1e6)


class Tab:
    """Asks what the page asks."""

    def __init__(self, address: str) -> None:
        self._address = f"{address}data/plugin/canvas/"
        self._moment = {"run": "version_0", "epoch": 6, "frame": 0}

    def ask(self, question: str, **values: object) -> bytes:
        """The answer as it comes."""
        query = urllib.parse.urlencode(self._moment | values)
        with urllib.request.urlopen(f"{self._address}{question}?{query}", timeout=_PATIENCE) as answer:
            data: bytes = answer.read()
            return data

    def wait(self) -> None:
        """Until TensorBoard lists the run."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.ask("run")
                return
            except urllib.error.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def top(self, **values: object) -> dict[str, object]:
        """The list of neurons, read as far as its numbers."""
        data = self.ask("top", **values)
        facts: dict[str, object] = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])
        return facts

    def strip(self, convention: str, neuron: int) -> None:
        """One neuron's maps at all epochs, one after the other."""
        for epoch in range(7):
            self.ask("maps", epoch=epoch, convention=convention, layer="block_1", neurons=neuron, side=256)


def measured(what: str, act: Callable[[], object]) -> None:
    seconds = []
    for _ in range(_NUM_TIMES):
        start = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - start)
    print(f"{what}: {statistics.median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})", flush=True)


def once(what: str, act: Callable[[], object]) -> None:
    start = time.perf_counter()
    act()
    print(f"{what}: {time.perf_counter() - start:.2f} s", flush=True)


def measure(tab: Tab) -> None:
    tab.wait()
    chance = random.Random(0)

    def pixel() -> str:
        return f"{chance.randrange(_SIZE[0])},{chance.randrange(_SIZE[1])}"

    for convention, name in (("paper", "paper"), ("effect", "effect")):
        about = {"convention": convention, "layer": "block_1"}
        once(f"{name}: the first canvas, loaded and checked", lambda about=about: tab.ask("layers", **about))  # type: ignore[misc]
        tab.top(**about, pixel=pixel())
        measured(
            f"{name}: click to list, a pixel, 18,352 neurons",
            lambda about=about: tab.top(**about, pixel=pixel()),  # type: ignore[misc]
        )
        once(f"{name}: the strip of 7 epochs, not loaded yet", lambda name=name: tab.strip(name, 0))  # type: ignore[misc]
        measured(
            f"{name}: click to strip, 7 maps, loaded",
            lambda name=name: tab.strip(name, chance.randrange(18352)),  # type: ignore[misc]
        )
        measured(
            f"{name}: one map",
            lambda about=about: tab.ask("maps", **about, neurons=chance.randrange(18352)),  # type: ignore[misc]
        )
        for by in ("total", "group", "change"):
            once(
                f"{name}: sorted by {by}, the first time",
                lambda about=about, by=by: tab.top(**about, by=by, pixel=pixel()),
            )  # type: ignore[misc]
            measured(
                f"{name}: sorted by {by}",
                lambda about=about, by=by: tab.top(**about, by=by, pixel=pixel()),  # type: ignore[misc]
            )
    rectangle = {"layer": "block_1", "rectangle": "50,90,70,120"}
    measured("paper: a rectangle of 20 x 30 pixels", lambda: tab.top(**rectangle))
    once("effect: the same, in 64 of its pixels", lambda: tab.top(**rectangle, convention="effect"))
    measured("one neuron taken away", lambda: tab.ask("without", neuron=f"block_1:{chance.randrange(18352)}"))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    else:
        with tempfile.TemporaryDirectory() as temporary:
            record_a_run(Path(temporary))
            command = [sys.executable, __file__, "serve", f"{temporary}/lightning_logs"]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            try:
                assert server.stdout is not None
                measure(Tab(server.stdout.readline().strip()))
            finally:
                server.kill()
                server.wait()
