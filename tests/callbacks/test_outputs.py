from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import trainer

from xinc_pl import ContributionCanvas
from xinc_pl.callbacks.board import board_of
from xinc_pl.callbacks.outputs import Outputs, write_aside


def outputs_of(run: Trainer, folder: Path, several_frames: bool = False) -> Outputs:
    return Outputs(board_of(run), "mine", folder, epoch=30, step=450, several_frames=several_frames)


def events_of(run: Trainer) -> EventAccumulator:
    events = EventAccumulator(run.loggers[0].log_dir, size_guidance={"images": 0, "scalars": 0})
    events.Reload()
    return events


def test_a_picture_is_the_same_in_tensorboard_and_on_disk(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    outputs = outputs_of(run, tmp_path / "files")
    outputs.image("head", "maps", pixels, frame=7)
    outputs.flush()
    file = tmp_path / "files/mine/head/maps_epoch_0030.png"
    (event,) = events_of(run).Images("xinc/mine/head/maps")
    assert np.array_equal(np.asarray(Image.open(file)), pixels)
    assert event.encoded_image_string == file.read_bytes()
    assert (event.step, event.height, event.width) == (450, 5, 7)


def test_arrays_are_stored_by_name_and_nothing_else(tmp_path: Path) -> None:
    outputs = outputs_of(trainer(tmp_path), tmp_path)
    outputs.arrays("head", "maps", {"a": [1.5, 2.5], "b": "words"})
    stored = np.load(tmp_path / "mine/head/maps_epoch_0030.npz", allow_pickle=False)
    assert {name: stored[name].tolist() for name in stored} == {"a": [1.5, 2.5], "b": "words"}
    with pytest.raises(ValueError, match="maps: 'c' holds Python objects"):
        outputs.arrays("head", "maps", {"c": [{}]})


def test_tags_and_files_tell_the_frame_where_there_are_several(tmp_path: Path) -> None:
    outputs = outputs_of(trainer(tmp_path), tmp_path, several_frames=True)
    outputs.arrays("head", "maps", {"a": np.arange(3)}, frame=7)
    outputs.arrays("head", "all", {"a": np.arange(3)})
    assert outputs.tag("head", "maps", 7) == "xinc/mine/head/maps/frame_0007"
    assert (tmp_path / "mine/head/maps/frame_0007_epoch_0030.npz").is_file()
    assert (tmp_path / "mine/head/all_epoch_0030.npz").is_file()


def test_scalars_go_to_every_logger(tmp_path: Path) -> None:
    loggers = [TensorBoardLogger(tmp_path / "tensorboard"), CSVLogger(tmp_path / "csv")]
    run = trainer(tmp_path, logger=loggers)
    outputs_of(run, tmp_path).scalars("head", {"gini": 0.25})
    loggers[1].save()
    for logger in loggers:
        logger.finalize("success")
    (event,) = events_of(run).Scalars("xinc/mine/head/gini")
    assert (event.step, event.value) == (450, 0.25)
    header, row = (Path(loggers[1].log_dir) / "metrics.csv").read_text().splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True)) == {"step": "450", "xinc/mine/head/gini": "0.25"}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "film.gif"
    write_aside(path, b"old")

    def full_disk(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:1])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_aside(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["film.gif"]


def test_a_figure_is_written_in_all_formats_and_shown_as_pixels(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    figure = Figure(figsize=(2, 1), dpi=100)
    figure.text(0.1, 0.5, "words")
    outputs = replace(outputs_of(run, tmp_path / "files"), formats=("svg", "pdf"))
    outputs.image("head", "maps", figure)
    outputs.flush()
    names = sorted(file.name for file in (tmp_path / "files/mine/head").iterdir())
    assert names == ["maps_epoch_0030.pdf", "maps_epoch_0030.svg"]
    assert "words" in (tmp_path / "files/mine/head/maps_epoch_0030.svg").read_text()
    (event,) = events_of(run).Images("xinc/mine/head/maps")
    assert (event.height, event.width) == (100, 200)


def test_pixels_are_written_as_png_whatever_the_formats(tmp_path: Path) -> None:
    outputs = replace(outputs_of(trainer(tmp_path), tmp_path), formats=("svg",))
    outputs.image("head", "maps", np.zeros((4, 4, 3), np.uint8))
    assert (tmp_path / "mine/head/maps_epoch_0030.png").is_file()


@pytest.mark.parametrize("formats", ["png", [], ["gif"]])
def test_formats_that_there_are_not(formats: Any) -> None:
    with pytest.raises(ValueError, match="give a list of some of png, pdf, svg"):
        ContributionCanvas(formats=formats)
