"""Which weights are dissected, where something swaps them: moving averages (EMA), stochastic weight averaging."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from xinc_pl.callbacks.moments import Hook

Weights = Literal["epoch_end", "validation"]

_NOTES: dict[Hook, str] = {
    "epoch_end": "weights of the epoch's end",
    "validation": "weights that validation sees",
    "train_end": "weights at the training's end",
    "fit_end": "weights that the training leaves",
}

_AVERAGING = {"WeightAveraging", "EMAWeightAveraging", "StochasticWeightAveraging"}
"""Lightning's own, told by name, for both of its packages have them."""


class SwapWatch:
    """Finds out whether validation sees other weights than the training, whoever swaps them."""

    def __init__(self) -> None:
        self.has_seen_a_swap = False
        self._seen: tuple[int, Tensor] | None = None

    def at_validation(self, network: nn.Module, step: int) -> None:
        """Note what validation sees."""
        self._seen = step, _fingerprint(network)

    def at_epoch_end(self, network: nn.Module, step: int) -> None:
        """Compare with it, where no step has been made since."""
        if self._seen is not None and self._seen[0] == step:
            self.has_seen_a_swap |= not torch.equal(self._seen[1], _fingerprint(network))
        self._seen = None


def note_of(hook: Hook, callbacks: Iterable[object], swaps: SwapWatch) -> str:
    """Which weights are dissected in a hook, in words; none where nothing swaps them.

    Args:
        hook: Where in Lightning's loop this is.
        callbacks: All of the trainer's.
        swaps: Has watched the training so far.
    """
    return _NOTES.get(hook, "") if swaps.has_seen_a_swap or _average_weights(callbacks) else ""


def _average_weights(callbacks: Iterable[object]) -> bool:
    """Whether one of Lightning's callbacks that average weights is among these."""
    return any(kind.__name__ in _AVERAGING for callback in callbacks for kind in type(callback).__mro__)


def _fingerprint(network: nn.Module) -> Tensor:
    """Sums of all parameters: float64 (number of parameters,); NaN counts as 0, so that it equals itself."""
    parameters = [parameter.detach() for parameter in network.parameters()]
    values = [torch.view_as_real(each) if each.is_complex() else each for each in parameters]
    sums = [each.sum(dtype=torch.float64).cpu() for each in values]
    return torch.stack(sums).nan_to_num() if sums else torch.zeros(0)
