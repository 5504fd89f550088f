"""Two processes on the CPU: the first one analyses, and neither waits for ever."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import QUIET, SHORT, TINY

import xinc_pl.callbacks
from xinc_pl.callbacks import XINCCallback

CALLBACKS = sorted(
    name
    for name in xinc_pl.callbacks.__all__
    if isinstance(each := getattr(xinc_pl.callbacks, name), type)
    and issubclass(each, XINCCallback)
    and each is not XINCCallback
)


@pytest.mark.slow
def test_two_processes_leave_one_set_of_files(tmp_path: Path) -> None:
    callbacks = [word for name in ("LastCheckpoint", *CALLBACKS) for word in ("--trainer.callbacks+", name)]
    command = [sys.executable, "-m", "xinc_pl", "fit", *TINY["nerv"], "--trainer.callbacks", "[]", *callbacks]
    parallel = ["--trainer.strategy", "ddp", "--trainer.devices", "2"]
    done = subprocess.run(
        [*command, *SHORT, *QUIET, *parallel, "--trainer.max_epochs", "1"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "failed after epoch" not in done.stderr
    (run,) = (tmp_path / "lightning_logs").iterdir()
    assert len(list(run.glob("events.out.tfevents.*"))) == 1
    assert len(list(run.rglob("last.ckpt"))) == 1
    for name in CALLBACKS:
        if f"{name} is left out: " in done.stdout + done.stderr:
            continue
        folder = run / "xinc" / getattr(xinc_pl.callbacks, name)().name
        assert list(folder.rglob("epoch_*.safetensors" if name == "CanvasRecorder" else "*.png")), name
