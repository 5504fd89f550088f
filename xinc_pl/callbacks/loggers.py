"""What a logger is, where a run's files lie, and how a picture gets to a logger: whoever made it, decided here alone.

``lightning`` and ``pytorch_lightning`` are the same code under two names, and other projects bring loggers of their
own, so that loggers are told by what they can do.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from xinc_pl.callbacks.records import hasten


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it goes to loggers.

    Args:
        encoded: As PNG; an animation may be an animated PNG.
        height: In pixels.
        width: In pixels.
    """

    encoded: bytes
    height: int
    width: int

    @cached_property
    def image(self) -> Image.Image:
        """The picture (the first one of an animation), decoded."""
        return Image.open(BytesIO(self.encoded)).convert("RGB")


Show = Callable[[str, Picture, int], None]
"""Shows a picture: its tag, the picture, the step."""


def picture_shower(logger: object) -> Show | None:
    """How a logger is given pictures; None for one that takes none, such as the ``CSVLogger``.

    TensorBoard's get them as they are on disk. W&B, MLflow, Comet, Neptune, Aim and LitLogger get them through the
    method of their own that Lightning's documentation names.
    """
    experiment = getattr(logger, "experiment", None)
    if experiment is None or _has(logger, _NOBODYS_METHOD) or _has(experiment, _NOBODYS_METHOD):
        return None  # a dummy, which answers to everything: fast_dev_run, or another process than the first
    by_name = {"NeptuneLogger": _neptune, "LitLogger": _lit}
    for kind in type(logger).__mro__:
        # Told by name, because they take everything by index, and Neptune's raises errors of its own when asked.
        if kind.__name__ in by_name:
            return by_name[kind.__name__](experiment)
    if isinstance(experiment, SummaryWriter):
        return partial(show_in_tensorboard, experiment)
    if _has(experiment, "add_image"):
        return _add_image(experiment)
    if _has(logger, "log_image"):
        return _wandb(logger)
    if _has(experiment, "log_image"):
        return _mlflow(logger, experiment) if hasattr(logger, "run_id") else _comet(experiment)
    if _has(experiment, "track"):
        return _aim(experiment)
    if hasattr(type(experiment), "__getitem__"):
        return _neptune(experiment)
    return None


def tensorboard_writers(loggers: Iterable[object]) -> list[SummaryWriter]:
    """The writers of all TensorBoard loggers among some loggers."""
    writers = (getattr(logger, "experiment", None) for logger in loggers)
    return [writer for writer in writers if isinstance(writer, SummaryWriter)]


def only_tensorboard(loggers: Iterable[object]) -> bool:
    """Whether all loggers that take pictures are TensorBoard's, whose writer takes them from any thread."""
    return all(
        isinstance(getattr(each, "experiment", None), SummaryWriter) or picture_shower(each) is None for each in loggers
    )


def tensorboard_folders(trainer: Trainer) -> tuple[Path, Path] | None:
    """The run's folder of the first TensorBoard logger, and the one that holds all runs; None without such a logger."""
    for logger in trainer.loggers:
        if isinstance(writer := getattr(logger, "experiment", None), SummaryWriter):
            folder = Path(getattr(logger, "log_dir", None) or writer.log_dir)
            return folder, Path(getattr(logger, "root_dir", None) or folder.parent)
    return None


def show_in_tensorboard(writer: SummaryWriter, tag: str, picture: Picture, step: int) -> None:
    """Show a picture or an animation as it is encoded: ``add_image`` would encode it once more."""
    image = Summary.Image(
        height=picture.height, width=picture.width, colorspace=3, encoded_image_string=picture.encoded
    )
    hasten(writer)
    writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def run_folder(trainer: Trainer) -> Path:
    """The folder of a run's files, where Lightning's ``ModelCheckpoint`` puts its own as well. Every process must ask.

    The first logger's ``log_dir``; of one that has none ``<save_dir>/<name>/<version>``, so that runs that W&B or
    MLflow tell apart do not share a folder; without a logger ``default_root_dir``, which also stands for a ``save_dir``
    that is somewhere else than here.
    """
    folder = Path(trainer.default_root_dir)
    if trainer.loggers:
        logger = trainer.loggers[0]
        log_dir = getattr(logger, "log_dir", None)
        if isinstance(log_dir, (str, Path)):
            folder = Path(log_dir)
        else:
            version = logger.version
            version = version if isinstance(version, str) else f"version_{version}"
            folder = Path(getattr(logger, "save_dir", None) or folder) / str(logger.name) / version
    # Only the first process has the experiment, and so its name.
    return Path(trainer.strategy.broadcast(str(folder)))


def run_of_checkpoint(checkpoint: object) -> Path | None:
    """The folder of the run that a checkpoint lies in, which has its ``config.yaml``; None if it lies in none.

    Args:
        checkpoint: A file, or whatever else a trainer takes for one.
    """
    if not isinstance(checkpoint, str | Path):
        return None
    for folder in Path(checkpoint).absolute().parents[:2]:
        if (folder / "config.yaml").is_file():
            return folder
    return None


_NOBODYS_METHOD = "xinc_asks_whether_it_answers_to_everything"


def _has(owner: object, method: str) -> bool:
    return callable(getattr(owner, method, None))


def _add_image(writer: Any) -> Show:  # noqa: ANN401 - with the methods of torch's
    return lambda tag, picture, step: writer.add_image(tag, np.asarray(picture.image), step, dataformats="HWC")


def _wandb(logger: Any) -> Show:  # noqa: ANN401 - Lightning's WandbLogger, from either package
    return lambda tag, picture, step: logger.log_image(key=tag, images=[picture.image], step=step)


def _mlflow(logger: Any, client: Any) -> Show:  # noqa: ANN401 - Lightning's MLFlowLogger, and an MlflowClient
    def show(tag: str, picture: Picture, step: int) -> None:
        key = re.sub(r"[^\w/. -]", "_", tag, flags=re.ASCII)  # it takes no other characters
        client.log_image(logger.run_id, picture.image, key=key, step=step)

    return show


def _comet(experiment: Any) -> Show:  # noqa: ANN401 - Comet's
    return lambda tag, picture, step: experiment.log_image(picture.image, name=tag, step=step)


def _aim(run: Any) -> Show:  # noqa: ANN401 - Aim's
    return lambda tag, picture, step: run.track(import_module("aim").Image(picture.image), name=tag, step=step)


def _neptune(run: Any) -> Show:  # noqa: ANN401 - Neptune's
    def show(tag: str, picture: Picture, step: int) -> None:
        file = import_module("neptune.types").File
        run[tag].append(file.as_image(picture.image, autoscale=False), step=step)

    return show


def _lit(experiment: Any) -> Show:  # noqa: ANN401 - LitLogger's
    return lambda tag, picture, step: experiment[tag].append(import_module("litlogger").Image(picture.image), step=step)
