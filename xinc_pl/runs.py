"""Finished runs, brought back from the folders that the command line has left."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn

from xinc_pl.callbacks import DissectedFrame
from xinc_pl.canvas import Convention
from xinc_pl.complaints import one_line
from xinc_pl.data import FramesDataModule
from xinc_pl.frames import Frame
from xinc_pl.random_state import preserved_random_state

LINKS = {
    "data.size": ("model.init_args.size", "model.init_args.network.init_args.size"),
    "data.num_frames": ("model.init_args.num_frames",),
}
"""What the data know, so that nobody has to type it twice."""


class RunError(ValueError):
    """A run cannot be loaded, or not be used for what it is wanted for. The message is one line."""


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


def load_run(path: str | Path, checkpoint: str | Path | None = None) -> Run:
    """Load a finished run.

    Args:
        path: The run's folder, such as ``lightning_logs/version_0``; or one checkpoint in it.
        checkpoint: A file, or the name of one among the run's checkpoints. By default ``last.ckpt``; where there is
            none, the one that was written last.

    Raises:
        RunError: Says in one line what is missing, broken, or does not fit.
    """
    path = Path(path)
    if not path.exists():
        raise RunError(f"there is no run {str(path)!r}; give the folder of one, such as lightning_logs/version_0")
    if path.is_file():
        path, checkpoint = _folder_around(path), path
    name = path.resolve().name if checkpoint is None else f"{path.resolve().name}/{Path(checkpoint).stem}"
    config = _read_config(path)
    file = _find_checkpoint(path, checkpoint)
    state = _read_checkpoint(file)
    with preserved_random_state():
        module, data = _instantiate(config, path)
    _load_weights(module, state["state_dict"], file)
    network = getattr(module, "xinc_network", lambda: None)()
    if not isinstance(network, nn.Module):
        raise RunError(
            f"run {name} does not know its network; give {type(module).__name__} a method xinc_network(self)"
        )
    epoch, step = int(state["epoch"]) + 1, int(state["global_step"])
    return Run(path, file, name, epoch, step, network.eval(), module.eval(), data)


def _folder_around(checkpoint: Path) -> Path:
    """The run that a checkpoint belongs to."""
    for folder in checkpoint.resolve().parents[:2]:
        if (folder / "config.yaml").is_file():
            return folder
    raise RunError(f"checkpoint {str(checkpoint)!r} lies in no run: there is no config.yaml beside it or one level up")


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.yaml"
    if not file.is_file():
        runs = sorted(each.parent.name for each in folder.glob("*/config.yaml"))
        hint = f"; it holds runs, name one of them: {', '.join(runs[:8])}" if runs else ""
        raise RunError(f"{str(folder)!r} is not the folder of a run: it has no config.yaml{hint}")
    try:
        config = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise RunError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
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


def _read_checkpoint(file: Path) -> Mapping[str, Any]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises almost anything for a file that is damaged
        raise RunError(
            f"checkpoint {str(file)!r} cannot be read: it is damaged, or holds more than weights and plain values "
            f"({type(error).__name__})"
        ) from error
    if not isinstance(state, dict) or not {"state_dict", "epoch", "global_step"} <= set(state):
        raise RunError(f"checkpoint {str(file)!r} was not written by Lightning: it has no weights, epoch and step")
    return state


def _instantiate(config: Mapping[str, Any], folder: Path) -> tuple[LightningModule, LightningDataModule | None]:
    """Make the module and the datamodule that a configuration names, as the command line would."""
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(LightningModule, "model", subclass_mode=True)
    given = {"model": config["model"]}
    if config.get("data"):
        parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True)
        given["data"] = config["data"]
        for source, targets in LINKS.items():
            for target in targets:
                parser.link_arguments(source, target, apply_on="instantiate")
    try:
        made = parser.instantiate_classes(parser.parse_object(given))
        data = made.get("data")
        if data is not None and not isinstance(data, FramesDataModule):  # ours need neither
            data.prepare_data()
            data.setup("fit")
    except Exception as error:  # the parser's, constructors', and other people's datamodules'
        raise RunError(f"{folder / 'config.yaml'} does not do: {' '.join(one_line(str(error)).split())}") from error
    return made["model"], data


def _load_weights(module: LightningModule, weights: Mapping[str, Any], file: Path) -> None:
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        details = [line.strip() for line in str(error).splitlines()[1:] if line.strip()]
        raise RunError(
            f"the weights in {str(file)!r} do not fit the network of its config.yaml: {' '.join(details[:1])}"
        ) from error
