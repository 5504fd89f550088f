"""``xinc analyse``: any analysis, on any recorded epochs of a run, when it is over or while it goes on."""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from tqdm import tqdm

from xinc_pl.callbacks import XINCCallback
from xinc_pl.callbacks.board import Board
from xinc_pl.callbacks.desk import PlainDesk
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.callbacks.untouched import untouched
from xinc_pl.canvas import Recording
from xinc_pl.frames import Frame
from xinc_pl.runs import AnyRun, RecordedRun, Run, RunError, load_run
from xinc_pl.tools.callbacks import callbacks_named, split_words
from xinc_pl.tools.words import TRUST, ToolParser, undivided

Tell = Callable[[str], None]


class Drafts(PlainDesk):
    """Keeps what is to be written, until all of it is there: then it is published, or dropped."""

    def __init__(self) -> None:
        self._actions: list[Callable[[], None]] = []

    def now(self, action: Callable[[], None]) -> None:
        """Keep it."""
        self._actions.append(action)

    def later(self, owner: str, epoch: int, action: Callable[[], None]) -> None:
        """Keep it."""
        del owner, epoch
        self._actions.append(action)

    def drop(self) -> None:
        """Forget all of it."""
        self._actions.clear()

    def publish(self, board: Board, folder: Path) -> None:
        """Write all of it, and to TensorBoard's files in a folder; Ctrl-C waits for the end."""
        try:
            with undivided():
                if not board.loggers:
                    board.loggers = [TensorBoardLogger(folder, name="", version="")]
                for action in self._actions:
                    action()
        finally:
            self.drop()


@dataclass(eq=False)
class Account:
    """What has become of a run.

    Attributes:
        done: How many analyses of one epoch have been written.
        there: How many were there already.
        failed: How many have failed, or could not be made.
    """

    done: int = 0
    there: int = 0
    failed: int = 0


@dataclass(eq=False)
class _Task:
    """One analysis of one run.

    Attributes:
        callback: The analysis.
        wanted: The epochs that it is to be made for.
        missing: Those of them that it has to be written for.
    """

    callback: XINCCallback
    wanted: tuple[int, ...]
    missing: frozenset[int]

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs to look at: what goes on from the moment before, needs them all."""
        if self.callback.follows and self.missing:
            return self.wanted
        return tuple(epoch for epoch in self.wanted if epoch in self.missing)


@dataclass(eq=False)
class _Workshop:
    """Where the analyses of one run are made.

    Attributes:
        run: The run.
        tell: Takes a line about what does not go as it should.
        board: What the analyses share.
        account: What has become of it.
    """

    run: AnyRun
    tell: Tell
    desk: Drafts = field(default_factory=Drafts)
    account: Account = field(default_factory=Account)

    def __post_init__(self) -> None:
        self.board = Board(desk=self.desk, directory=self.directory(self.run.epochs[-1]))
        self._frames: dict[int, Frame] = {}

    def directory(self, epoch: int) -> Path:
        """Where the callbacks have put, or would have put, what concerns an epoch."""
        if isinstance(self.run, RecordedRun):
            return self.run.files[epoch].parent.parent
        return self.run.path / "xinc"

    def step(self, epoch: int) -> int:
        """The training step of an epoch."""
        return (self.run.moment(epoch).step or 0) if isinstance(self.run, RecordedRun) else self.run.step

    def network(self, epoch: int, frame: int) -> nn.Module | Recording:
        """What shows a frame."""
        return self.run.recording(epoch, frame) if isinstance(self.run, RecordedRun) else self.run.network

    def is_there(self, callback: XINCCallback, epoch: int) -> bool:
        """Whether the files or the curves of an analysis have this epoch."""
        folder = self.directory(epoch) / callback.name
        if any(folder.rglob(f"*_epoch_{epoch:04d}.*")):
            return True
        step = self.step(epoch)
        return any(
            step in curve.steps for tag, curve in self.run.scalars.items() if tag.startswith(f"xinc/{callback.name}/")
        )

    def take_up(self, callback: XINCCallback) -> bool:
        """Let an analysis get to know frames and layers; False, and a line, where the run does not do for it.

        Raises:
            RunError: What the user has named is not there.
        """
        kind = type(callback).__name__
        callback.output = None  # which the recording has
        frames = [self._frame(index) for index in self._indices(callback)]
        try:
            callback.take_up(frames, self.board)
            network = self.network(self.run.epochs[-1], frames[0].index)
            with untouched(*_modules(network)):
                names = callback.known_layers(self.board, network)
        except RunError:
            raise
        except Exception as error:  # whatever a network does that is called
            self.account.failed += 1
            self.tell(f"{kind} is left out: {' '.join(str(error).split()) or type(error).__name__}")
            return False
        try:
            callback.choose_layers(names)
        except ValueError as error:
            raise RunError(f"run {self.run.name}: {kind}: {error}") from error
        return True

    def analyse(self, callback: XINCCallback, epoch: int, together: Sequence[XINCCallback], keep: bool) -> None:
        """Make one analysis of one epoch, and write it if it is to be kept."""
        step = self.step(epoch)
        outputs = self._outputs(callback, epoch, step)
        with self.board.turn(callback.name, {each.name for each in together}, ("analyse", step)):
            networks = [self._network_of(epoch, frame.index) for frame in callback.frames]
            frames = [
                callback.dissected(self.board, frame, network, together)
                for frame, network in zip(callback.frames, networks, strict=True)
            ]
            self._guarded(
                callback, epoch, lambda: callback.analyse(frames, callback.layers_of(frames[0]), outputs), networks
            )
            if not keep:
                self.desk.drop()
            self._publish(callback, epoch)

    def conclude(self, callback: XINCCallback, epoch: int) -> None:
        """Sum an analysis up."""
        outputs = self._outputs(callback, epoch, self.step(epoch))
        self._guarded(callback, epoch, lambda: callback.conclude(outputs), ())
        self._publish(callback, epoch)

    def _guarded(
        self,
        callback: XINCCallback,
        epoch: int,
        action: Callable[[], None],
        networks: Sequence[nn.Module | Recording],
    ) -> None:
        modules = [module for network in networks for module in _modules(network)]
        try:
            with untouched(*modules):
                action()
        except Exception as error:
            self.desk.drop()
            self._failed(callback, epoch, error)
        except BaseException:
            self.desk.drop()
            raise

    def _publish(self, callback: XINCCallback, epoch: int) -> None:
        try:
            self.desk.publish(self.board, self.run.path)
        except OSError as error:
            self._failed(callback, epoch, error)

    def _failed(self, callback: XINCCallback, epoch: int, error: Exception) -> None:
        if callback.on_error == "raise":
            raise error
        self.account.failed += 1
        trace = "".join(traceback.format_exception(error))
        self.tell(f"{type(callback).__name__} failed after epoch {epoch}; the others go on.\n{trace}")

    def _outputs(self, callback: XINCCallback, epoch: int, step: int) -> Outputs:
        recorded = frozenset(self.run.frames) if isinstance(self.run, RecordedRun) else frozenset()
        several = len(callback.frames) > 1
        return Outputs(
            self.board, callback.name, self.directory(epoch), epoch, step, several, "", recorded, callback.formats
        )

    def _network_of(self, epoch: int, frame: int) -> nn.Module | Recording:
        """The same object for all at one moment, so that they share dissections."""
        if getattr(self, "_moment", None) != epoch:
            self._moment: int = epoch
            self._networks: dict[int, nn.Module | Recording] = {}
        if frame not in self._networks:
            self._networks[frame] = self.network(epoch, frame)
        return self._networks[frame]

    def _indices(self, callback: XINCCallback) -> Sequence[int]:
        wanted = callback.frames_wanted
        indices = None if wanted is None else [each.index if isinstance(each, Frame) else each for each in wanted]
        try:
            if isinstance(self.run, Run):
                return callback.choose_frames(indices, self.run.num_frames)
            if indices is None:
                return callback.choose_among(self.run.frames)
            return callback.choose_frames(indices, None)
        except ValueError as error:
            raise RunError(f"{type(callback).__name__}: {error}") from error

    def _frame(self, index: int) -> Frame:
        if index not in self._frames:
            self._frames[index] = self.run.frame(index)
        return self._frames[index]


def analyse_run(
    run: AnyRun,
    callbacks: Sequence[XINCCallback],
    epochs: Sequence[int] | None = None,
    again: bool = False,
    tell: Tell = print,
    show_progress: bool = False,
) -> Account:
    """Make analyses of a run as its callbacks would have, and put them where theirs are: files and TensorBoard.

    Each is made for the recorded epochs of its schedule and for the last recorded one. What is there already is not
    made again. What follows neurons from one moment to the next looks at all of them, and writes those that are
    missing. An analysis of one epoch is written when it is complete, or not at all.

    Args:
        run: As ``load_run`` returns it.
        callbacks: What to make; each belongs to this run from here on.
        epochs: Make them for these epochs instead; each must be recorded.
        again: Make also what is there already.
        tell: Takes lines about what does not go as it should.
        show_progress: Whether to draw a bar.

    Raises:
        RunError: Something that was asked for is not in the run.
    """
    unknown = [epoch for epoch in epochs or () if epoch not in run.epochs]
    if unknown:
        listed = ", ".join(map(str, run.epochs[:12])) + (", ..." if len(run.epochs) > 12 else "")
        raise RunError(f"run {run.name} has no recording after epoch {unknown[0]}; it has {listed}")
    shop = _Workshop(run, tell)
    tasks = []
    for callback in callbacks:
        due = [each for each in run.epochs if callback.schedule.is_due(each) or each == run.epochs[-1]]
        wanted = tuple(due if epochs is None else sorted(set(epochs)))
        missing = frozenset(each for each in wanted if again or not shop.is_there(callback, each))
        shop.account.there += len(wanted) - len(missing)
        if missing and shop.take_up(callback):
            tasks.append(_Task(callback, wanted, missing))
    moments = sorted({epoch for task in tasks for epoch in task.epochs})
    total = sum(len(task.epochs) for task in tasks)
    with tqdm(total=total, desc=run.name, unit="analysis", disable=not show_progress, file=sys.stderr) as bar:
        for epoch in moments:
            together = [task for task in tasks if epoch in task.epochs]
            for task in together:
                bar.set_postfix_str(f"epoch {epoch} {task.callback.name}", refresh=True)
                failed = shop.account.failed
                keep = epoch in task.missing
                shop.analyse(task.callback, epoch, [each.callback for each in together], keep)
                shop.account.done += keep and shop.account.failed == failed
                bar.update()
        for task in tasks:
            shop.conclude(task.callback, task.wanted[-1])
    for logger in shop.board.loggers:
        logger.finalize("success")
    return shop.account


def main(args: Sequence[str]) -> None:
    """Analyse the runs that the words of the command line name.

    Raises:
        RunError: A run, or what is asked of it, does not do.
    """
    own, of_callbacks = split_words(args)
    options = _parser().parse_args(own)
    callbacks_named(options.config, of_callbacks)  # a mistake shows before anything is done
    failed = 0
    for path in options.runs:
        run = load_run(path, trust=options.trust)
        callbacks = callbacks_named(options.config, of_callbacks)
        account = analyse_run(run, callbacks, options.epochs, options.again, tqdm.write, not options.quiet)
        failed += account.failed
        there = f", {account.there} were there already (--again makes them again)" if account.there else ""
        print(f"{run.name}: {account.done} analyses written{there}", flush=True)
    if failed:
        sys.exit(f"xinc: {failed} analyses could not be made")


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(
        prog="xinc analyse",
        description="Make any callback's analysis from the recordings of runs: the same pictures and numbers, in the "
        "same places, as the callback would have made while the run was trained. A run without recordings is analysed "
        "at its checkpoint. Nothing is made twice.",
        epilog="Callbacks: --callbacks NeuronUMAP GroupingVariance names some, --callbacks.num_groups 5 sets an option "
        "of the last one named. Without --callbacks and --config it is every analysis (analyses.yaml).",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder of a run, such as lightning_logs/version_0")
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="FILE",
        help="a YAML file with trainer: callbacks:, or the name of a bundled one; what is no analysis in it is passed "
        "over",
    )
    parser.add_argument(
        "--epochs",
        nargs="+",
        type=int,
        metavar="EPOCH",
        help="recorded epochs to analyse; by default those of each callback's schedule, and the last one",
    )
    parser.add_argument("--again", action="store_true", help="make again what is there already")
    parser.add_argument("--quiet", action="store_true", help="draw no progress bar")
    parser.add_argument("--trust", action="store_true", help=TRUST)
    return parser


def _modules(network: nn.Module | Recording) -> tuple[nn.Module, ...]:
    return (network,) if isinstance(network, nn.Module) else ()
