"""What the README shows works as it stands there."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.pytorch.cli import LightningCLI
from tiny import RUNS, SIZE

from xinc_pl.cli import main

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
    main(["fit", *RUNS[0], "--trainer.callbacks+", "CanvasRecorder"])
    run(block_of("python", "run.epochs"))
    names = run(block_of("python", "stream_statistics"))
    assert set(names["canvas"]) == {"block_1", "block_2", "head"}
    assert names["statistics"].change.shape == SIZE


def test_every_block_of_code_is_run_here() -> None:
    own = {block_of("python", "run.epochs"), block_of("python", "stream_statistics")}
    run_here = {EXAMPLE, *own, block_of("yaml", "xinc_pl.ContributionCanvas")}
    assert set(re.findall(r"```.*?\n(.*?)```", README.read_text(), re.DOTALL)) == run_here


COMMANDS = re.findall(r"^ {4}(?:.*&& )?python -m xinc_pl (.*?) *(?:#.*)?$", README.read_text(), re.MULTILINE)


def test_commands_on_a_run_work_whatever_its_settings() -> None:
    main(["fit", *RUNS[0]])
    commands = [each for each in COMMANDS if "$RUN" in each]
    assert [each.split()[0] for each in commands] == ["fit", "validate", "predict", "analyse", "export"]
    for command in commands:
        main(shlex.split(command.replace("$RUN", "lightning_logs/version_0")))
    assert list(Path("lightning_logs").rglob("*.gif"))


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("fit") and "$RUN" not in each])
def test_commands_are_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*shlex.split(command), "--print_config"])
    assert stopped.value.code == 0
    assert "xinc_pl.training" in capsys.readouterr().out


def test_links_and_pictures_are_there() -> None:
    for page in (README, *README.parent.glob("docs/*.md"), README.parent / "benchmarks/README.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert target.startswith("https://") or (page.parent / target).exists(), f"{page.name}: {target}"


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
