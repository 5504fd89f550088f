"""The global random state of Python, NumPy and torch: read, written back, left alone."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor


class RandomState(TypedDict):
    """All global random state, in types that a weights-only load accepts and that are quick to copy."""

    python: tuple[int, Tensor, float | None]
    numpy: tuple[str, Tensor, int, int, float]
    torch: Tensor
    cuda: list[Tensor]


def get_random_state() -> RandomState:
    """Read the global random state of this process."""
    version, python_keys, gauss = random.getstate()
    name, numpy_keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return RandomState(
        python=(version, torch.tensor(python_keys), gauss),
        numpy=(
            str(name),
            torch.from_numpy(np.asarray(numpy_keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ),
        torch=torch.get_rng_state(),
        # Asking for the state would start CUDA, where nobody has used it yet.
        cuda=torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    )


def set_random_state(state: RandomState) -> None:
    """Write back what ``get_random_state`` has read."""
    version, python_keys, gauss = state["python"]
    random.setstate((version, tuple(python_keys.tolist()), gauss))
    name, numpy_keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, numpy_keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([part.cpu() for part in state["cuda"]])


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Leave the global random state as it was, also after an exception."""
    state = get_random_state()
    try:
        yield
    finally:
        set_random_state(state)
