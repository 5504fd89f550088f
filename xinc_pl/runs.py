"""Finished runs, brought back from the folders that the command line has left."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn

from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.callbacks.loggers import run_of_checkpoint
from xinc_pl.canvas import Canvas, Convention
from xinc_pl.checkpoints import CheckpointError, load_weights, read_checkpoint
from xinc_pl.complaints import one_line
from xinc_pl.data import FramesDataModule
from xinc_pl.frames import Frame
from xinc_pl.plain_yaml import PlainYAMLError, read_plain_yaml
from xinc_pl.random_state import preserved_random_state
from xinc_pl.recorded import RecordedRun, RunError, curves_of, recorded_run
from xinc_pl.scalars import Curve
from xinc_pl.trust import TrustError, check_classes, make, takes

__all__ = ["LINKS", "AnyRun", "RecordedRun", "Run", "RunError", "checkpoint_run", "load_run", "recorded_run"]

LINKS = {
    "data.size": ("model.init_args.size", "model.init_args.network.init_args.size"),
    "data.num_held_out": ("model.init_args.num_held_out",),
    "data.num_frames": ("model.init_args.num_frames", "model.init_args.network.init_args.num_frames"),
}
"""What the data know, so that nobody has to type it twice."""


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: its network as it was when a checkpoint was written, and the frames it was fitted to.

    Attributes:
        path: The run's folder.
        checkpoint: The file that the weights are from.
        name: The folder's name, followed by the checkpoint's where that was chosen by hand.
        epoch: Completed epochs.
        step: Completed steps.
        network: On the CPU, in evaluation mode.
    """

    path: Path
    checkpoint: Path
    name: str
    epoch: int
    step: int
    network: nn.Module
    _module: LightningModule
    _data: LightningDataModule | None

    @property
    def epochs(self) -> tuple[int, ...]:
        """The one epoch that the checkpoint was written after."""
        return (self.epoch,)

    @property
    def num_frames(self) -> int | None:
        """How many frames the network was fitted to, if its module or its data tell."""
        counts = (getattr(source, "num_frames", None) for source in (self._module, self._data))
        return next((count for count in counts if isinstance(count, int)), None)

    @property
    def source(self) -> Path:
        """The file that the weights are from."""
        return self.checkpoint

    @cached_property
    def scalars(self) -> Mapping[str, Curve]:
        """The run's curves, by tag.

        Raises:
            RunError: Their files are damaged.
        """
        return curves_of(self.path, self.name)

    def canvas(self, epoch: int = -1, frame: int = 0, convention: Convention = "paper") -> Canvas:
        """The canvas of one of its frames.

        Args:
            epoch: The checkpoint's, or -1 for the same.
            frame: Index of the frame.
            convention: The formulas to follow.

        Raises:
            RunError: It is another epoch, or there is no such frame.
            DissectionError: The network cannot be dissected under that convention.
        """
        if epoch not in (-1, self.epoch):
            raise RunError(
                f"run {self.name} has no recordings, only the weights after epoch {self.epoch}; train with the "
                "callback CanvasRecorder to look at others"
            )
        return self.dissected(frame, convention).canvas

    def frame(self, index: int) -> Frame:
        """One of the frames that the network was fitted to.

        Raises:
            RunError: There is no such frame, or it cannot be read.
        """
        for source in (self._module, self._data):
            answer = getattr(source, "xinc_frames", None)
            if callable(answer):
                try:
                    (frame,) = answer([index])
                except (ValueError, IndexError, OSError) as error:
                    raise RunError(f"run {self.name}: {error}") from error
                assert isinstance(frame, Frame)
                return frame
        raise RunError(
            f"run {self.name} does not know its frames; give {type(self._module).__name__} or its datamodule a method "
            "xinc_frames(self, indices)"
        )

    def dissected(self, index: int = 0, convention: Convention = "paper") -> DissectedFrame:
        """One of its frames with the network's canvas, reconstruction and PSNR."""
        return DissectedFrame(self.frame(index), self.network, convention)


AnyRun = Run | RecordedRun
"""What ``load_run`` returns."""


def load_run(path: str | Path, checkpoint: str | Path | None = None, *, trust: bool = False) -> AnyRun:
    """Load a run: its recordings, where a ``CanvasRecorder`` has left some; else its network, from a checkpoint.

    From either come ``epochs``, ``canvas(epoch, frame, convention)``, ``frame(index)``, ``dissected(index)`` and
    ``scalars``. Recordings need neither the network's class nor the data; they may be a run's that has not ended yet.

    Whoever has made the folder, it runs nothing: of the classes that its ``config.yaml`` names only those of xinc_pl,
    torch.nn and torch.optim are made, from plain values, and of the checkpoint only weights and plain values are read.

    Args:
        path: The run's folder, such as ``lightning_logs/version_0``; or one checkpoint in it.
        checkpoint: A file, or the name of one among the run's checkpoints: load the network from it, recordings or
            not. Where there are no recordings, it is ``last.ckpt`` by default, or else the one written last.
        trust: Import and make whatever classes ``config.yaml`` names, as training with it would: your own, or those
            of somebody whose programs you would run. The checkpoint is read as before.

    Raises:
        RunError: Says in one line what is missing, broken, or does not fit.
    """
    if checkpoint is None and not trust and (recorded := recorded_run(Path(path))) is not None:
        return recorded
    return checkpoint_run(path, checkpoint, trust=trust)


def checkpoint_run(path: str | Path, checkpoint: str | Path | None = None, *, trust: bool = False) -> Run:
    """Load a run's network from a checkpoint, as ``load_run`` does where there are no recordings."""
    path = Path(path)
    if not path.exists():
        raise RunError(f"there is no run {str(path)!r}; give the folder of one, such as lightning_logs/version_0")
    if path.is_file():
        path, checkpoint = _folder_around(path), path
    name = path.resolve().name if checkpoint is None else f"{path.resolve().name}/{Path(checkpoint).stem}"
    config = _read_config(path)
    file = _find_checkpoint(path, checkpoint)
    try:
        state = read_checkpoint(file)
        with preserved_random_state():
            module, data = _instantiate(config, path, trust)
        load_weights(module, state, file, "its config.yaml")
    except CheckpointError as error:
        raise RunError(str(error)) from error
    network = getattr(module, "xinc_network", lambda: None)()
    if not isinstance(network, nn.Module):
        raise RunError(
            f"run {name} does not know its network; give {type(module).__name__} a method xinc_network(self)"
        )
    epoch, step = int(state["epoch"]) + 1, int(state["global_step"])
    return Run(path, file, name, epoch, step, network.eval(), module.eval(), data)


def _folder_around(checkpoint: Path) -> Path:
    """The run that a checkpoint belongs to."""
    if folder := run_of_checkpoint(checkpoint.resolve()):
        return folder
    raise RunError(f"checkpoint {str(checkpoint)!r} lies in no run: there is no config.yaml beside it or one level up")


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.yaml"
    if not file.is_file():
        runs = sorted(each.parent.name for each in folder.glob("*/config.yaml"))
        hint = f"; it holds runs, name one of them: {', '.join(runs[:8])}" if runs else ""
        raise RunError(f"{str(folder)!r} is not the folder of a run: it has no config.yaml{hint}")
    try:
        config = read_plain_yaml(file)
    except PlainYAMLError as error:
        raise RunError(f"{file} cannot be read: {error}") from error
    if not isinstance(config, dict) or not config.get("model"):
        raise RunError(f"{file} is not the configuration of a run: it has no model")
    return config


def _find_checkpoint(folder: Path, wanted: str | Path | None) -> Path:
    if wanted is not None:
        files = [file for file in (Path(wanted), folder / "checkpoints" / wanted) if file.is_file()]
        if not files:
            raise RunError(f"{str(folder)!r} has no checkpoint {str(wanted)!r}")
        return files[0]
    files = sorted((folder / "checkpoints").glob("*.ckpt"), key=lambda file: (file.stat().st_mtime, file.name))
    if not files:
        raise RunError(
            f"{str(folder)!r} has no checkpoint; train with the callback LastCheckpoint (it is in the bundled "
            "configurations)"
        )
    last = folder / "checkpoints" / "last.ckpt"
    return last if last in files else files[-1]


def _instantiate(
    config: Mapping[str, Any], folder: Path, trust: bool
) -> tuple[LightningModule, LightningDataModule | None]:
    """Make the module and the datamodule that a configuration names."""
    try:
        return _make_trusted(config) if trust else _make_known(config)
    except TrustError as error:
        raise RunError(f"{folder / 'config.yaml'} is not loaded: {error}") from error
    except Exception as error:  # the parser's, constructors', and other people's datamodules'
        raise RunError(f"{folder / 'config.yaml'} does not do: {' '.join(one_line(str(error)).split())}") from error


def _make_known(config: Mapping[str, Any]) -> tuple[LightningModule, LightningDataModule | None]:
    data = make(config["data"], LightningDataModule) if config.get("data") else None
    return make(_linked(config["model"], data), LightningModule), data


def _linked(model: Any, data: LightningDataModule | None) -> Any:  # noqa: ANN401 - not checked yet
    """A model's description, with what the data know."""
    model = deepcopy(model)
    for source, targets in LINKS.items():
        known = getattr(data, source.removeprefix("data."), None)
        for target in targets:
            *way, argument = target.split(".init_args.")
            holder = model
            for name in way[1:]:
                holder = (holder.get("init_args") or {}).get(name) if takes(holder, name) else None
            if known is not None and takes(holder, argument):
                holder["init_args"] = {**(holder.get("init_args") or {}), argument: _plain(known)}
    return model


def _plain(value: Any) -> Any:  # noqa: ANN401 - a size or a count
    return list(value) if isinstance(value, tuple) else value


def _make_trusted(config: Mapping[str, Any]) -> tuple[LightningModule, LightningDataModule | None]:
    """As the command line would."""
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(LightningModule, "model", subclass_mode=True)
    given = {"model": config["model"]}
    if config.get("data"):
        parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True)
        given["data"] = config["data"]
        for source, targets in LINKS.items():
            for target in targets:
                parser.link_arguments(source, target, apply_on="instantiate")
    check_classes(given)
    made = parser.instantiate_classes(parser.parse_object(given))
    data = made.get("data")
    if data is not None and not isinstance(data, FramesDataModule):  # ours need neither
        data.prepare_data()
        data.setup("fit")
    return made["model"], data
