"""What a training leaves in recordings."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from tiny import (
    SIZE,
    Foreign,
    Probe,
    tiny_clip,
    tiny_image,
    tiny_photograph,
    tiny_video,
    trainer,
    weights_of,
    whole_half_and_resumed,
)
from torch import Tensor, nn
from torch.utils.data import DataLoader

import xinc_pl.canvas.recorded
from xinc_pl import CanvasRecorder, Frame, dissect, load_run
from xinc_pl.callbacks import DissectedFrame, Outputs, XINCCallback
from xinc_pl.callbacks.schedule import Schedule, evenly
from xinc_pl.canvas import Convention, LayerStatistics
from xinc_pl.frames import pixel_coordinates
from xinc_pl.recorded import RecordedRun


class Live(XINCCallback):
    """Remembers what is dissected live."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.known: dict[tuple[int, int, str, str], tuple[Tensor, LayerStatistics]] = {}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        for frame in frames:
            for convention in ("paper", "released", "effect"):
                dissected = frame.under(convention)
                for layer in layers:
                    key = (outputs.epoch, frame.frame.index, convention, layer)
                    self.known[key] = dissected.canvas[layer].maps([0]), dissected.canvas[layer].statistics()


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def recorded(folder: Path) -> RecordedRun:
    run = load_run(folder)
    assert isinstance(run, RecordedRun)
    return run


@pytest.mark.parametrize(
    ("module", "data", "frames"), [(tiny_video, tiny_clip, [0, 2]), (tiny_image, tiny_photograph, [0])]
)
def test_recordings_give_what_was_dissected_live_to_the_bit(
    module: Callable[[], LightningModule], data: Callable[[], Any], frames: list[int], tmp_path: Path
) -> None:
    live = Live(frames=frames, on_error="raise")
    training = trainer(tmp_path, [CanvasRecorder(frames=frames, on_error="raise"), live], max_epochs=4)
    training.fit(module(), data())
    assert training.log_dir is not None
    run = recorded(Path(training.log_dir))
    assert run.epochs == (0, 1, 3, 4)
    assert run.frames == tuple(frames)
    assert {key[:2] for key in live.known} == {(epoch, frame) for epoch in run.epochs for frame in frames}
    canvases: dict[tuple[int, int, Convention], Any] = {}
    for (epoch, frame, convention, layer), (maps, statistics) in live.known.items():
        key = (epoch, frame, convention)
        canvas = canvases[key] = canvases[key] if key in canvases else run.canvas(*key)
        assert torch.equal(maps, canvas[layer].maps([0]))
        again = canvas[layer].statistics()
        for quantity in ("sum", "minimum", "maximum", "total", "pixels_per_neuron", "zero_map"):
            assert torch.equal(getattr(statistics, quantity), getattr(again, quantity))
    assert run.moment(3, frames[-1]).epoch == 3
    assert run.moment().step == run.step == training.global_step
    tag = "xinc/recordings/file/psnr" + (f"/frame_{frames[-1]:04d}" if len(frames) > 1 else "")
    assert run.scalars[tag].values[-1] == pytest.approx(run.moment(-1, frames[-1]).psnr)
    assert run.dissected(frames[-1]).psnr == run.moment(-1, frames[-1]).psnr
    target = data().xinc_frames([frames[-1]])[0]
    assert torch.equal(run.frame(frames[-1]).target, target.target)
    assert [each.category for each in run.frame(frames[-1]).instances] == [each.category for each in target.instances]


def test_it_records_and_dissects_nothing_and_leaves_the_training_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was dissected")

    monkeypatch.setattr(xinc_pl.canvas.recorded, "dissect_recording", never)
    with_it, without = tiny_video(), tiny_video()
    training = trainer(tmp_path, [CanvasRecorder(on_error="raise")], max_epochs=2)
    training.fit(with_it, tiny_clip())
    trainer(tmp_path, [], max_epochs=2).fit(without, tiny_clip())
    assert all(torch.equal(a, b) for a, b in zip(weights_of(with_it), weights_of(without), strict=True))
    assert files_in(Path(training.log_dir or "") / "xinc") == [
        *(f"recordings/epoch_{epoch:04d}.safetensors" for epoch in (0, 1, 2)),
        "recordings/frames/frame_0000.safetensors",
    ]


def test_it_tells_what_it_will_take(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    training = trainer(tmp_path, [CanvasRecorder(on_error="raise")], max_epochs=4)
    with caplog.at_level("INFO"):
        training.fit(tiny_image(), tiny_photograph())
    (line,) = [record.message for record in caplog.records if "CanvasRecorder" in record.message]
    folder = Path(training.log_dir or "") / "xinc/recordings"
    sizes = [file.stat().st_size / 1e6 for file in folder.glob("epoch_*")]
    assert f"4 recordings, {max(sizes):.3g} MB each, {4 * max(sizes):.3g} MB in all, in {folder}" in line


def test_what_would_take_too_much_is_thinned_out_evenly(tmp_path: Path) -> None:
    training = trainer(tmp_path / "a", [CanvasRecorder(on_error="raise")], max_epochs=1)
    training.fit(tiny_image(), tiny_photograph())
    (size, *_) = [file.stat().st_size for file in Path(training.log_dir or "").rglob("epoch_*.safetensors")]
    recorder = CanvasRecorder(max_gb=3.5 * size / 1e9, every_n_epochs=1, on_error="raise")
    training = trainer(tmp_path / "b", [recorder], max_epochs=8)
    with pytest.warns(UserWarning, match="the 9 moments of the schedule would take .* 3 of them are recorded"):
        training.fit(tiny_image(), tiny_photograph())
    assert recorded(Path(training.log_dir or "")).epochs == (0, 4, 8)
    recorder = CanvasRecorder(max_gb=3.5 * size / 1e9, every_n_epochs=1, on_error="raise")
    training = trainer(tmp_path / "c", [recorder], max_epochs=-1, max_steps=10)
    with pytest.warns(UserWarning, match="is reached; nothing more is recorded"):
        training.fit(tiny_image(), tiny_photograph())
    assert recorded(Path(training.log_dir or "")).epochs == (0, 1, 2)


def test_epochs_of_a_schedule() -> None:
    schedule = Schedule.of((0, 1, 3, 10, 30), None)
    assert schedule.epochs(0, 12) == (0, 1, 3, 10, 12)
    assert schedule.epochs(2, 10) == (3, 10)
    assert schedule.epochs(4, -1) == (10, 30)
    assert Schedule.of((1,), 4).epochs(0, 9) == (0, 1, 4, 8, 9)
    assert Schedule.of((1,), 4).epochs(0, None) is None


def test_evenly_spaced() -> None:
    assert evenly(range(9), 3) == (0, 4, 8)
    assert evenly((0, 1, 3, 10), 2) == (0, 10)
    assert evenly((0, 1, 3, 10), 1) == (10,)
    assert evenly((0, 1, 3, 10), 0) == ()
    assert evenly((0, 1, 3, 10), 9) == (0, 1, 3, 10)


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return torch.from_numpy(2 * values.detach().numpy())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * 2


class _Hidden(nn.Sequential):
    def forward(self, values: Tensor) -> Tensor:
        return self[1](_Doubled.apply(self[0](values)))


class _Drawn(nn.Sequential):
    def forward(self, values: Tensor) -> Tensor:
        hidden = self[0](values)
        return self[1](hidden + 0.01 * torch.randn_like(hidden))


class _Scripted(nn.Sequential):
    def forward(self, values: Tensor) -> Tensor:
        return self[1](torch.jit.script(nn.Tanh())(self[0](values)))


def foreign(network: nn.Module) -> Foreign:
    module = Foreign()
    module.net = nn.Sequential(network)
    return module


def frame() -> Frame:
    return Frame(0, pixel_coordinates(SIZE), SIZE, torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0)))


def batches() -> DataLoader[Any]:
    given = frame()
    assert given.target is not None
    return DataLoader([{"xy": given.inputs, "rgb": given.target.flatten(1).T}], batch_size=None)  # type: ignore[arg-type] # torch's own


def test_what_leaves_torch_and_comes_back_is_skipped_as_it_is_live(tmp_path: Path) -> None:
    module = foreign(_Hidden(nn.Linear(2, 6), nn.Linear(6, 3)))
    training = trainer(tmp_path, [CanvasRecorder(network="net", frames=[frame()], on_error="raise")], max_epochs=1)
    training.fit(module, batches())
    live = dissect(module.net, frame().inputs, size=SIZE, convention="effect")
    again = recorded(Path(training.log_dir or "")).canvas(convention="effect")
    assert "'numpy'" in again.skipped["0.0"]
    assert again.skipped == live.skipped
    assert torch.equal(again["0.1"].maps(), live["0.1"].maps())


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (_Drawn, "'randn_like'.*no function of torch"),
        (_Scripted, "."),
    ],
)
def test_what_cannot_be_recorded_is_told_in_one_line_and_leaves_no_file(
    kind: type[nn.Sequential], reason: str, tmp_path: Path
) -> None:
    module = foreign(kind(nn.Linear(2, 6), nn.Linear(6, 3)))
    training = trainer(tmp_path, [CanvasRecorder(network="net", frames=[frame()])], max_epochs=1)
    with pytest.warns(
        UserWarning, match=f"CanvasRecorder is left out, and the training goes on without it: .*({reason})"
    ):
        training.fit(module, batches())
    assert training.current_epoch == 1
    assert not list(tmp_path.rglob("*.safetensors"))


def test_any_project_s_run_loads_without_its_class(tmp_path: Path) -> None:
    live = Live(network="net", frames=[frame()], on_error="raise")
    recorder = CanvasRecorder(network="net", frames=[frame()], on_error="raise")
    training = trainer(tmp_path, [recorder, live], max_epochs=2)
    training.fit(Foreign(), batches())
    folder = Path(training.log_dir or "")
    assert not (folder / "config.yaml").exists()
    program = (
        "import sys; from pathlib import Path; from xinc_pl.recorded import recorded_run;"
        f"run = recorded_run(Path({str(folder)!r})); canvas = run.canvas();"
        "print(repr([float(layer.statistics().sum.sum()) for layer in canvas.values()]));"
        "assert not {'lightning', 'tiny', 'tensorboard'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, timeout=120, capture_output=True, text=True)
    sums = [float(known[1].sum.sum()) for key, known in live.known.items() if key[0] == 2 and key[2] == "paper"]
    assert done.stdout.strip() == repr(sums)


def test_a_resumed_run_records_nothing_twice(tmp_path: Path) -> None:
    whole, half, resumed = whole_half_and_resumed(tmp_path, lambda: [CanvasRecorder(on_error="raise")])
    assert recorded(whole).epochs == (0, 1, 2)
    assert recorded(half).epochs == (0, 1)
    assert recorded(resumed).epochs == (2,)
    for layer, canvas in recorded(whole).canvas().items():
        assert torch.equal(canvas.maps(), recorded(resumed).canvas()[layer].maps())


@pytest.mark.slow
def test_what_is_killed_leaves_whole_files(tmp_path: Path) -> None:
    program = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\n"
        "from tiny import tiny_clip, tiny_video, trainer\n"
        "from xinc_pl import CanvasRecorder\n"
        "recorder = CanvasRecorder(every_n_epochs=1)\n"
        "trainer(Path(sys.argv[1]), [recorder], max_epochs=100_000).fit(tiny_video(), tiny_clip())\n"
    )
    folder = tmp_path / "logs/version_0"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), *sys.path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 120
        while len(list(folder.glob("xinc/recordings/epoch_*"))) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    run = recorded(folder)
    assert len(run.epochs) >= 5
    for epoch in run.epochs:
        assert torch.isfinite(run.recording(epoch).output).all()
    assert run.frame().index == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"max_gb": 0}, "max_gb is 0; it must be positive"),
        ({"max_gb": float("nan")}, "max_gb is nan"),
        ({"layers": ["head"]}, "of all layers and for all conventions"),
        ({"convention": "effect"}, "of all layers and for all conventions"),
    ],
)
def test_arguments_that_do_not_do(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"CanvasRecorder: .*{reason}"):
        CanvasRecorder(**arguments)


def test_it_shares_the_recording_with_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = xinc_pl.analysis.dissected.record

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(xinc_pl.analysis.dissected, "record", counting)
    trainer(tmp_path, [Probe(at_epochs=()), CanvasRecorder(at_epochs=())], max_epochs=1).fit(tiny_video(), tiny_clip())
    assert len(calls) == 3, "one each at set-up, and one at the end"
