import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import Probe, tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer

from xinc_pl.callbacks import CanvasEvolution, DissectedFrame, LastCheckpoint, Outputs
from xinc_pl.callbacks.film import Film

LAYERS = ["block_1", "block_2", "head"]


def evolution(**arguments: Any) -> CanvasEvolution:
    return CanvasEvolution(**({"at_epochs": (0, 1, 3), "num_neurons": 4, "on_error": "raise"} | arguments))


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as film:
        pictures = []
        for index in range(getattr(film, "n_frames", 1)):
            film.seek(index)
            pictures.append(np.asarray(film.convert("RGB")))
    return pictures


class Counting(Probe):
    """Logs a number that changes, and, as every probe, one that does not."""

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        super().analyse(frames, layers, outputs)
        outputs.scalars(layers[0], {"epoch": outputs.epoch})


def test_films_numbers_and_the_final_figures(tmp_path: Path) -> None:
    others = [Probe(at_epochs=(0, 1), name="still"), Counting(at_epochs=(0, 1), name="counting")]
    run = trainer(tmp_path, [evolution(), *others], max_epochs=4)
    run.fit(tiny_video(), tiny_clip())
    folder = Path(run.log_dir) / "xinc/canvas_evolution"
    for layer in LAYERS:
        pictures = frames_of(folder / layer / "film.webp")
        assert len(pictures) == 4, "epochs 0, 1, 3 and the last"
        assert len({picture.shape for picture in pictures}) == 1
        assert not np.array_equal(pictures[0], pictures[-1])
    figures = sorted((folder / "all_layers/curves").iterdir())
    assert [path.name for path in figures] == ["canvas_evolution_epoch_0004.png", "counting_epoch_0004.png"]
    for path in figures:
        width, height = Image.open(path).size
        assert width > height
    events = EventAccumulator(run.log_dir, size_guidance={"images": 0, "scalars": 0}).Reload()
    drift = events.Scalars("xinc/canvas_evolution/head/drift")
    assert [point.step for point in drift] == [2, 6, 8], "none at the first dissection"
    assert all(0 < point.value < 1 for point in drift)
    shown = events.Images("xinc/canvas_evolution/head/film")
    assert len(shown) == 1
    animation = Image.open(io.BytesIO(shown[0].encoded_image_string))
    assert (animation.format, animation.n_frames) == ("PNG", 4)
    tags = [tag for tag in events.Tags()["images"] if "curves" in tag]
    assert tags == [f"xinc/canvas_evolution/all_layers/curves/{name}" for name in ("canvas_evolution", "counting")]


def test_a_resumed_run_ends_with_the_same_figure_and_films(tmp_path: Path) -> None:
    def run(folder: Path, max_epochs: int, checkpoint: Path | None = None) -> Path:
        made = trainer(folder, [evolution(), LastCheckpoint()], max_epochs=max_epochs)
        made.fit(tiny_video(), tiny_clip(), ckpt_path=checkpoint)
        return Path(made.log_dir)

    class StopsAfterTwo(Probe):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 2:
                raise KeyboardInterrupt

    whole = run(tmp_path / "whole", 4)
    stopped = trainer(tmp_path / "stopped", [evolution(), LastCheckpoint(), StopsAfterTwo(at_epochs=())], max_epochs=4)
    with pytest.raises(SystemExit):
        stopped.fit(tiny_video(), tiny_clip())
    assert len(frames_of(Path(stopped.log_dir) / "xinc/canvas_evolution/head/film.webp")) == 3, (
        "whole, when interrupted"
    )
    resumed = run(tmp_path / "resumed", 4, next((tmp_path / "stopped").rglob("last.ckpt")))
    for name in [*(f"{layer}/film.webp" for layer in LAYERS), "all_layers/curves/canvas_evolution_epoch_0004.png"]:
        paths = [folder / "xinc/canvas_evolution" / name for folder in (whole, resumed)]
        assert paths[0].read_bytes() == paths[1].read_bytes(), name


def test_a_full_disk_loses_nothing_and_the_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(film: Film, pixels: Any) -> None:
        if film.num_bytes:
            raise OSError(28, "No space left on device")
        append(film, pixels)

    append = Film.append
    monkeypatch.setattr(Film, "append", full)
    run = trainer(tmp_path, [evolution(on_error="warn")], max_epochs=2)
    with pytest.warns(UserWarning, match="No space left"):
        run.fit(tiny_video(), tiny_clip())
    assert run.current_epoch == 2
    folder = Path(run.log_dir) / "xinc/canvas_evolution"
    assert len(frames_of(folder / "block_1/film.webp")) == 1, "the film of before is whole"
    assert not list(folder.rglob("*.aside"))


def test_a_checkpoint_does_not_grow_with_the_film(tmp_path: Path) -> None:
    def size(num_epochs: int) -> int:
        callback = evolution(at_epochs=(), every_n_epochs=1)
        trainer(tmp_path / str(num_epochs), [callback], max_epochs=num_epochs).fit(tiny_video(), tiny_clip())
        buffer = io.BytesIO()
        torch.save(callback.state_dict(), buffer)
        return buffer.tell()

    short, long = size(2), size(6)
    assert long - short < 6 * 4 * 200, "16 bytes for each number, and nothing of a picture"


def test_a_film_whose_beginning_is_gone_starts_anew(tmp_path: Path) -> None:
    first = trainer(tmp_path / "first", [evolution(), LastCheckpoint()], max_epochs=2)
    first.fit(tiny_video(), tiny_clip())
    (Path(first.log_dir) / "xinc/canvas_evolution/head/film.webp").unlink()
    (Path(first.log_dir) / "xinc/canvas_evolution/block_1/film.webp").write_bytes(b"short")
    second = trainer(tmp_path / "second", [evolution(), LastCheckpoint()], max_epochs=4)
    second.fit(tiny_video(), tiny_clip(), ckpt_path=next((tmp_path / "first").rglob("last.ckpt")))
    folder = Path(second.log_dir) / "xinc/canvas_evolution"
    assert {layer: len(frames_of(folder / layer / "film.webp")) for layer in LAYERS} == {
        "block_1": 2,
        "block_2": 5,
        "head": 2,
    }


def test_an_image_network_has_films_too(tmp_path: Path) -> None:
    run = trainer(tmp_path, [evolution()], max_epochs=1)
    run.fit(tiny_image(), tiny_photograph())
    assert {path.parent.name for path in Path(run.log_dir).rglob("film.webp")} == {"layer_1", "layer_2", "layer_3"}


@pytest.mark.parametrize("arguments", [{"num_neurons": 0}, {"num_neurons": 65}, {"milliseconds": 5}])
def test_wrong_arguments_are_named(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"CanvasEvolution: {next(iter(arguments))} is"):
        CanvasEvolution(**arguments)
