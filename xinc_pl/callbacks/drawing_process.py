"""A process that draws while the training goes on: matplotlib holds the interpreter's lock, and steps would wait."""

import atexit
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from xinc_pl.pictures import Format

if TYPE_CHECKING:
    from xinc_pl.plots.printing import Drawing, Printed

_SERVE = "import sys; sys.path[:] = {path!r}; from xinc_pl.plots.printing import serve; serve()"


class DrawingProcess:
    """Starts with the first drawing, and ends with this process. Where it cannot be had, drawings are made here."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._is_lost = False
        self._lock = Lock()

    def printing(self, drawing: "Drawing", formats: Sequence[Format], note: str) -> "Callable[[], Printed]":
        """Take a drawing, with all that it needs as it is now.

        Returns:
            Prints it, when it is called, and raises what goes wrong with it. A drawing that cannot be sent to another
            process has been printed by then.
        """
        from xinc_pl.plots.printing import printed

        try:
            job = pickle.dumps((drawing, tuple(formats), note), pickle.HIGHEST_PROTOCOL)
        except Exception:  # somebody's own, such as a lambda
            done = printed(drawing(), formats, note)
            return lambda: done
        return lambda: self._printed(job)

    def close(self) -> None:
        """End the process; the next drawing starts another one."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                process.communicate()  # closes its input, which ends it

    def _printed(self, job: bytes) -> "Printed":
        from xinc_pl.plots.printing import Printed, answer_to, read_message, write_message

        with self._lock:
            answer = None
            try:
                if not self._is_lost:
                    process = self._running()
                    assert process.stdin is not None, "it is a pipe"
                    assert process.stdout is not None, "it is a pipe"
                    write_message(process.stdin, job)
                    answer = pickle.loads(read_message(process.stdout))
            except (OSError, EOFError, pickle.UnpicklingError):
                self._is_lost = True  # it has been killed, or there cannot be one
        if answer is None:
            answer = answer_to(*pickle.loads(job))
        if isinstance(answer, Printed):
            return answer
        raise answer

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            command = [sys.executable, "-c", _SERVE.format(path=sys.path)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._process


@cache
def drawing_process() -> DrawingProcess:
    """The one that all trainings of this process share."""
    process = DrawingProcess()
    atexit.register(process.close)
    return process
