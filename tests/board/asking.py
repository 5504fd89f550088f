"""The tab's Python side as TensorBoard serves it, and asked without a network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.backend import application
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from werkzeug.test import Client

from xinc_pl.board.plugin import CanvasPlugin


def unpacked(data: bytes) -> dict[str, Any]:
    """What the page makes of an answer, written anew."""
    length = int.from_bytes(data[:4], "little")
    facts: dict[str, Any] = json.loads(data[4 : 4 + length])
    for name, value in facts.items():
        if isinstance(value, Mapping) and set(value) == {"dtype", "shape", "offset"}:
            count = int(np.prod(value["shape"]))
            start = 4 + length + value["offset"]
            assert start % 8 == 0
            facts[name] = np.frombuffer(data, value["dtype"], count, start).reshape(value["shape"])
    return facts


class Board:
    """Asks the tab's Python side, without a network."""

    def __init__(self, logdir: Path) -> None:
        multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logdir))
        multiplexer.Reload()
        provider = MultiplexerDataProvider(multiplexer, str(logdir))
        context = TBContext(data_provider=provider, logdir=str(logdir))
        self.client = Client(application.TensorBoardWSGI([CanvasPlugin(context)], data_provider=provider))

    def answer(self, question: str, **values: Any) -> Any:
        """The whole response."""
        return self.client.get(f"/data/plugin/canvas/{question}", query_string=values)

    def ask(self, question: str, **values: Any) -> dict[str, Any]:
        """What is answered."""
        response = self.answer(question, **values)
        assert response.status_code == 200, response.get_data(as_text=True)
        return unpacked(response.get_data())

    def refused(self, question: str, **values: Any) -> tuple[int, str]:
        """Status and reason, which is one line."""
        response = self.answer(question, **values)
        assert response.status_code >= 400, f"{question} {values} was answered"
        told = json.loads(response.get_data())
        assert set(told) == {"error"}
        assert "\n" not in told["error"]
        return response.status_code, told["error"]
