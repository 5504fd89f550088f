"""The learning rate's course."""

import math
from itertools import pairwise

import pytest

from xinc_pl.training.schedules import constant, warmup_cosine


@pytest.mark.parametrize(
    ("progress", "factor"),
    [
        (0.0, 0.1),
        (0.05, 0.55),
        (0.1, 1.0),
        (0.325, (1 + math.sqrt(0.5)) / 2),
        (0.4, 0.75),
        (0.55, 0.5),
        (0.7, 0.25),
        (1.0, 0.0),
    ],
)
def test_warmup_cosine_at_points_computed_by_hand(progress: float, factor: float) -> None:
    assert warmup_cosine(progress) == pytest.approx(factor, abs=1e-12)


def test_warmup_cosine_does_not_jump() -> None:
    values = [warmup_cosine(step / 10_000) for step in range(10_001)]
    assert max(abs(after - before) for before, after in pairwise(values)) < 0.0011
    assert values.index(max(values)) == 1000


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_constant(progress: float) -> None:
    assert constant(progress) == 1
