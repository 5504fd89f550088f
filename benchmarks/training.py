"""How fast and how well the networks train, against a bare PyTorch loop.

python benchmarks/training.py quality [--video FOLDER_OR_FILE]   PSNR and seconds of full runs
python benchmarks/training.py overhead                           Lightning over a bare loop, same bits
python benchmarks/training.py parity [--video FOLDER_OR_FILE]    PSNR by epoch beside a plain loop, as released
python benchmarks/training.py bits                               the weights with and without ContributionCanvas
python benchmarks/training.py options                            what channels_last, remembered features, bf16 bring
"""

import argparse
import math
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from plain_loop import plain_nerv

from xinc_pl import FFN, Collage, ContributionCanvas, Image, ImageINR, NeRV, Video, VideoINR
from xinc_pl.callbacks import DissectedFrame, LastCheckpoint, Outputs
from xinc_pl.data import FramesDataModule
from xinc_pl.frames import frame_time, pixel_coordinates
from xinc_pl.training import INRModule
from xinc_pl.training.schedules import warmup_cosine

SIZE = (128, 256)


class Stopwatch(Callback):
    """Measures ``fit`` from its first to its last step, and the validation PSNR by epoch."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.psnr: dict[int, float] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start."""
        self.seconds = -time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop."""
        self.seconds += time.perf_counter()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the PSNR."""
        self.psnr[trainer.current_epoch + 1] = float(trainer.callback_metrics["val/psnr"])


def fit(
    module: INRModule, data: FramesDataModule, epochs: int, validate_every: int, precision: str = "32-true"
) -> Stopwatch:
    """Train as the shipped configurations do, without analyses: TensorBoard, progress bar, both checkpoints."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="cpu",
            precision=precision,  # type: ignore[arg-type]
            max_epochs=epochs,
            check_val_every_n_epoch=validate_every,
            log_every_n_steps=15,
            num_sanity_val_steps=0,
            enable_model_summary=False,
            logger=TensorBoardLogger(folder),
            callbacks=[
                watch,
                TQDMProgressBar(refresh_rate=10),
                LastCheckpoint(),
                ModelCheckpoint(monitor="val/psnr", mode="max", save_on_train_epoch_end=False),
            ],
        )
        trainer.fit(module, data)
    return watch


def new_nerv(seed: int = 0, channels_last: bool = True) -> VideoINR:
    """The paper's NeRV."""
    torch.manual_seed(seed)
    return VideoINR(NeRV(SIZE), num_frames=30, size=SIZE, channels_last=channels_last)


def new_ffn(seed: int = 0) -> ImageINR:
    """The paper's FFN."""
    torch.manual_seed(seed)
    return ImageINR(FFN(), size=SIZE)


def bare_nerv(data: FramesDataModule, epochs: int) -> tuple[torch.nn.Module, float]:
    """The same training as ``fit`` of ``new_nerv``, with nothing around it but a measurement of the PSNR at the end."""
    module = new_nerv()
    network = module.network
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    targets = torch.stack([frame.target for frame in data.frames if frame.target is not None])
    sampler = data.train_dataloader().sampler
    step, num_steps = 0, epochs * 15
    start = time.perf_counter()
    for epoch in range(epochs):
        sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for indices in torch.tensor(list(sampler)).split(2):
            optimiser.param_groups[0]["lr"] = 1e-3 * warmup_cosine(step / num_steps)
            loss = (network(frame_time(indices, 30)) - targets[indices]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
    psnr_of(module, data)
    return network, time.perf_counter() - start


def bare_ffn(data: FramesDataModule, steps: int) -> tuple[torch.nn.Module, float]:
    """The same training as ``fit`` of ``new_ffn``, with nothing around it but a measurement of the PSNR at the end."""
    module = new_ffn()
    network = module.network
    optimiser = torch.optim.Adam(network.parameters(), lr=9e-4)
    coordinates, target = pixel_coordinates(SIZE), data.frames[0].target
    assert target is not None
    start = time.perf_counter()
    for _ in range(steps):
        loss = (network(coordinates).T.reshape(1, 3, *SIZE) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    psnr_of(module, data)
    return network, time.perf_counter() - start


@torch.no_grad()
def psnr_of(module: INRModule, data: FramesDataModule) -> float:
    """Mean PSNR of all frames, clamped, in float64."""
    errors = [
        (module(torch.tensor([frame.index]))[0] - frame.target).double().square().mean()
        for frame in data.frames
        if frame.target is not None
    ]
    return float((-10 * torch.stack(errors).log10()).mean())


def overhead(rounds: int) -> None:
    """Lightning over a bare loop, in turn, on both networks."""
    cases: list[
        tuple[str, FramesDataModule, Callable[[], INRModule], Callable[..., tuple[torch.nn.Module, float]], int]
    ]
    cases = [
        ("NeRV, Collage", Collage(SIZE), new_nerv, bare_nerv, 50),
        ("FFN, rocket", Image("rocket", SIZE), new_ffn, bare_ffn, 10),
    ]
    for name, data, make, bare, epochs in cases:
        _ = data.frames
        ratios, psnrs = [], (0.0, 0.0)
        for _ in range(rounds):
            network, bare_seconds = bare(data, epochs if bare is bare_nerv else epochs * 10)
            reference, module = make(), make()
            reference.network.load_state_dict(network.state_dict())
            watch = fit(module, data, epochs, validate_every=epochs)
            ratios.append(watch.seconds / bare_seconds)
            psnrs = psnr_of(reference, data), psnr_of(module, data)
        print(
            f"{name}, {epochs} epochs: bare {bare_seconds:.1f} s; Lightning / bare, median of {rounds}: "
            f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}); "
            f"PSNR bare {psnrs[0]:.4f}, Lightning {psnrs[1]:.4f} dB"
        )


def quality(video: str | None) -> None:
    """Full runs at the paper's sizes."""
    for image in ("astronaut", "chelsea"):
        data = Image(image, SIZE)
        watch = fit(new_ffn(), data, epochs=100, validate_every=100)
        print(f"FFN, {image}, 1000 steps: {watch.psnr[100]:.2f} dB, {watch.seconds:.0f} s")
    clips: dict[str, FramesDataModule] = {"Collage": Collage(SIZE)}
    if video:
        clips[Path(video).name] = Video(video, SIZE, num_frames=30)
    for name, clip in clips.items():
        watch = fit(new_nerv(), clip, epochs=300, validate_every=50)
        curve = ", ".join(f"{epoch}: {psnr:.2f}" for epoch, psnr in watch.psnr.items())
        print(f"NeRV, {name}, PSNR in dB by epoch: {curve}; {watch.seconds:.0f} s")


def parity(video: str | None, epochs: int, seeds: int) -> None:
    """PSNR by epoch of the paper's NeRV, trained here and by the released recipe in a plain loop."""
    clip: FramesDataModule = Video(video, SIZE, num_frames=30) if video else Collage(SIZE)
    targets = torch.stack([frame.target for frame in clip.frames if frame.target is not None])
    marks = sorted({max(epochs * part // 100, 1) for part in (10, 25, 50, 100)})
    for seed in range(seeds):
        watch = fit(new_nerv(seed), clip, epochs, validate_every=math.gcd(*marks))
        plain = plain_nerv(targets, epochs, marks, seed)
        for mark in marks:
            print(f"seed {seed}, epoch {mark}: Lightning {watch.psnr[mark]:.2f} dB, plain loop {plain[mark]:.2f} dB")


class Failing(ContributionCanvas):
    """Dissects, and then fails."""

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Do the work, and raise."""
        super().analyse(frames, layers, outputs)
        raise RuntimeError("as it was told to")


def bits(epochs: int = 20) -> None:
    """Whether weights end bit-identical without ContributionCanvas, with it, and with one that raises."""
    weights = {}
    clip = Collage(SIZE)
    for name, callback in {"without": None, "with": ContributionCanvas(), "failing": Failing()}.items():
        module = new_nerv()
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            callbacks = [] if callback is None else [callback]
            settings: dict[str, Any] = {"accelerator": "cpu", "enable_model_summary": False, "num_sanity_val_steps": 0}
            trainer = Trainer(max_epochs=epochs, logger=TensorBoardLogger(folder), callbacks=callbacks, **settings)
            trainer.fit(module, clip)
        weights[name] = torch.cat([parameter.detach().reshape(-1) for parameter in module.parameters()])
    for name in ("with", "failing"):
        print(f"NeRV, {epochs} epochs, {name}: bit-identical {torch.equal(weights['without'], weights[name])}")


def options(seeds: int, epochs: int) -> None:
    """What each option costs in PSNR and brings in time."""
    clip, image = Collage(SIZE), Image("astronaut", SIZE)
    _ = clip.frames, image.frames
    for seed in range(seeds):
        for name, channels_last, precision in (
            ("plain", False, "32-true"),
            ("channels_last", True, "32-true"),
            ("channels_last, bf16-mixed", True, "bf16-mixed"),
        ):
            watch = fit(new_nerv(seed, channels_last), clip, epochs, epochs, precision)
            print(f"NeRV, seed {seed}, {epochs} epochs, {name}: {watch.psnr[epochs]:.2f} dB, {watch.seconds:.1f} s")
        for name, remember, precision in (
            ("plain", False, "32-true"),
            ("features remembered", True, "32-true"),
            ("features remembered, bf16-mixed", True, "bf16-mixed"),
        ):
            module = new_ffn(seed)
            if not remember:
                module.network.encoding.register_forward_pre_hook(_forget)  # type: ignore[union-attr]
            watch = fit(module, image, epochs, epochs, precision)
            print(f"FFN, seed {seed}, {epochs} epochs, {name}: {watch.psnr[epochs]:.2f} dB, {watch.seconds:.1f} s")


def _forget(encoding: torch.nn.Module, inputs: object) -> None:
    encoding._remembered = None  # type: ignore[assignment]


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("quality", "overhead", "parity", "bits", "options"))
    parser.add_argument("--video", help="a folder of frames or a video file, for `quality` and `parity`")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=100, help="for `options` and `parity`")
    arguments = parser.parse_args()
    torch.set_num_threads(min(torch.get_num_threads(), 2))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    match arguments.what:
        case "quality":
            quality(arguments.video)
        case "overhead":
            overhead(arguments.rounds)
        case "parity":
            parity(arguments.video, arguments.epochs, arguments.seeds)
        case "bits":
            bits()
        case "options":
            options(arguments.seeds, arguments.epochs)


if __name__ == "__main__":
    main()
