"""Samples of neurons."""

import torch
from torch import Tensor


def sampled(num_neurons: int, number: int, seed: int = 0) -> Tensor:
    """A seeded sample of neurons, int64, ascending; all of them, if there are no more."""
    order = torch.randperm(num_neurons, generator=torch.Generator().manual_seed(seed))
    return order[:number].sort().values
