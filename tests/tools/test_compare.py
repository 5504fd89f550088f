import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import RUNS, Foreign, trainer
from torch.utils.data import DataLoader

import xinc_pl.tools.compare
from xinc_pl import CanvasRecorder, Frame, load_run
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.joint_layout import JointLayout
from xinc_pl.analysis.partitions import Partition
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
        *("similarities", "variances", "matching", "layout", "pairs", "table", "events"),
        *(f"{what}_{layer}" for layer in LAYERS for what in ("layout", "pairs")),
    }
    assert (folder / "table.md").read_text() in printed
    assert f"written to: {folder}" in printed
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0}).Reload()
    pictures = ["layout", "matching", *(f"pairs_{layer}" for layer in LAYERS), "similarities", "variances"]
    assert sorted(events.Tags()["images"]) == [f"xinc/compare/{name}" for name in pictures]
    assert events.Tags()["tensors"] == ["xinc/compare/table/text_summary"]
    rows = {(row["layer"], row["quantity"]): row for row in rows_of(folder) if not row["partition"]}
    for layer in LAYERS:
        for tag, quantity, column in (
            ("match", "match", "value"),
            ("match_control", "match", "control"),
            ("match/1_2", "match", "value"),
            ("similarity/other_seed", "match", "value"),
            ("similarity/shuffled", "match", "control"),
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
    for name in ("similarities", "variances", "matching", "layout", "pairs_head"):
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
def test_another_signal(finished_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [run_of(finished_runs, number) for number in (0, 1, 4)]
    main(["compare", *runs[:2], "--control", runs[2], "--out", "controlled"])
    folder = Path("controlled")
    printed = " ".join(capsys.readouterr().out.split())
    assert "another signal: its picture has a correlation of" in printed
    assert "| 3 | version_4 · epoch 2 ·" in printed
    assert "own beginning of version_1: there is no recording of frame 0 at epoch 0; train with the callback" in printed
    means = {}
    for layer in LAYERS:
        found = [row for row in rows_of(folder) if (row["layer"], row["quantity"]) == (layer, "other_signal")]
        assert [row["run"].split(" ")[0] for row in found] == ["version_0", "version_1"]
        assert all(row["other_run"].endswith("another signal") for row in found)
        means[layer] = np.mean([float(row["value"]) for row in found])
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    for layer, mean in means.items():
        (event,) = events.Scalars(f"xinc/compare/{layer}/similarity/other_signal")
        assert event.value == pytest.approx(mean, rel=1e-4)
    assert "xinc/compare/head/similarity/own_beginning" not in events.Tags()["scalars"]


@pytest.mark.usefixtures("quick")
def test_the_saved_pairs_are_those_of_the_maps(finished_runs: Path) -> None:
    paths = [run_of(finished_runs, number) for number in (0, 1, 4)]
    main(["compare", *paths[:2], "--control", paths[2], "--out", "a/b", "--layers", "head"])
    saved = json.loads(Path("a/b/pairs.json").read_text())
    about = {key: saved[key] for key in ("format", "frame", "convention", "vectors")}
    assert about == {"format": "xinc_pl.pairs/1", "frame": 0, "convention": "paper", "vectors": "gabor"}
    assert [(each["epoch"], each["is_control"]) for each in saved["runs"]] == [(2, False), (2, False), (2, True)]
    assert [(Path("a/b") / each["path"]).resolve() for each in saved["runs"]] == [Path(each) for each in paths]
    assert [(each["kind"], each["runs"]) for each in saved["matches"]] == [
        ("other_seed", [0, 1]),
        ("other_signal", [0, 2]),
        ("other_signal", [1, 2]),
    ]
    dissected = [load_run(path).dissected(0) for path in paths]
    labels = dissected[0].labels(Partition("gabor")).numpy()
    for match in saved["matches"]:
        assert match["layer"] == "head"
        assert match["epochs"] == [2, 2]
        assert match["similarity"] == sorted(match["similarity"], reverse=True)
        one, other = (
            vectors_of_maps(dissected[run], neurons, labels)
            for run, neurons in zip(match["runs"], match["neurons"], strict=True)
        )
        expected = [np.corrcoef(*pair)[0, 1] for pair in zip(one, other, strict=True)]
        assert match["similarity"] == pytest.approx(expected, abs=1e-4)


def vectors_of_maps(dissected: DissectedFrame, neurons: list[int], labels: np.ndarray) -> np.ndarray:
    maps = dissected.canvas["head"].maps(neurons).abs().double().numpy()
    maps = maps - maps.min((1, 2), keepdims=True)
    maps /= maps.max((1, 2), keepdims=True)
    return np.stack([maps[:, labels == cluster].mean(1) for cluster in np.unique(labels)], axis=1)


RECORDED_FFN = [*RUNS[3], "--trainer.callbacks+", "CanvasRecorder"]


@pytest.mark.usefixtures("quick")
def test_own_beginnings_and_equal_encodings(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--seed_everything", "3"], ["--data.image", "coffee"]):
        main(["fit", *RECORDED_FFN, *words])
    first, second, third = (f"lightning_logs/version_{number}" for number in range(3))
    capsys.readouterr()
    main(["compare", first, second, "--control", third, "--out", "three"])
    printed = capsys.readouterr().out
    assert "layer_1: runs 1 and 3 have the same encoding" in printed
    assert "runs 2 and 3" not in printed
    assert "own beginning of" not in printed
    (row,) = (line for line in printed.splitlines() if line.startswith("| layer_1 |") and "*" in line)
    assert row.split("|")[4].strip() == "-*", "a first layer never leaves its beginning"
    rows = {(row["quantity"], row["run"][:9]): row for row in rows_of(Path("three")) if row["layer"] == "layer_1"}
    assert rows["own_beginning", "version_0"]["other_run"] == "epoch 0"
    trivial = {of: rows[of]["is_trivial"] for of in rows if of[0] in ("match", "other_signal", "own_beginning")}
    assert trivial == {
        ("match", "version_0"): "False",
        ("other_signal", "version_0"): "True",
        ("other_signal", "version_1"): "False",
        ("own_beginning", "version_0"): "True",
        ("own_beginning", "version_1"): "True",
    }
    matches = json.loads(Path("three/pairs.json").read_text())["matches"]
    for match in matches:
        same = match["layer"] == "layer_1" and match["runs"] in ([0, 0], [1, 1], [0, 2])
        assert match["is_trivial"] == same
        assert match["epochs"][1] == 0 if match["kind"] == "own_beginning" else match["epochs"][1] > 0
        if same:
            assert match["similarity"] == pytest.approx(np.ones(len(match["similarity"])), abs=1e-4)
            assert match["neurons"][0] == match["neurons"][1]
    # Checkpoints are of the last epoch; the beginning is in the folder's recordings all the same.
    main(["compare", *(f"{run}/checkpoints/last.ckpt" for run in (first, second)), "--out", "files"])
    assert "own beginning of" not in capsys.readouterr().out


@pytest.mark.usefixtures("quick")
def test_a_control_of_another_architecture_is_refused(finished_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word if word != "7" else "9" for word in RUNS[4]]
    main(["fit", *words])
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(
            [
                *("compare", run_of(finished_runs, 0), run_of(finished_runs, 1)),
                *("--control", "lightning_logs/version_0", "--out", "third"),
            ]
        )
    assert exit_.value.code == 2
    (message,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert "is no control of version_0: it has another architecture, block_1 9x" in message
    assert "and not block_1 7x" in message
    assert not Path("third").exists()


@pytest.mark.usefixtures("quick")
def test_a_control_on_the_same_picture_is_refused(finished_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run_of(finished_runs, 1), "third_seed")
    with pytest.raises(SystemExit):
        main(["compare", run_of(finished_runs, 0), run_of(finished_runs, 1), "--control", "third_seed"])
    error = capsys.readouterr().err
    assert "run third_seed is no control of version_0: frame 0 is the same picture in both" in error


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
        ([0, 1], ["--control", 2], ["version_2 is no control of version_0", "16x32 and 16x16"]),
        ([0, 4], ["--control", 1], ["runs version_0 and version_4 cannot be compared"]),
        ([0, 1], ["--control", 1], ["version_1", "is given 2 times"]),
        ([0, 1], ["--control", "nope"], ["there is no run", "nope"]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    finished_runs: Path,
    capsys: pytest.CaptureFixture[str],
    runs: list[int | str],
    options: list[int | str],
    words: list[str],
) -> None:
    Path("taken").mkdir()
    Path("taken/file").touch()
    paths = [run_of(finished_runs, run) if isinstance(run, int) else run for run in runs]
    given = [run_of(finished_runs, word) if isinstance(word, int) else word for word in options]
    with pytest.raises(SystemExit) as exit_:
        main(["compare", *paths, *given])
    assert exit_.value.code == 2
    (message,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert message.startswith("xinc: error: ")
    assert all(word in message for word in words), message
    assert sorted(path.name for path in Path().iterdir()) == ["taken"]


def test_another_network_on_the_same_picture_has_no_layer_in_common(
    finished_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run_of(finished_runs, 0), "clip")
    frame = load_run("clip").frame(0)
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
