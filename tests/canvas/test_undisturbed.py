"""The network and the process come back as they were, also when something fails."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xinc_pl.canvas import DissectionError, dissect
from xinc_pl.models import FFN, NeRV

SIZE = (4, 5)
COORDINATES = torch.rand(20, 2, generator=torch.Generator().manual_seed(3))


class Noisy(nn.Module):
    """Draws random numbers, has dropout, half of it is in training."""

    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.first = nn.Linear(2, 6)
        self.dropout = nn.Dropout(0.5)
        self.normalised = nn.Sequential(nn.BatchNorm1d(2), nn.Identity())
        self.last = nn.Linear(6, 3)
        self.fails = fails
        self.dropout.eval()
        self.normalised[0].eval()

    def forward(self, coordinates: Tensor) -> Tensor:
        torch.rand(3)
        hidden = self.dropout(self.first(self.normalised(coordinates)).relu())
        return self.last(hidden + hidden.mean() if self.fails else hidden)


@contextmanager
def expected(fails: bool) -> Iterator[None]:
    if fails:
        with pytest.raises(DissectionError):
            yield
    else:
        yield


def hooks_of(network: nn.Module) -> list[int]:
    return [
        len(hooks)
        for module in network.modules()
        for hooks in (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    ]


def precision_switches() -> list[object]:
    backends: Any = torch.backends
    newer = (
        [backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul] if hasattr(backends.cudnn, "conv") else []
    )
    return [torch.get_float32_matmul_precision(), backends.cudnn.allow_tf32, *(it.fp32_precision for it in newer)]


@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_the_network(fails: bool) -> None:
    network = Noisy(fails)
    network.first.register_forward_hook(lambda *_: None)
    network(COORDINATES).sum().backward()
    modes = [module.training for module in network.modules()]
    assert len(set(modes)) == 2
    hooks = hooks_of(network)
    state = copy.deepcopy(network.state_dict())
    gradients = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    assert len(gradients) == 6
    inputs = COORDINATES.clone()

    with expected(fails):
        canvas = dissect(network, inputs, size=SIZE)
        [layer.statistics() for layer in canvas.values()]

    assert [module.training for module in network.modules()] == modes
    assert hooks_of(network) == hooks
    assert list(state) == list(network.state_dict())
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(network.parameters(), gradients, strict=True))
    assert all(parameter.requires_grad and parameter.grad_fn is None for parameter in network.parameters())
    assert torch.equal(inputs, COORDINATES)
    network(COORDINATES).sum().backward()  # it can go on training


@pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])
def test_the_process(fails: bool) -> None:
    network = Noisy(fails)
    precision = torch.get_float32_matmul_precision()
    torch.manual_seed(7)
    state = torch.get_rng_state()
    threads = torch.get_num_threads()
    try:
        torch.set_float32_matmul_precision("medium")
        switches = precision_switches()
        with expected(fails):
            canvas = dissect(network, COORDINATES, size=SIZE)
            for layer in canvas.values():
                layer.maps()
                layer.statistics()
                for _ in layer.stream():  # what runs between two chunks is the caller's
                    assert torch.is_grad_enabled()
                    assert precision_switches() == switches
        assert precision_switches() == switches
    finally:
        torch.set_float32_matmul_precision(precision)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()


class Curious(nn.Module):
    """Looks around while it is called."""

    def __init__(self, look: Callable[[], object]) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.look = look
        self.seen: object = None

    def forward(self, coordinates: Tensor) -> Tensor:
        self.seen = self.look()
        return self.layer(coordinates)


def test_full_precision_while_the_network_runs() -> None:
    before = torch.get_float32_matmul_precision()
    network = Curious(lambda: (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
    try:
        torch.set_float32_matmul_precision("high")
        dissect(network, COORDINATES, size=SIZE)
        assert network.seen == ("highest", False)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="PyTorch before 2.9 has no such switches")
def test_full_precision_where_the_newer_switches_were_used() -> None:
    switches: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.mkldnn.matmul]
    before = [switch.fp32_precision for switch in switches]
    network = Curious(lambda: [switch.fp32_precision for switch in switches])
    try:
        for switch in switches:
            switch.fp32_precision = "tf32"
        dissect(network, COORDINATES, size=SIZE)["layer"].maps()
        assert network.seen == ["ieee"] * 3
        assert [switch.fp32_precision for switch in switches] == ["tf32"] * 3
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.fp32_precision = value


def test_no_gradients_are_recorded() -> None:
    network = FFN(num_frequencies=3, widths=(5, 4))
    with torch.enable_grad():
        canvas = dissect(network, COORDINATES.clone().requires_grad_(), size=SIZE)
        assert torch.is_grad_enabled()
    for layer in canvas.values():
        assert not layer.maps().requires_grad
        assert not layer.maps(per_output=True).requires_grad
    with torch.no_grad():
        dissect(network, COORDINATES, size=SIZE)
        assert not torch.is_grad_enabled()


def test_inference_mode() -> None:
    network = NeRV((8, 16), strides=(2, 2), width=7, levels=4)
    plain = dissect(network, torch.tensor([0.3], dtype=torch.float64))
    with torch.inference_mode():
        canvas = dissect(network, torch.tensor([0.3], dtype=torch.float64))
        for name, layer in canvas.items():
            assert torch.equal(layer.maps(), plain[name].maps())
            assert torch.equal(layer.statistics().total, plain[name].statistics().total)
        assert torch.is_inference_mode_enabled()
    assert not canvas.output.is_inference()
    network(torch.tensor([0.3], dtype=torch.float64)).sum().backward()  # nothing of it lingers in the network


def test_remembered_encodings_can_be_trained_on_after_inference_mode() -> None:
    network = FFN(num_frequencies=3, widths=(5, 4))
    with torch.inference_mode():
        dissect(network, COORDINATES, size=SIZE)
    network(COORDINATES).sum().backward()
    assert network.layers[0].weight.grad is not None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_networks_in_half_precision_stay_so(dtype: torch.dtype) -> None:
    network = NeRV((8, 16), strides=(2, 2), width=7, levels=4).to(dtype)
    canvas = dissect(network, torch.tensor([0.3], dtype=torch.float64))
    assert {parameter.dtype for parameter in network.parameters()} == {dtype}
    assert all(layer.maps().dtype == torch.float32 for layer in canvas.values())
    assert all(layer.completeness_error < 1e-5 for layer in canvas.values())


def test_autocast_is_left_alone_and_left_out() -> None:
    network = FFN(num_frequencies=3, widths=(5, 4))
    plain = dissect(network, COORDINATES, size=SIZE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        canvas = dissect(network, COORDINATES, size=SIZE)
        maps = {name: layer.maps() for name, layer in canvas.items()}
        assert torch.is_autocast_enabled("cpu")
    for name, expected_canvas in plain.items():
        assert torch.equal(maps[name], expected_canvas.maps())
