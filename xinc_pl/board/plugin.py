"""The tab as TensorBoard loads it: routes, and answers over HTTP."""

import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from xinc_pl.board import requests as asked
from xinc_pl.board.answers import RunList
from xinc_pl.board.listing import Listing, folder_of
from xinc_pl.board.matching import Matching
from xinc_pl.board.packing import packed
from xinc_pl.board.requests import RequestError, Values

if TYPE_CHECKING:
    from xinc_pl.board.questions import Questions
    from xinc_pl.recorded import RecordedRun

PAGE = Path(__file__).parent / "page"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
_MOST_EPOCHS = 10**9
_MOST_FRAMES = 10**9
_LOG = logging.getLogger(__name__)

Application = Callable[..., Any]
"""As WSGI has them."""


class CanvasPlugin(base_plugin.TBPlugin):  # type: ignore[misc] # TensorBoard has no types
    """The tab "Canvas": which neurons paint this pixel, and what else does this neuron paint?

    Args:
        context: What TensorBoard knows.
    """

    plugin_name = "canvas"

    def __init__(self, context: base_plugin.TBContext) -> None:
        self._listing = Listing(context)
        self._questions: Questions | None = None
        self._matching = Matching()
        self._lock = Lock()

    def is_active(self) -> bool:
        """Always: where there is nothing to show, the tab says what to do."""
        return True

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Name and page of the tab."""
        return base_plugin.FrontendMetadata(es_module_path="/main.js", tab_name="Canvas", disable_reload=True)

    def get_plugin_apps(self) -> dict[str, Application]:
        """What is served: the files of the page, and one answer for each question."""
        files = {f"/{file.name}": partial(self._file, file) for file in PAGE.iterdir() if file.suffix in _TYPES}
        questions: dict[str, Callable[[Values, Mapping[str, Any]], object]] = {
            "/runs": self._runs,
            "/run": self._run,
            "/layers": self._layers,
            "/pictures": self._pictures,
            "/top": self._top,
            "/changes": self._changes,
            "/maps": self._maps,
            "/neuron": self._neuron,
            "/without": self._without,
            "/match": self._match,
        }
        answers = {route: partial(self._answer, question) for route, question in questions.items()}
        return {route: wrappers.Request.application(respond) for route, respond in (files | answers).items()}

    def _file(self, file: Path, request: wrappers.Request) -> wrappers.Response:
        return _response(request, file.read_text("utf-8"), _TYPES[file.suffix])

    def _answer(
        self, question: Callable[[Values, Mapping[str, Any]], object], request: wrappers.Request
    ) -> wrappers.Response:
        """Answer a question; whatever goes wrong is one line of JSON."""
        try:
            if request.method not in ("GET", "HEAD"):
                raise RequestError(f"{request.method} is not answered; use GET", 405)
            values = {name: request.args.getlist(name) for name in request.args}
            data = packed(question(values, request.environ))
        except RequestError as error:
            return _refusal(request, str(error), error.status)
        except Exception as error:
            status, message = _told(error, request.args.get("run", ""))
            if status == 500:
                _LOG.exception("the Canvas tab could not answer %s", request.path)
            return _refusal(request, message, status)
        return _response(request, data, "application/octet-stream")

    def _runs(self, values: Values, environ: Mapping[str, Any]) -> RunList:
        del values
        recorded = self._listing.recorded(environ)
        return RunList(tuple(recorded), len(self._listing.folders(environ)), self._listing.logdir)

    def _run(self, values: Values, environ: Mapping[str, Any]) -> object:
        name = asked.word(values, "run")
        return self._ask.run(name, self._listing.folder(environ, name))

    def _layers(self, values: Values, environ: Mapping[str, Any]) -> object:
        return self._ask.canvas(*self._moment(values, environ), _convention(values))

    def _pictures(self, values: Values, environ: Mapping[str, Any]) -> object:
        return self._ask.pictures(*self._moment(values, environ))

    def _top(self, values: Values, environ: Mapping[str, Any]) -> object:
        k = asked.whole(values, "k", 1, asked.MOST_NEURONS, 16)
        by = asked.choice(values, "by", asked.ORDERS, "magnitude")
        where, layer, convention = asked.place(values), asked.word(values, "layer"), _convention(values)
        return self._ask.top(*self._moment(values, environ), convention, layer, where, k, by)

    def _changes(self, values: Values, environ: Mapping[str, Any]) -> object:
        where, layer, convention = asked.place(values), asked.word(values, "layer"), _convention(values)
        return self._ask.changes(*self._moment(values, environ), convention, layer, where, asked.neurons(values))

    def _maps(self, values: Values, environ: Mapping[str, Any]) -> object:
        layer, convention = asked.word(values, "layer"), _convention(values)
        side = asked.whole(values, "side", 8, 8192, 8192)
        return self._ask.maps(*self._moment(values, environ), convention, layer, asked.neurons(values), side)

    def _neuron(self, values: Values, environ: Mapping[str, Any]) -> object:
        layer, neuron = asked.word(values, "layer"), asked.whole(values, "neuron", 0, 10**9 - 1)
        return self._ask.neuron(*self._moment(values, environ), layer, neuron)

    def _without(self, values: Values, environ: Mapping[str, Any]) -> object:
        neurons = asked.removed(values)
        return self._ask.without(*self._moment(values, environ), neurons)

    def _match(self, values: Values, environ: Mapping[str, Any]) -> object:
        runs = asked.word(values, "run"), asked.word(values, "other")
        epochs = (
            asked.whole(values, "epoch", 0, _MOST_EPOCHS - 1),
            asked.whole(values, "other_epoch", 0, _MOST_EPOCHS - 1),
        )
        frame, layer = asked.whole(values, "frame", 0, _MOST_FRAMES - 1), asked.word(values, "layer")
        neurons, folders = asked.neurons(values), self._listing.folders(environ)
        for name in runs:
            folder_of(folders, name)
        return self._matching.matches(folders, self._listing.root, runs, epochs, frame, layer, neurons)

    def _moment(self, values: Values, environ: Mapping[str, Any]) -> "tuple[RecordedRun, int, int]":
        """Which run, epoch and frame is asked about. Runs are those that TensorBoard lists."""
        name = asked.word(values, "run")
        epoch = asked.whole(values, "epoch", 0, _MOST_EPOCHS - 1)
        frame = asked.whole(values, "frame", 0, _MOST_FRAMES - 1)
        folder = self._listing.folder(environ, name)
        from xinc_pl.board.questions import loaded

        return loaded(name, folder), epoch, frame

    @property
    def _ask(self) -> "Questions":
        """What answers; made, and torch imported, when something is first asked."""
        with self._lock:
            if self._questions is None:
                import torch

                from xinc_pl.board.questions import Questions

                # A training beside TensorBoard needs the cores: on busy ones several threads mostly wait for another.
                torch.set_num_threads(1)
                self._questions = Questions()
            return self._questions


def _convention(values: Values) -> str:
    return asked.choice(values, "convention", asked.CONVENTIONS, "paper")


def _told(error: Exception, run: str) -> tuple[int, str]:
    """Status and reason for what the core and the recordings complain of."""
    from xinc_pl.canvas import DissectionError, RecordingFileError
    from xinc_pl.recorded import RunError

    if isinstance(error, RunError):
        return 404, str(error)
    if isinstance(error, (DissectionError, RecordingFileError, ValueError)):
        return 422, f"run {run}: {error}"
    return 500, f"run {run}: {type(error).__name__}: {error}"


def _refusal(request: wrappers.Request, message: str, status: int) -> wrappers.Response:
    line = re.sub(r"\s+", " ", message).strip()[:500]
    return _response(request, {"error": line}, "application/json", status)


def _response(request: wrappers.Request, content: object, kind: str, status: int = 200) -> wrappers.Response:
    response: wrappers.Response = http_util.Respond(request, content, kind, code=status)
    return response
