"""Where results wait to be written: a process draws them and a thread writes them, while the training goes on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Protocol

from xinc_pl.callbacks.drawing_process import drawing_process
from xinc_pl.pictures import Format

if TYPE_CHECKING:
    from xinc_pl.plots.printing import Drawing, Printed

_WAITING = 64
"""How many results may wait. What drawings may take that wait is bounded as well."""

_Waiting = tuple[str, int, Callable[[], None]]
"""An owner, the moment that it is about, and what to do."""


@dataclass(frozen=True)
class WritingFailure:
    """A result that could not be written.

    Attributes:
        owner: Whose it was.
        epoch: The moment that it was about.
        error: What went wrong.
    """

    owner: str
    epoch: int
    error: Exception


class Desk(Protocol):
    """Takes what is left to do with results, and does it in that order."""

    def now(self, action: Callable[[], None]) -> None:
        """Do what only the thread of the training may do, such as calling somebody's logger."""

    def later(self, owner: str, epoch: int, action: Callable[[], None]) -> None:
        """Do what any thread may do, at some time."""

    def expect_drawings(self) -> None:
        """Make ready for drawings, which takes a while."""

    def printing(self, drawing: "Drawing", formats: Sequence[Format], note: str) -> "Callable[[], Printed]":
        """Take a drawing with all that it needs as it is now; the result gives it as files, and may take its time."""

    def finish(self) -> None:
        """Wait until all is done."""

    def failures(self, owner: str) -> list[WritingFailure]:
        """What has failed of one owner's, each told once."""


class PlainDesk:
    """Does everything at once; what fails is raised."""

    def now(self, action: Callable[[], None]) -> None:
        """Do it."""
        action()

    def later(self, owner: str, epoch: int, action: Callable[[], None]) -> None:
        """Do it now."""
        del owner, epoch
        action()

    def expect_drawings(self) -> None:
        """Nothing has to be made ready."""

    def printing(self, drawing: "Drawing", formats: Sequence[Format], note: str) -> "Callable[[], Printed]":
        """Draw it now."""
        from xinc_pl.plots.printing import printed

        done = printed(drawing(), formats, note)
        return lambda: done

    def finish(self) -> None:
        """Nothing waits."""

    def failures(self, owner: str) -> list[WritingFailure]:
        """None: they have been raised."""
        del owner
        return []


class BackgroundDesk(PlainDesk):
    """Does in one thread, one after another, what may be done later. Who brings more than can wait, waits.

    Drawings are made in a process of their own.
    """

    def __init__(self) -> None:
        self._waiting: Queue[_Waiting | None] = Queue(_WAITING)
        self._thread: Thread | None = None
        self._failures: list[WritingFailure] = []

    def later(self, owner: str, epoch: int, action: Callable[[], None]) -> None:
        """Let the thread do it; begins one where there is none."""
        if self._thread is None:
            self._thread = Thread(target=self._work, args=(self._waiting,), name="xinc writes", daemon=True)
            self._thread.start()
        self._waiting.put((owner, epoch, action))

    def expect_drawings(self) -> None:
        """Start the process."""
        drawing_process().expect()

    def printing(self, drawing: "Drawing", formats: Sequence[Format], note: str) -> "Callable[[], Printed]":
        """Let the process draw it."""
        return drawing_process().printing(drawing, formats, note)

    def finish(self) -> None:
        """Wait until all is done, and end the thread. Where that is interrupted, it goes on with what it has."""
        thread, waiting = self._thread, self._waiting
        if thread is not None:
            self._thread, self._waiting = None, Queue(_WAITING)  # what comes later must not be put behind its end
            waiting.put(None)
            thread.join()

    def failures(self, owner: str) -> list[WritingFailure]:
        """What has failed of one owner's since it was last asked."""
        own = [each for each in self._failures if each.owner == owner]
        for each in own:
            self._failures.remove(each)
        return own

    def _work(self, waiting: "Queue[_Waiting | None]") -> None:
        while (next_one := waiting.get()) is not None:
            owner, epoch, action = next_one
            try:
                action()
            except Exception as error:  # a full disk, a logger's: told by the callback whose result it was
                self._failures.append(WritingFailure(owner, epoch, error))
