"""Several threads may dissect one network at the same time."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from xinc_pl.canvas import dissect

SIZE = (5, 4)
XY = torch.rand(20, 2, generator=torch.Generator().manual_seed(0))


def test_names_maps_and_modes_come_out_right() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.5), nn.SiLU(), nn.Linear(16, 3)).train()
    network[3].eval()
    inputs = [XY * scale for scale in (0.5, 1, 1.5, 2)] * 4
    expected = [dissect(network, each, size=SIZE)["3"].maps() for each in inputs]
    with ThreadPoolExecutor(4) as pool:
        canvases = list(pool.map(lambda each: dissect(network, each, size=SIZE), inputs))
    for canvas, maps in zip(canvases, expected, strict=True):
        assert list(canvas) == ["0", "3"]
        torch.testing.assert_close(canvas["3"].maps(), maps)
    assert [module.training for module in network] == [True, True, True, False]
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("inputs", [None, XY.numpy(), np.zeros(3)], ids=["none", "coordinates", "numbers"])
def test_what_is_no_tensor_is_refused(inputs: object) -> None:
    with pytest.raises(ValueError, match=r"inputs is .*; give what the network is called with, torch tensors"):
        dissect(nn.Linear(2, 3), inputs, size=SIZE)


@pytest.mark.parametrize("size", [(-5, 4), (0, 20), (2.5, 8), 20, (5, 4, 1), "ab"])
def test_sizes_that_are_none_are_refused(size: object) -> None:
    with pytest.raises(ValueError, match="size is"):
        dissect(nn.Linear(2, 3), XY, size=size)  # type: ignore[arg-type]


def test_an_output_of_whole_numbers_is_refused() -> None:
    class Labels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 3)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.layer(values).argmax(1)

    with pytest.raises(ValueError, match=r"output is torch.int64"):
        dissect(Labels(), XY, size=SIZE)
