"""Several threads dissect one network at the same time."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
import torch
from effect_oracle import COORDINATES, IMAGE, SIZE
from networks import kernel_network
from torch import Tensor, nn

from xinc_pl.canvas import dissect


def perceptron() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    layers = (nn.Linear(2, 6), nn.Dropout(0.5), nn.ReLU(inplace=True), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    return nn.Sequential(*layers), COORDINATES


def kernels() -> tuple[nn.Module, Tensor]:
    return kernel_network((3, 2, 3), (2, 1), (3, 3), "tanh")[0], IMAGE


@pytest.mark.parametrize("make", [perceptron, kernels])
@pytest.mark.parametrize("conventions", [("paper", "paper"), ("effect", "released"), ("effect", "effect")])
def test_threads_do_not_disturb_each_other(make: Any, conventions: tuple[Any, Any]) -> None:
    network, inputs = make()
    modes = [module.training for module in network.modules()]
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()]
    size = SIZE if inputs.ndim == 2 else None

    def maps_of(convention: Any) -> dict[str, Tensor]:
        canvas = dissect(network, inputs, size=size, convention=convention)
        return {name: layer.maps() for name, layer in canvas.items()}

    alone = [maps_of(convention) for convention in conventions]
    start = Barrier(len(conventions))

    def together(convention: Any) -> list[dict[str, Tensor]]:
        start.wait()
        return [maps_of(convention) for _ in range(4)]

    with ThreadPoolExecutor(len(conventions)) as threads:
        results = list(threads.map(together, conventions))
    for expected, several in zip(alone, results, strict=True):
        for found in several:
            assert list(found) == list(expected)
            assert all(torch.equal(found[name], maps) for name, maps in expected.items())
    assert [module.training for module in network.modules()] == modes
    assert [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()] == hooks


def test_a_thread_that_fails_leaves_the_network_to_the_others() -> None:
    network, inputs = perceptron()
    modes = [module.training for module in network.modules()]
    start = Barrier(2)

    def attempt(size: tuple[int, int]) -> list[str]:
        start.wait()
        try:
            return list(dissect(network, inputs, size=size))
        except ValueError:
            return []

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(attempt, [SIZE, (3, 3)])) == [["0", "3", "5"], []]
    assert [module.training for module in network.modules()] == modes


class Waiting(nn.Module):
    """Draws random numbers, and waits until another network is called or done."""

    def __init__(self, entered: Event, until: Event) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.entered, self.until = entered, until

    def forward(self, values: Tensor) -> Tensor:
        torch.rand(3)
        self.entered.set()
        assert self.until.wait(20)
        result: Tensor = self.layer(values)
        return result


def test_the_process_is_left_as_it_was_when_threads_overlap() -> None:
    first_entered, second_entered, first_done = Event(), Event(), Event()
    first, second = Waiting(first_entered, second_entered), Waiting(second_entered, first_done)
    precision = torch.get_float32_matmul_precision()

    def dissect_first() -> None:
        dissect(first, COORDINATES, size=SIZE)
        first_done.set()

    def dissect_second() -> None:
        assert first_entered.wait(20)
        dissect(second, COORDINATES, size=SIZE)

    torch.manual_seed(3)
    state = torch.get_rng_state()
    try:
        torch.set_float32_matmul_precision("medium")
        with ThreadPoolExecutor(2) as threads:
            for future in [threads.submit(dissect_first), threads.submit(dissect_second)]:
                future.result()
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_float32_matmul_precision(precision)
