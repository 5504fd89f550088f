"""The command line: one LightningCLI, with the bundled configurations by name."""

import argparse
import importlib
import inspect
import math
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ProgressBar, TQDMProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import distributed

# Short class names on the command line are those of imported classes.
import xinc_pl
import xinc_pl.callbacks
import xinc_pl.data
import xinc_pl.models
import xinc_pl.training
from xinc_pl.callbacks import LastCheckpoint, ReconstructionWriter, RunSummary
from xinc_pl.callbacks.guide import write_hyperparameters
from xinc_pl.callbacks.loggers import run_of_checkpoint
from xinc_pl.callbacks.outputs import callbacks_of, is_rehearsal
from xinc_pl.checkpoints import CheckpointError
from xinc_pl.complaints import one_line
from xinc_pl.config_files import BundledConfigFile, bundled_configs, file_with_key
from xinc_pl.data import FramesDataModule
from xinc_pl.refusals import give_up, is_configuration_error, nothing_left_behind
from xinc_pl.resuming import choose_checkpoint
from xinc_pl.runs import LINKS, RunError
from xinc_pl.settings import check_monitors, check_seed, check_trainer_settings
from xinc_pl.suggestions import did_you_mean
from xinc_pl.training import NonFiniteLossError

TOOLS = {
    "analyse": "xinc_pl.tools.analyse",
    "compare": "xinc_pl.tools.compare",
    "export": "xinc_pl.tools.export",
    "import": "xinc_pl.tools.importing",
}
"""Words of the command line that are no subcommands of Lightning's, and the modules that know them."""

_DESCRIPTION = f"""{xinc_pl.__doc__} And afterwards: `xinc analyse RUN` makes any analysis from a run's recordings,
`xinc compare RUN RUN ...` lays the canvases of finished runs side by side, `xinc export RUN` writes a canvas as arrays;
`xinc import FILE` makes a run of the authors' own weights; see `xinc analyse --help` and so on."""


class OneLineParser(LightningArgumentParser):
    """A parser that says what is wrong in one line, not after a page of usage."""

    config_files: Sequence[Path] = ()
    """Those that have been read."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the message and exit with 2; within a value of another parser's, leave that to it."""
        if not self.exit_on_error:
            raise argparse.ArgumentError(None, message) from ex
        parser = getattr(ex, "subcommand_parser", None) or self
        message = message if ex is None else str(ex)
        keys = {action.dest for action in parser._actions}
        line = one_line(message, sorted(keys), base_of=_BASES.get)
        file = file_with_key(parser.config_files, line.partition(": ")[0])
        give_up(line if file is None or _is_bundled(file) else f"{line} (in {file})")


_BASES: dict[str, type] = {
    "model": LightningModule,
    "data": LightningDataModule,
    "trainer.callbacks": Callback,
    "trainer.logger": Logger,
}
"""What the classes of these keys are derived from."""


def _is_bundled(file: Path) -> bool:
    return file in bundled_configs().values()


class ConfigKeeper(SaveConfigCallback):
    """Writes the run's configuration beside its logs, and shows it in TensorBoard's table of runs."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write it, unless this only makes pictures for the run that a checkpoint is from."""
        if stage != "predict" or run_of_checkpoint(self.config.get("ckpt_path")) is None:
            super().setup(trainer, pl_module, stage)

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Show the settings of model, data and training."""
        del pl_module
        if stage == "fit" and not is_rehearsal(trainer):
            write_hyperparameters(trainer, _settings(self.config))


def _settings(config: Namespace) -> dict[str, object]:
    """What tells one run from another, by short names: ``model.network.width``."""
    chosen = {
        name.replace(".init_args", "").removesuffix(".class_path"): value
        for name, value in vars(config.as_flat()).items()
        if name.startswith(("model.", "data.", "seed_everything", "trainer.max_", "trainer.precision"))
    }
    return {name: value for name, value in chosen.items() if value is not None}


class XINCCommandLine(LightningCLI):
    """``fit``, ``validate``, ``test`` and ``predict``, whatever the model and the data."""

    def __init__(self, args: ArgsType) -> None:
        super().__init__(
            LightningModule,
            LightningDataModule,
            ConfigKeeper,
            save_config_kwargs={"overwrite": True},
            trainer_defaults={"callbacks": [RunSummary(), ReconstructionWriter()]},
            seed_everything_default=0,
            parser_kwargs={"prog": "xinc", "description": _DESCRIPTION, "allow_abbrev": False},
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=args,
        )

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:  # noqa: ANN401 - passed on
        """A parser whose ``--config`` knows the bundled configurations."""
        kwargs.setdefault("dump_header", ["xinc_pl"])
        kwargs.setdefault("allow_abbrev", False)
        parser = OneLineParser(**kwargs)
        names = ", ".join(sorted(bundled_configs()))
        parser.add_argument(
            "-c",
            "--config",
            action=BundledConfigFile,
            help=f"A YAML file, or one of the bundled: {names}. May be given several times; the later one counts.",
        )
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Sizes come from the data."""
        for source, targets in LINKS.items():
            for target in targets:
                parser.link_arguments(source, target, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse; refuse settings that would only fail later."""
        super().parse_arguments(parser, args)
        config = self.config.get(self.config.get("subcommand"), self.config)
        try:
            check_seed(config.get("seed_everything"))
            check_trainer_settings(vars(config.trainer), self.config.get("subcommand"))
        except ValueError as error:
            give_up(error)

    def before_instantiate_classes(self) -> None:
        """Data of their own size are cut to what the network can make."""
        config = self.config[self.subcommand] if self.subcommand else self.config
        strides = config.get("model.init_args.network.init_args.strides")
        if strides and config.get("data.init_args.multiple_of") == 1:
            config["data.init_args.multiple_of"] = math.prod(strides)

    def instantiate_classes(self) -> None:
        """Turn constructors' complaints into one line, before anything runs."""
        try:
            super().instantiate_classes()
            self._warn_of_overruled_values()
            if isinstance(self.datamodule, FramesDataModule):
                # Finds what is wrong with the data. It keeps its frames; another datamodule might load them twice.
                _ = self.datamodule.frames
            check_monitors(self.model, callbacks_of(self.trainer))
        except (ValueError, MisconfigurationException) as error:
            give_up(error)
        except Exception as error:
            if not is_configuration_error(error):
                raise
            give_up(error)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:  # noqa: ANN401 - passed on
        """A trainer whose progress bar is drawn every tenth step; drawing it takes as long as a small step.

        Where LastCheckpoint keeps the run, Lightning adds no checkpoints of its own.
        """
        config = self._get(self.config_init, "trainer", default={})
        given = config.get("callbacks") or []
        callbacks = list(given) if isinstance(given, list) else [given]
        wanted = config.get("enable_progress_bar") is not False and not config.get("barebones")
        if wanted and not any(isinstance(callback, ProgressBar) for callback in callbacks):
            callbacks.append(TQDMProgressBar(refresh_rate=10))
        kept = any(isinstance(callback, LastCheckpoint) for callback in callbacks)
        if kept and not any(isinstance(callback, Checkpoint) for callback in callbacks):
            kwargs.setdefault("enable_checkpointing", config.get("enable_checkpointing") or False)
        return super().instantiate_trainer(callbacks=callbacks, **kwargs)

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            self._choose_checkpoint()
            with nothing_left_behind(self.trainer):
                super()._run_subcommand(subcommand)
        except NonFiniteLossError:
            raise
        except CheckpointError as error:
            give_up(error)
        except Exception as error:
            if self.trainer.global_step or not is_configuration_error(error):
                raise
            give_up(error)

    def _parse_ckpt_path(self) -> None:
        """A checkpoint is data: the classes that Lightning might have it name are not made."""

    def _choose_checkpoint(self) -> None:
        """Find the checkpoint, and miss it, before anything is written."""
        given = self.config_init[self.subcommand]
        path = choose_checkpoint(
            given.get("ckpt_path"), str(self.subcommand), self.trainer, self.model, given.get("weights_only")
        )
        given["ckpt_path"] = self.config[self.subcommand]["ckpt_path"] = None if path is None else str(path)
        if self.subcommand == "predict" and run_of_checkpoint(path) is not None:
            self.trainer.loggers = []  # they would make a new run's folder, with nothing in it

    def _warn_of_overruled_values(self) -> None:
        """Say which values were given in vain, because the data determine them."""
        config = self.config[self.subcommand] if self.subcommand else self.config
        for source, targets in LINKS.items():
            actual = getattr(self.datamodule, source.removeprefix("data."), None)
            for target in targets:
                given = config.get(target)
                if actual is not None and given not in (None, actual, _default(config, target)):
                    rank_zero_warn(f"{target} = {given} is overruled by {source} = {actual}")


def _default(config: Namespace, target: str) -> object:
    """The default that a class in the configuration has for one of its arguments."""
    holder, _, argument = target.rpartition(".init_args.")
    class_path = config.get(f"{holder}.class_path")
    if class_path is None:
        return None
    parameter = inspect.signature(_import(class_path)).parameters.get(argument)
    return None if parameter is None else parameter.default


def _import(class_path: str) -> Any:  # noqa: ANN401 - a class, of whatever kind
    module, _, name = class_path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line: one of ``TOOLS``, or one of Lightning's subcommands.

    Args:
        args: Its words; by default those the program was called with.
    """
    # Lightning 2.6 on newer torch, once per run; nothing that a user could do anything about.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    words = sys.argv[1:] if args is None else list(args)
    if words[:1] and words[0] in TOOLS:
        _run_tool(words[0], words[1:])
        return
    _check_subcommand(words)
    try:
        XINCCommandLine(None if args is None else words)
        _leave_process_group()
    except NonFiniteLossError as error:
        sys.exit(f"xinc: {error}")
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)  # Lightning would exit as if the training had come to its end


def _check_subcommand(words: Sequence[str]) -> None:
    """Miss a subcommand, or one that is misspelt."""
    names = [*XINCCommandLine.subcommands(), *TOOLS]
    if not words:
        give_up(f"there is no subcommand; say {', '.join(names[:-1])} or {names[-1]}, as in xinc fit --config nerv")
    if not words[0].startswith("-") and words[0] not in names:
        give_up(f"there is no subcommand {words[0]!r}; there are {', '.join(names)}{did_you_mean(words[0], names)}")


def _leave_process_group() -> None:
    """Part from the other processes in order: gloo aborts now and then when Python exits while it is connected."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _run_tool(name: str, words: Sequence[str]) -> None:
    try:
        importlib.import_module(TOOLS[name]).main(words)
    except RunError as error:
        give_up(error)
    except KeyboardInterrupt:
        done = "; what was finished is written, and the same command goes on from there" if name == "analyse" else ""
        sys.stderr.write(f"\nxinc: interrupted{done}\n")
        sys.exit(128 + signal.SIGINT)
