"""Runs that have recordings, and what is asked of them in vain."""

import shutil
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger
from tiny import tiny_clip, tiny_video, trainer

from xinc_pl import CanvasRecorder, RunError, load_run
from xinc_pl.callbacks import LastCheckpoint
from xinc_pl.recorded import RecordedRun, recorded_run
from xinc_pl.runs import Run
from xinc_pl.scalars import read_scalars


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    recorder = CanvasRecorder(at_epochs=(0, 1), frames=[1, 3], on_error="raise")
    run = trainer(folder, [recorder, LastCheckpoint()], max_epochs=3, logger=CSVLogger(folder, name="logs"))
    run.fit(tiny_video(), tiny_clip())
    assert run.log_dir is not None
    return Path(run.log_dir)


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> RecordedRun:
    """A run that may be spoilt."""
    run = recorded_run(Path(shutil.copytree(trained, tmp_path / "version_0")))
    assert run is not None
    return run


def test_epochs_count_from_either_end(trained: Path) -> None:
    run = load_run(trained)
    assert isinstance(run, RecordedRun)
    assert run.epochs == (0, 1, 3)
    assert run.moment(-2) == run.moment(1)
    assert run.moment(1, 3).epoch == 1
    assert run.frame().index == run.frames[0] == 1
    assert run.canvas().keys() == {"block_1", "block_2", "head"}
    assert run.canvas(0, 3, "effect").convention == "effect"


def test_what_was_not_recorded_is_told(trained: Path) -> None:
    run = recorded_run(trained)
    assert run is not None
    with pytest.raises(RunError, match="run version_0 has no recording after epoch 2; it has 0, 1, 3"):
        run.canvas(2)
    with pytest.raises(RunError, match="no recording after epoch -4"):
        run.canvas(-4)
    with pytest.raises(RunError, match="run version_0 has no recording of frame 0; it has 1, 3"):
        run.canvas(frame=0)
    with pytest.raises(RunError, match="run version_0 has no recording of frame 7; it has 1, 3"):
        run.frame(7)


def test_damaged_files_are_one_line(copied: RecordedRun) -> None:
    copied.files[0].write_bytes(b"nonsense")
    (copied.source.parent / "frames/frame_0003.safetensors").write_bytes(copied.source.read_bytes())
    (copied.source.parent / "frames/frame_0001.safetensors").unlink()
    with pytest.raises(RunError, match=r"run version_0: .*epoch_0000.safetensors: it is cut off"):
        copied.canvas(0)
    with pytest.raises(RunError, match=r"run version_0: .*frame_0003.safetensors: it holds no frame of xinc_pl"):
        copied.frame(3)
    with pytest.raises(RunError, match=r"run version_0: .*frame_0001.safetensors"):
        copied.frame(1)
    assert copied.canvas(1).keys() == {"block_1", "block_2", "head"}


def test_a_folder_without_recordings_is_none(tmp_path: Path) -> None:
    (tmp_path / "xinc/recordings").mkdir(parents=True)
    (tmp_path / "xinc/recordings/epoch_x.safetensors").touch()
    assert recorded_run(tmp_path) is None


def test_a_run_taken_up_again_in_its_folder_is_one(copied: RecordedRun) -> None:
    later = copied.path / "xinc_1/recordings"
    later.mkdir(parents=True)
    shutil.copy(copied.source, later / "epoch_0003.safetensors")
    shutil.copy(copied.source, later / "epoch_0010.safetensors")
    shutil.copytree(copied.source.parent / "frames", later / "frames")
    run = recorded_run(copied.path)
    assert run is not None
    assert run.epochs == (0, 1, 3, 10)
    assert run.files[3].parent == later


def test_curves_come_from_whatever_logger_there_was(trained: Path, copied: RecordedRun) -> None:
    run = recorded_run(trained)
    assert run is not None
    assert len(run.scalars["train/psnr"].steps) == len(run.scalars["train/psnr"].values) > 0
    assert "xinc/recordings/file/megabytes" in run.scalars
    (copied.path / "metrics.csv").write_text("a,b\n1,x\n")
    with pytest.raises(RunError, match=r"metrics.csv is no table of Lightning's CSVLogger"):
        _ = copied.scalars
    (copied.path / "metrics.csv").unlink()
    assert not read_scalars(copied.path)


def test_a_checkpoint_is_loaded_where_it_is_asked_for(finished_runs: Path) -> None:
    run = load_run(finished_runs / "lightning_logs/version_0")
    assert isinstance(run, Run)
    assert run.epochs == (2,)
    assert run.canvas(frame=1).keys() == run.canvas(2, 1).keys() == {"block_1", "block_2", "head"}
    assert len(run.scalars["train/psnr"].values) > 0
    with pytest.raises(RunError, match="has no recordings, only the weights after epoch 2; train with the callback"):
        run.canvas(0)
