"""How long one waits: for the help, and from the start of a training to the first canvas that TensorBoard serves.

python benchmarks/first_canvas.py
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

_PATIENCE = 300.0  # seconds


def seconds_of_help() -> float:
    """Time of ``python -m xinc_pl --help``."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "xinc_pl", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def seconds_to_first_canvas(folder: Path) -> float:
    """Time from the call of ``fit --config nerv.yaml`` until a running TensorBoard serves a picture of it."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    options = ["--logdir", "lightning_logs", "--samples_per_plugin", "images=500", "--port", str(port)]
    silent = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    board = subprocess.Popen([sys.executable, "-m", "tensorboard.main", *options], **silent)  # type: ignore[call-overload]
    tags = f"http://localhost:{port}/data/plugin/images/tags"
    try:
        while _served(tags) is None:  # it has to be up before the clock starts
            time.sleep(0.2)
        start = time.perf_counter()
        fit = [sys.executable, "-m", "xinc_pl", "fit", "--config", "nerv.yaml"]
        training = subprocess.Popen(fit, **silent)  # type: ignore[call-overload]
        try:
            while not _served(tags):
                if time.perf_counter() - start > _PATIENCE or training.poll() is not None:
                    raise RuntimeError("no canvas was served")
                time.sleep(0.1)
            return time.perf_counter() - start
        finally:
            training.kill()
            training.wait()
    finally:
        board.kill()
        board.wait()


def _served(address: str) -> dict[str, object] | None:
    """What TensorBoard knows of pictures; None while it does not answer."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            found: dict[str, object] = json.load(answer)
            return found
    except OSError:
        return None


if __name__ == "__main__":
    print(f"--help: {seconds_of_help():.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        print(f"fit to the first canvas served by TensorBoard: {seconds_to_first_canvas(Path(folder)):.1f} s")
