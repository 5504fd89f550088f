import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import Foreign, trainer
from torch.utils.data import DataLoader

import xinc_pl.tools.compare
from xinc_pl import CanvasRecorder, Frame
from xinc_pl.analysis.joint_layout import JointLayout
from xinc_pl.canvas.statistics.results import NeuronVectors
from xinc_pl.cli import main
from xinc_pl.frames import pixel_coordinates

LAYERS = ["block_1", "block_2", "head"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["xinc"])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without UMAP, which takes ten seconds to compile."""

    def two_clusters(vectors: Sequence[NeuronVectors], seed: int = 0) -> JointLayout:
        del seed
        points = torch.cat([each.vectors[:, :2] for each in vectors]).numpy()
        run = np.concatenate([np.full(len(each.neurons), index) for index, each in enumerate(vectors)])
        return JointLayout(points, run, torch.cat([each.neurons for each in vectors]).numpy())

    monkeypatch.setattr(xinc_pl.tools.compare, "joint_layout", two_clusters)


def run_of(finished_runs: Path, number: int) -> str:
    return str(finished_runs / f"lightning_logs/version_{number}")


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def check_everything_is_there(folder: Path, printed: str) -> None:
    assert {path.name.split(".")[0] for path in folder.iterdir()} == {
        *("variances", "matching", "layout", "table", "events"),
        *(f"layout_{layer}" for layer in LAYERS),
    }
    assert (folder / "table.md").read_text() in printed
    assert f"written to: {folder}" in printed
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0}).Reload()
    assert sorted(events.Tags()["images"]) == [f"xinc/compare/{name}" for name in ("layout", "matching", "variances")]
    assert events.Tags()["tensors"] == ["xinc/compare/table/text_summary"]
    rows = {(row["layer"], row["quantity"]): row for row in rows_of(folder) if not row["partition"]}
    for layer in LAYERS:
        for tag, quantity, column in (
            ("match", "match", "value"),
            ("match_control", "match", "control"),
            ("match/1_2", "match", "value"),
            ("mixing", "mixing", "value"),
        ):
            (event,) = events.Scalars(f"xinc/compare/{layer}/{tag}")
            assert event.value == pytest.approx(float(rows[layer, quantity][column]), rel=1e-4)
        assert np.load(folder / f"layout_{layer}.npz")["points"].shape[1] == 2


@pytest.mark.slow
def test_two_seeds_from_end_to_end(finished_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", run_of(finished_runs, 0), run_of(finished_runs, 1)])
    check_everything_is_there(Path("lightning_logs/compare_0"), capsys.readouterr().out)


@pytest.mark.usefixtures("quick")
def test_two_seeds_with_another_layout(finished_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", run_of(finished_runs, 0), run_of(finished_runs, 1)])
    folder = Path("lightning_logs/compare_0")
    check_everything_is_there(folder, capsys.readouterr().out)
    for row in rows_of(folder):
        if row["quantity"] == "match":
            assert 0 < float(row["control"]) < float(row["value"]) < 1
    partitions = {row["partition"] for row in rows_of(folder) if row["quantity"] == "median_variance"}
    assert partitions == {"instances", "rgb", "gabor", "superpixels", "grid", "comb"}
    for name in ("variances", "matching", "layout"):
        assert np.asarray(Image.open(folder / f"{name}.png")).shape[1:] == (1280, 3)


@pytest.mark.usefixtures("quick")
def test_recorded_runs_of_any_project(tmp_path: Path, finished_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is neither a config.yaml nor a checkpoint in their folders."""
    coordinates, target = pixel_coordinates((12, 16)), torch.rand(3, 12, 16, generator=torch.Generator().manual_seed(0))
    batches = DataLoader([{"xy": coordinates, "rgb": target.flatten(1).T}], batch_size=None)  # type: ignore[arg-type] # torch's own
    for name in ("a", "b"):
        module = Foreign()
        module.net[0] = torch.nn.Linear(2, 12)
        recorder = CanvasRecorder(network="net", frames=[Frame(0, coordinates, (12, 16), target)], on_error="raise")
        trainer(tmp_path / name, [recorder], max_epochs=1).fit(module, batches)
    runs = [str(tmp_path / name / "logs/version_0") for name in ("a", "b")]
    main(["compare", *runs, "--out", "both"])
    layers = {row["layer"] for row in rows_of(Path("both")) if row["quantity"] == "match"}
    assert layers == {"0", "2"}
    with pytest.raises(SystemExit):
        main(["compare", *runs, "--frame", "3", "--out", "third"])
    assert "run version_0 has no recording of frame 3; it has 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compare", runs[0], run_of(finished_runs, 0), "--out", "third"])
    assert "their frames are 12x16 and 16x32" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_a_run_is_the_same_as_itself(finished_runs: Path) -> None:
    copied = shutil.copytree(run_of(finished_runs, 0), "copied")
    main(["compare", run_of(finished_runs, 0), str(copied), "--out", "same"])
    matches = [row for row in rows_of(Path("same")) if row["quantity"] == "match"]
    assert len(matches) == 3
    assert all(float(row["value"]) == pytest.approx(1) for row in matches)
    assert all(float(row["control"]) < 0.95 for row in matches)


@pytest.mark.usefixtures("quick")
def test_a_comparison_is_repeated_to_the_letter(finished_runs: Path) -> None:
    words = ["compare", run_of(finished_runs, 0), run_of(finished_runs, 1), "--layers", "head"]
    main(words)
    main(words)
    main([*words, "--seed", "1"])
    first, second, other = (Path(f"lightning_logs/compare_{number}/table.csv").read_text() for number in range(3))
    assert first == second
    assert first != other


@pytest.mark.usefixtures("quick")
def test_epochs_of_one_run_and_a_choice_of_layers(finished_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Path(run_of(finished_runs, 0))
    (best,) = (run / "checkpoints").glob("best-*.ckpt")
    main(["compare", str(best), str(run), "--layers", "head", "block_2", "--frame", "3", "--convention", "released"])
    assert [row["layer"] for row in rows_of(Path("lightning_logs/compare_0")) if row["quantity"] == "mixing"] == [
        "block_2",
        "head",
    ]
    assert f"| 1 | version_0/{best.stem} · epoch" in capsys.readouterr().out


@pytest.mark.usefixtures("quick")
def test_runs_of_the_same_name_are_told_apart(finished_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run_of(finished_runs, 1), "elsewhere/version_0")
    main(["compare", run_of(finished_runs, 0), "elsewhere/version_0", "--layers", "head"])
    assert "| 2 | elsewhere/version_0/checkpoints/last.ckpt · epoch 2" in capsys.readouterr().out


@pytest.mark.usefixtures("quick")
def test_layers_that_only_some_runs_have_are_left_out(finished_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", run_of(finished_runs, 0), run_of(finished_runs, 5)])
    assert "left out, because not all runs have them: block_2\n" in capsys.readouterr().out
    layers = {row["layer"] for row in rows_of(Path("lightning_logs/compare_0"))}
    assert layers == {"block_1", "head"}


@pytest.mark.parametrize(
    ("runs", "options", "words"),
    [
        ([0], [], ["is one run; give two or more"]),
        ([], [], ["required: RUN", "xinc compare --help"]),
        ([0, 2], [], ["runs version_0 and version_2 cannot be compared", "16x32 and 16x16"]),
        ([0, 4], [], ["runs version_0 and version_4 cannot be compared", "frame 0 is not the same picture"]),
        ([0, 1], ["--frame", "4"], ["run version_0: there is no frame 4", "0 to 3"]),
        ([0, 1], ["--layers", "body"], ["no layer 'body'", "block_1, block_2, head"]),
        ([0, 1], ["--convention", "mine"], ["'mine'", "paper"]),
        ([0, 1], ["--frames", "1"], ["--frames"]),
        ([0, "nope"], [], ["there is no run", "nope"]),
        ([0, "taken"], [], ["'taken' is not the folder of a run"]),
        ([0, 1], ["--out", "taken"], ["'taken' is there already"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    finished_runs: Path,
    capsys: pytest.CaptureFixture[str],
    runs: list[int | str],
    options: list[str],
    words: list[str],
) -> None:
    Path("taken").mkdir()
    Path("taken/file").touch()
    paths = [run_of(finished_runs, run) if isinstance(run, int) else run for run in runs]
    with pytest.raises(SystemExit) as exit_:
        main(["compare", *paths, *options])
    assert exit_.value.code == 2
    (message,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert message.startswith("xinc: error: ")
    assert all(word in message for word in words), message
    assert sorted(path.name for path in Path().iterdir()) == ["taken"]


def test_another_network_on_the_same_picture_has_no_layer_in_common(
    finished_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run_of(finished_runs, 0), "clip")
    frame = xinc_pl.tools.compare.load_run("clip").frame(0)
    assert frame.target is not None
    Image.fromarray((frame.target.permute(1, 2, 0) * 255).byte().numpy()).save("frame.png")
    main(
        [
            *("fit", "--config", "ffn", "--data.image", "frame.png", "--data.size", "[16, 32]"),
            *("--model.network.widths", "[8]", "--trainer.callbacks", "LastCheckpoint", "--trainer.max_epochs", "1"),
            *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"),
            *("--trainer.enable_model_summary", "false"),
        ]
    )
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["compare", "clip", "lightning_logs/version_0"])
    assert "no layer in common; theirs are block_1, block_2, head / layer_1, layer_2" in capsys.readouterr().err


def test_weights_that_are_not_finite_are_refused_by_name(
    finished_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run_of(finished_runs, 0), "broken")
    file = Path("broken/checkpoints/last.ckpt")
    state = torch.load(file, weights_only=True)
    state["state_dict"]["network.head.bias"].fill_(torch.nan)
    torch.save(state, file)
    with pytest.raises(SystemExit) as exit_:
        main(["compare", run_of(finished_runs, 0), "broken"])
    assert exit_.value.code == 2
    assert "xinc: error: run broken: the network's output is NaN" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["compare", "--help"], ["--help"]])
def test_help_tells_of_it(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert ("--convention" if len(words) == 2 else "xinc compare RUN RUN") in printed
