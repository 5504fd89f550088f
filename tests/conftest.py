"""What several tests need."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, from_numpy

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, Tensor]]:
    """Read numbers that the published code gives: ``golden("ffn_small")["output"]``."""

    def read(name: str) -> dict[str, Tensor]:
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            return {key: from_numpy(np.array(value)) for key, value in arrays.items()}

    return read
