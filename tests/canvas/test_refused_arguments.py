"""What is no input, no size and no image is refused in a line."""

import numpy as np
import pytest
import torch
from torch import nn

from xinc_pl.canvas import dissect

SIZE = (5, 4)
XY = torch.rand(20, 2, generator=torch.Generator().manual_seed(0))


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
