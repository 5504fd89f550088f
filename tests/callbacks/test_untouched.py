from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import Probe, tiny_image, tiny_photograph, trainer, weights_of
from torch import nn

from xinc_pl.callbacks.untouched import untouched


def state(network: nn.Module) -> dict[str, object]:
    """All that an analysis below changes."""
    return {
        "gradients": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "type": torch.get_default_dtype(),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "modes": [module.training for module in network.modules()],
        "trained": [parameter.requires_grad for parameter in network.parameters()],
        "random": (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()),
    }


def disturb(network: nn.Module) -> None:
    torch.set_grad_enabled(False)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    torch.use_deterministic_algorithms(True)
    network.eval()
    network[0].train()
    network.requires_grad_(False)
    torch.rand(3), np.random.rand(3)


def fail(network: nn.Module) -> None:
    with untouched(network):
        disturb(network)
        raise RuntimeError("out of ideas")


def test_everything_is_put_back_also_after_an_exception() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 2))
    network[1].eval()
    network[2].bias.requires_grad_(False)
    before = state(network)
    with untouched(network):
        disturb(network)
    assert state(network) == before
    with pytest.raises(RuntimeError, match="out of ideas"):
        fail(network)
    assert state(network) == before


class Careless(Probe):
    """Leaves everything as it needs it."""

    def analyse(self, frames: Any, layers: Any, outputs: Any) -> None:
        super().analyse(frames, layers, outputs)
        torch.set_grad_enabled(False)
        torch.set_num_threads(2)
        frames[0].network.eval()
        frames[0].network.requires_grad_(False)


def test_a_careless_analysis_does_not_change_the_training(tmp_path: Path) -> None:
    def trained(callbacks: list[Any]) -> list[torch.Tensor]:
        module = tiny_image()
        trainer(tmp_path, callbacks, max_epochs=2).fit(module, tiny_photograph())
        return weights_of(module)

    threads = torch.get_num_threads()
    plain = trained([])
    careless = trained([Careless(at_epochs=(0, 1), on_error="raise")])
    assert all(torch.equal(a, b) for a, b in zip(plain, careless, strict=True))
    assert torch.get_num_threads() == threads
