"""What the README shows works as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.cli import LightningCLI

README = Path(__file__).parent.parent / "README.md"


def block_of(language: str, containing: str) -> str:
    """The README's one block of code that contains something."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    (block,) = (each for each in blocks if containing in each)
    return str(block)


EXAMPLE = block_of("python", "class MyINR")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])


def run(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code.replace("max_epochs=30", "max_epochs=2, enable_progress_bar=False"), str(README), "exec"), names)
    return names


def test_the_example_in_code() -> None:
    run(EXAMPLE)
    folder = Path("lightning_logs/version_0/xinc")
    assert {path.name for path in folder.iterdir()} == {"contribution_canvas", "canvas_evolution"}
    assert (folder / "contribution_canvas/2/maps_epoch_0002.png").exists()


def test_the_example_without_training() -> None:
    from xinc_pl import NeRV

    code = block_of("python", "removal.together")
    names: dict[str, Any] = {"network": NeRV((16, 32), strides=(2, 2), width=7, levels=6), "torch": torch}
    exec(compile(code, str(README), "exec"), names)
    assert set(names["canvas"]) == {"block_1", "block_2", "head"}
    assert names["statistics"].change.shape == (16, 32)


def test_the_example_in_yaml() -> None:
    names = run(EXAMPLE.replace("L.Trainer(", "0 and L.Trainer("))

    class WithFrames(names["MyINR"]):  # type: ignore[misc]
        def xinc_frames(self, indices: list[int]) -> list[Any]:
            return [names["frame"]] * len(indices)

        def train_dataloader(self) -> Any:
            return names["batches"]

    settings = yaml.safe_load(block_of("yaml", "xinc_pl.ContributionCanvas"))
    settings["trainer"] |= {"max_epochs": 5, "enable_progress_bar": False, "accelerator": "cpu"}
    Path("config.yaml").write_text(yaml.safe_dump(settings))
    LightningCLI(
        WithFrames,
        args=["fit", "--config", "config.yaml"],
        save_config_callback=None,
    )
    assert Path("lightning_logs/version_0/xinc/canvas_evolution/2/film.webp").exists()
