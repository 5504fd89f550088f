"""Loggers of other makers, as small stand-ins with the methods that theirs have."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import Probe, tiny_image, tiny_photograph, trainer

from xinc_pl.callbacks import LastCheckpoint
from xinc_pl.callbacks.board import board_of
from xinc_pl.callbacks.loggers import picture_shower, run_folder
from xinc_pl.callbacks.outputs import Outputs

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
TAG = "xinc/mine/head/maps"


class StandIn(Logger):
    """What all of Lightning's loggers have."""

    def __init__(self, save_dir: Path | None = None) -> None:
        super().__init__()
        self.got: list[tuple[Any, ...]] = []
        self._save_dir = save_dir

    name, version = "project", "run-1"

    @property
    def save_dir(self) -> str | None:
        return None if self._save_dir is None else str(self._save_dir)

    @property
    def experiment(self) -> Any:
        return SimpleNamespace()

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        pass

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        pass


class Wandb(StandIn):
    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        assert isinstance(images, list)
        self.got.append((key, images[0], step))


class MLFlow(StandIn):
    run_id = "0123"

    @property
    def experiment(self) -> Any:
        def log_image(
            run_id: str, image: Any, artifact_file: str | None = None, key: str | None = None, step: int | None = None
        ) -> None:
            assert run_id == "0123"
            assert artifact_file is None
            self.got.append((key, image, step))

        return SimpleNamespace(log_image=log_image)


class Comet(StandIn):
    @property
    def experiment(self) -> Any:
        def log_image(
            image_data: Any, name: str | None = None, overwrite: bool = False, *, step: int | None = None
        ) -> None:
            self.got.append((name, image_data, step))

        return SimpleNamespace(log_image=log_image)


class Aim(StandIn):
    @property
    def experiment(self) -> Any:
        def track(value: Any, name: str | None = None, step: int | None = None, epoch: int | None = None) -> None:
            self.got.append((name, value.of_aim, step))

        return SimpleNamespace(track=track)


class NeptuneLogger(StandIn):
    @property
    def experiment(self) -> Any:
        got = self.got

        class Run:
            def __getitem__(self, key: str) -> Any:
                return SimpleNamespace(append=lambda value, *, step: got.append((key, value.of_neptune, step)))

            def __getattr__(self, name: str) -> Any:
                if name == "log_image":
                    raise RuntimeError("you seem to use the methods of long ago")
                raise AttributeError(name)

        return Run()


class SomeNeptune(NeptuneLogger):
    """Of somebody else, who has derived a logger of his own."""


class LitLogger(StandIn):
    @property
    def experiment(self) -> Any:
        got = self.got

        class Experiment:
            def __getitem__(self, key: str) -> Any:
                return SimpleNamespace(append=lambda value, step=None: got.append((key, value.of_lit, step)))

        return Experiment()


class Duck(StandIn):
    """TensorBoard's methods, from another package."""

    @property
    def experiment(self) -> Any:
        def add_image(tag: str, img_tensor: Any, global_step: int | None = None, dataformats: str = "CHW") -> None:
            assert dataformats == "HWC"
            self.got.append((tag, Image.fromarray(img_tensor), global_step))

        return SimpleNamespace(add_image=add_image)


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these loggers' packages wrap pictures in."""
    aim, types, lit = ModuleType("aim"), ModuleType("neptune.types"), ModuleType("litlogger")
    aim.Image = lambda image: SimpleNamespace(of_aim=image)  # type: ignore[attr-defined]
    lit.Image = lambda image: SimpleNamespace(of_lit=image)  # type: ignore[attr-defined]
    types.File = SimpleNamespace(  # type: ignore[attr-defined]
        as_image=lambda image, autoscale=True: SimpleNamespace(of_neptune=image)
    )
    for name, module in {
        "aim": aim,
        "neptune": ModuleType("neptune"),
        "neptune.types": types,
        "litlogger": lit,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)


KINDS = [Wandb, MLFlow, Comet, Aim, NeptuneLogger, SomeNeptune, LitLogger, Duck]


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_reaches_every_kind_of_logger_as_it_is(tmp_path: Path, kind: type[StandIn]) -> None:
    logger = kind()
    run = trainer(tmp_path, logger=[CSVLogger(tmp_path), logger])
    Outputs(board_of(run), "mine", tmp_path, epoch=3, step=45, several_frames=False).image("head", "maps", PIXELS)
    ((tag, image, step),) = logger.got
    assert (tag, step) == (TAG, 45)
    assert np.array_equal(np.asarray(image), PIXELS)


def test_mlflow_gets_a_key_that_it_takes(tmp_path: Path) -> None:
    logger = MLFlow()
    run = trainer(tmp_path, logger=logger)
    Outputs(board_of(run), "mine", tmp_path, epoch=3, step=45, several_frames=False).image("net[0]: é", "maps", PIXELS)
    assert logger.got[0][0] == "xinc/mine/net_0__3A_20_C3_A9/maps"


@pytest.mark.parametrize(
    "logger", [CSVLogger("logs"), DummyLogger(), StandIn()], ids=lambda logger: type(logger).__name__
)
def test_other_loggers_take_no_pictures(logger: Logger) -> None:
    assert picture_shower(logger) is None


class Broken(Wandb):
    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: Any) -> None:
        super().log_image(key, images, step)
        raise ConnectionError("the service is away")


def test_a_logger_that_fails_is_told_of_once_and_harms_nobody(tmp_path: Path) -> None:
    broken, good = Broken(), Wandb()
    run = trainer(tmp_path, logger=[broken, TensorBoardLogger(tmp_path), good])
    outputs = Outputs(board_of(run), "mine", tmp_path / "files", epoch=3, step=45, several_frames=False)
    with pytest.warns(UserWarning, match=r"Broken refused .*the service is away"):
        outputs.image("head", "maps", PIXELS)
    outputs.image("tail", "maps", PIXELS)
    assert (len(broken.got), len(good.got)) == (1, 2)
    assert len(list((tmp_path / "files").rglob("*.png"))) == 2
    events = EventAccumulator(run.loggers[1].log_dir).Reload()
    outputs.flush()
    assert len(events.Reload().Tags()["images"]) == 2


class Draws(Probe):
    """A picture, beside the number."""

    def analyse(self, frames: Any, layers: Any, outputs: Outputs) -> None:
        super().analyse(frames, layers, outputs)
        outputs.image("head", "maps", PIXELS)


def test_a_whole_training_with_one_that_is_no_tensorboard(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    logger = Wandb(tmp_path)
    run = trainer(tmp_path, [Draws(at_epochs=(0,)), LastCheckpoint()], max_epochs=1, logger=logger)
    run.fit(tiny_image(), tiny_photograph())
    assert [step for _, _, step in logger.got] == [0, 2]
    folder = tmp_path / "project/run-1"
    assert (folder / "xinc/draws/head/maps_epoch_0001.png").is_file(), "beside Lightning's checkpoints"
    assert (folder / "checkpoints/last.ckpt").is_file()
    assert not [warning for warning in recwarn if "takes pictures" in str(warning.message)]


@pytest.mark.parametrize("logger", [False, "csv"])
def test_without_pictures_files_are_written_and_one_line_tells(tmp_path: Path, logger: Any) -> None:
    made = CSVLogger(tmp_path) if logger else False
    callbacks = [Draws(name="a"), Draws(name="b")]
    run = trainer(tmp_path, callbacks, max_epochs=1, logger=made, default_root_dir=tmp_path)
    with pytest.warns(UserWarning, match="no TensorBoardLogger") as record:
        run.fit(tiny_image(), tiny_photograph())
    assert len([warning for warning in record if "TensorBoardLogger" in str(warning.message)]) == 1
    folder = Path(made.log_dir) if made else tmp_path
    assert len(list((folder / "xinc").rglob("*.png"))) == 4


def test_the_folder_is_where_lightning_puts_checkpoints(tmp_path: Path) -> None:
    def folder(logger: Any) -> Path:
        return run_folder(trainer(tmp_path, logger=logger, default_root_dir=tmp_path / "root"))

    assert folder(CSVLogger(tmp_path, version=3)) == tmp_path / "lightning_logs/version_3"
    assert folder(StandIn(tmp_path / "save")) == tmp_path / "save/project/run-1"
    assert folder(StandIn()) == tmp_path / "root/project/run-1"
    assert folder(False) == tmp_path / "root"
