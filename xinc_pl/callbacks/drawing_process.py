"""A process that draws while the training goes on: matplotlib holds the interpreter's lock, and steps would wait."""

import atexit
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from xinc_pl.pictures import Format

if TYPE_CHECKING:
    from xinc_pl.plots.printing import Drawing, Printed

MAX_WAITING = 512 << 20
"""Bytes that drawings may take which wait: maps of large frames are large."""
_NICENESS = 10
"""A training whose threads take all cores waits for that one of them that shares its core. It is to share little."""
# Ctrl-C is for who trains, and may want a last picture. No name is left behind that a drawing's could be taken for.
_SERVE = (
    "__import__('signal').signal(__import__('signal').SIGINT, __import__('signal').SIG_IGN); "
    "getattr(__import__('os'), 'nice', id)({niceness}); "
    "__import__('sys').path[:] = {path!r}; "
    "__import__('xinc_pl.plots.printing', fromlist=['serve']).serve()"
)


class DrawingProcess:
    """Starts when it is expected to draw, or with the first drawing, and ends with this process.

    Where it cannot be had, drawings are made here.

    Args:
        max_waiting: Bytes that drawings may take which wait; whoever brings more waits for his own.
    """

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False
        self._is_lost = False
        self._lock = Lock()
        self._owner = os.getpid()
        self._max_waiting = max_waiting
        self._waiting = 0
        self._counting = Lock()

    def printing(self, drawing: "Drawing", formats: Sequence[Format], note: str) -> "Callable[[], Printed]":
        """Take a drawing, with all that it needs as it is now.

        Returns:
            Prints it, when it is called, once, and raises what goes wrong with it. A drawing that cannot be sent to
            another process, or is too large to wait, has been printed by then.
        """
        from xinc_pl.plots.printing import printed

        try:
            job = pickle.dumps((drawing, tuple(formats), note), pickle.HIGHEST_PROTOCOL)
        except Exception:  # somebody's own, such as a lambda
            done = printed(drawing(), formats, note)
            return lambda: done
        with self._counting:
            has_room = self._waiting + len(job) <= self._max_waiting
            self._waiting += len(job) if has_room else 0
        if not has_room:
            done = self._printed(job)
            return lambda: done

        def print_() -> "Printed":
            try:
                return self._printed(job)
            finally:
                with self._counting:
                    self._waiting -= len(job)

        return print_

    def expect(self) -> None:
        """Start the process, and do not wait until it is there: it imports while something else is done."""
        if not self._lock.acquire(blocking=False):
            return  # it is at work
        try:
            if not self._is_lost:
                with suppress(OSError):
                    self._started()
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the process; the next drawing starts another one. A fork leaves alone what is not its own."""
        if os.getpid() == self._owner:
            with self._lock:
                self._end()

    def _printed(self, job: bytes) -> "Printed":
        from xinc_pl.plots.printing import Printed, answer_to

        with self._lock:
            message = self._answer(job)
        answer = None
        if message is not None:
            with suppress(Exception):  # an error that is known there and not here
                answer = pickle.loads(message)
        if answer is None:
            answer = answer_to(*pickle.loads(job))
        if isinstance(answer, Printed):
            return answer
        raise answer

    def _answer(self, job: bytes) -> bytes | None:
        """What the process says; None where there is none."""
        from xinc_pl.plots.printing import read_message, write_message

        if self._is_lost:
            return None
        try:
            process = self._running()
            assert process.stdin is not None, "it is a pipe"
            assert process.stdout is not None, "it is a pipe"
            write_message(process.stdin, job)
            return read_message(process.stdout)
        except Exception:  # it has been killed, or there cannot be one
            self._is_lost = True
            self._end()
            return None
        except BaseException:  # Ctrl-C: what it still answers is not to be taken for another drawing
            self._end()
            raise

    def _running(self) -> "subprocess.Popen[bytes]":
        """The process, which has said that it is ready.

        Raises:
            OSError: There is no interpreter to be started.
            EOFError: It has ended.
        """
        process = self._started()
        if not self._is_ready:
            from xinc_pl.plots.printing import await_greeting

            assert process.stdout is not None, "it is a pipe"
            await_greeting(process.stdout)
            self._is_ready = True
        return process

    def _started(self) -> "subprocess.Popen[bytes]":
        """The process, which may not be ready yet.

        Raises:
            OSError: There is no interpreter to be started.
        """
        if self._process is None:
            path = [each for each in sys.path if isinstance(each, str)]
            command = [_interpreter(), "-c", _SERVE.format(path=path, niceness=_NICENESS)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._process

    def _end(self) -> None:
        process, self._process, self._is_ready = self._process, None, False
        if process is None:
            return
        # Not by closing its input: workers that were forked since hold that open as well, and it would never end.
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None, "it is a pipe"
            with suppress(OSError):
                stream.close()


def _interpreter() -> str:
    """What runs Python code. A program that has Python inside would only start itself once more.

    Raises:
        OSError: There is none.
    """
    name = Path(sys.executable or "").stem.lower()
    if getattr(sys, "frozen", False) or not ("python" in name or "pypy" in name):
        raise OSError(f"{sys.executable!r} is no Python interpreter")
    return sys.executable


def drawing_process() -> DrawingProcess:
    """The one that all trainings of this process share. A fork has its own: two who ask would mix up their answers."""
    return _process_of(os.getpid())


@cache
def _process_of(owner: int) -> DrawingProcess:
    del owner
    process = DrawingProcess()
    atexit.register(process.close)
    return process
