"""States in checkpoints that cannot be taken, or taken up, without harm to the training."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol

from lightning.pytorch.utilities.rank_zero import rank_zero_warn


class _Stateful(Protocol):
    on_error: str


def harmless_states(kind: type) -> None:
    """Let ``state_dict`` and ``load_state_dict`` of a class of callbacks fail as its ``on_error`` says.

    Lightning calls both in the middle of saving and of resuming, where an exception ends the run.
    """
    if "state_dict" in vars(kind):
        kind.state_dict = _taken(vars(kind)["state_dict"])  # type: ignore[attr-defined] # it is there
    if "load_state_dict" in vars(kind):
        kind.load_state_dict = _taken_up(vars(kind)["load_state_dict"])  # type: ignore[attr-defined] # it is there


def _taken(state_dict: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    @wraps(state_dict)
    def harmless(self: _Stateful) -> dict[str, Any]:
        try:
            return state_dict(self)
        except Exception as error:
            if self.on_error == "raise":
                raise
            _tell(self, "its state is not in the checkpoint", error)
            return {}

    return harmless


def _taken_up(load_state_dict: Callable[[Any, dict[str, Any]], None]) -> Callable[[Any, dict[str, Any]], None]:
    @wraps(load_state_dict)
    def harmless(self: _Stateful, state_dict: dict[str, Any]) -> None:
        try:
            load_state_dict(self, state_dict)
        except Exception as error:
            if self.on_error == "raise":
                raise
            _tell(self, "it starts afresh, without what it knew before", error)

    return harmless


def _tell(callback: object, what: str, error: Exception) -> None:
    rank_zero_warn(f"{type(callback).__name__}: {what}; the training goes on. {type(error).__name__}: {error}")
