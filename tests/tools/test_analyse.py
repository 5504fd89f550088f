"""Analyses of recorded epochs, against those that the callbacks made while the run was trained."""

import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny_clip, tiny_video, trainer

from xinc_pl import (
    CanvasEvolution,
    CanvasRecorder,
    ContributionCanvas,
    Faithfulness,
    GroupingVariance,
    MapSpectrum,
    MotionContributions,
    NeuronUMAP,
    ObjectContributions,
    PlaceOrContent,
    RepresentationSpread,
    XINCCallback,
    load_run,
)
from xinc_pl.callbacks import DissectedFrame, Outputs
from xinc_pl.cli import main
from xinc_pl.tools.analyse import analyse_run


def all_of_them() -> list[XINCCallback]:
    """Those whose results depend on the moment before are among them."""
    return [
        ContributionCanvas(num_neurons=4, order="changed", frames=[0, 1], at_epochs=(0, 1, 2)),
        GroupingVariance(partitions=["rgb", "grid"], at_epochs=(0, 1)),
        RepresentationSpread(at_epochs=(0, 2)),
        ObjectContributions(frames=[0, 1], at_epochs=()),
        MotionContributions(frames=[1], at_epochs=()),
        PlaceOrContent(frames=[1], num_back=1, num_neurons=4, at_epochs=(0, 1)),
        MapSpectrum(num_neurons=4, at_epochs=(0, 1)),
        NeuronUMAP(at_epochs=(0, 1), projector=False),
        Faithfulness(num_neurons=4, conventions=["paper"], frames=[0, 1], at_epochs=(1,)),
        CanvasEvolution(num_neurons=4, at_epochs=(0, 1, 2)),
    ]


def train(folder: Path, callbacks: Sequence[XINCCallback]) -> Path:
    run = trainer(folder, [*callbacks, CanvasRecorder(frames=[0, 1], at_epochs=(0, 1, 2))], max_epochs=2)
    run.fit(tiny_video(), tiny_clip())
    assert run.log_dir is not None
    return Path(run.log_dir)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was recorded, and nothing else."""
    return train(tmp_path_factory.mktemp("recorded"), [])


@pytest.fixture
def run(recorded: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(recorded, tmp_path / "run"))


def results(run: Path) -> dict[str, bytes]:
    """All files but recordings, and the picture of what the recorder has logged."""
    folder = run / "xinc"
    files = (file for file in folder.rglob("*.*") if file.is_file() and file.suffix != ".safetensors")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if "curves/recordings" not in str(file)}


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0}).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith("xinc/") and "/recordings/" not in tag]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


@pytest.mark.slow
def test_everything_is_the_same_to_the_byte_as_while_the_run_was_trained(tmp_path: Path, run: Path) -> None:
    live = train(tmp_path / "live", all_of_them())
    account = analyse_run(load_run(run), all_of_them())
    assert (account.failed, account.there) == (0, 0)
    expected, found = results(live), results(run)
    assert sorted(found) == sorted(expected)
    assert [name for name, data in expected.items() if found[name] != data] == []
    assert curves(run) == curves(live)
    events = [EventAccumulator(str(each), size_guidance={"images": 0}).Reload() for each in (live, run)]
    shown = [set(each.Tags()["images"]) for each in events]
    assert shown[0] - shown[1] == {"xinc/canvas_evolution/all_layers/curves/recordings"}
    for tag in shown[1]:
        pictures = [[(event.step, event.encoded_image_string) for event in each.Images(tag)] for each in events]
        assert pictures[0] == pictures[1], tag


def spread(at_epochs: tuple[int, ...] = (0, 1)) -> RepresentationSpread:
    return RepresentationSpread(at_epochs=at_epochs, on_error="raise")


def test_nothing_is_made_twice_unless_it_is_wanted(run: Path) -> None:
    assert analyse_run(load_run(run), [spread((0,))]).done == 2  # and the last epoch
    before = results(run)
    account = analyse_run(load_run(run), [spread()])
    assert (account.done, account.there) == (1, 2)
    assert before.items() < results(run).items()
    assert all(len(points) == 3 for points in curves(run).values())
    assert analyse_run(load_run(run), [spread()]).done == 0
    assert analyse_run(load_run(run), [spread()], again=True).done == 3


def test_what_callbacks_made_in_the_training_is_not_made_again(tmp_path: Path) -> None:
    live = train(tmp_path, [spread((0,)), CanvasEvolution(at_epochs=(0, 1, 2), num_neurons=2)])
    before = curves(live)
    account = analyse_run(load_run(live), [spread((0,)), CanvasEvolution(at_epochs=(0, 1, 2), num_neurons=2)])
    assert (account.done, account.there) == (0, 5)
    assert curves(live) == before


class Following(XINCCallback):
    """Tells how many moments it has seen."""

    def __init__(self) -> None:
        super().__init__(at_epochs=(0, 1, 2))
        self.seen = 0

    @property
    def follows(self) -> bool:
        """It counts."""
        return True

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Count."""
        del frames
        self.seen += 1
        outputs.arrays(layers[0], "seen", {"seen": self.seen})


def test_what_goes_on_from_the_moment_before_sees_all_moments_and_writes_the_missing_ones(run: Path) -> None:
    analyse_run(load_run(run), [Following()])
    expected = results(run)
    middle = next(name for name in expected if name.endswith("epoch_0001.npz"))
    (run / "xinc" / middle).unlink()
    account = analyse_run(load_run(run), [Following()])
    assert (account.done, account.there) == (1, 2)
    assert results(run) == expected


@pytest.fixture
def interrupting() -> Callable[[int], XINCCallback]:
    class Interrupting(XINCCallback):
        def __init__(self, at: int) -> None:
            super().__init__(at_epochs=(0, 1, 2), name="interrupting")
            self.at = at

        def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
            del frames
            outputs.arrays(layers[0], "first", {"epoch": outputs.epoch})
            if outputs.epoch == self.at:
                signal.raise_signal(signal.SIGINT)
            outputs.arrays(layers[0], "second", {"epoch": outputs.epoch})

    return Interrupting


def test_an_interrupted_analysis_leaves_nothing_of_itself(
    run: Path, interrupting: Callable[[int], XINCCallback]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        analyse_run(load_run(run), [interrupting(1)])
    assert len(results(run)) == 2
    assert all("epoch_0000" in name for name in results(run))
    assert analyse_run(load_run(run), [interrupting(-1)]).done == 2
    assert len(results(run)) == 6


def test_ctrl_c_is_one_line_and_exit_130(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RepresentationSpread, "analyse", interrupted)
    with pytest.raises(SystemExit) as stop:
        main(["analyse", str(run), "--callbacks", "RepresentationSpread", "--quiet"])
    assert stop.value.code == 130
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("xinc: interrupted; ")
    assert not results(run)


def test_an_analysis_that_fails_is_told_and_the_others_go_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Failing(XINCCallback):
        def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
            outputs.arrays(layers[0], "half", {"a": 1})
            raise ArithmeticError("no numbers today")

    account = analyse_run(load_run(run), [Failing(at_epochs=()), spread(())])
    assert (account.done, account.failed) == (1, 1)
    assert "Failing failed after epoch 2" in capsys.readouterr().out
    assert all(name.startswith("representation_spread/") for name in results(run))


def test_words_choose_callbacks_and_epochs(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(
        "trainer:\n  callbacks:\n    - LastCheckpoint\n    - class_path: xinc_pl.callbacks.RepresentationSpread\n"
        "      init_args: {name: spread}\n"
    )
    words = ["--callbacks", "ContributionCanvas", "--callbacks.num_neurons", "3", "--epochs", "1", "--quiet"]
    main(["analyse", str(run), "--config", str(config), *words])
    assert "2 analyses written" in capsys.readouterr().out
    assert {name.split("/")[0] for name in results(run)} == {"spread", "contribution_canvas"}
    assert all("epoch_0001" in name for name in results(run))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--epochs", "7"], "has no recording after epoch 7; it has 0, 1, 2"),
        (["--callbacks", "CanvasRecorder"], "CanvasRecorder records while a run is trained"),
        (["--callbacks", "NeuronUMA"], "NeuronUMA"),
        (
            ["--callbacks", "ContributionCanvas", "--callbacks.frames", "[3]"],
            "has no recording of frame 3; it has 0",
        ),
        (["--callbacks", "ContributionCanvas", "--callbacks.layers", "[tail]"], "there is no layer 'tail'"),
        (["--callbacks", "ContributionCanvas", "ContributionCanvas"], "2 callbacks are called 'contribution_canvas'"),
        (["--config", "nowhere"], "'nowhere' is neither a file nor bundled"),
        (["--epoch", "1"], "unrecognized arguments"),
    ],
)
def test_what_does_not_do_is_one_line(
    run: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["analyse", str(run), "--quiet", *words])
    told = capsys.readouterr().err
    assert (stop.value.code, told.count("\n")) == (2, 1)
    assert line in told
    assert not results(run)
