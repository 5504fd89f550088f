"""The small matrices along rows and columns."""

import numpy as np
import pytest

from xinc_pl.canvas.rules.operators import _distinct_rows


@pytest.mark.parametrize("seed", range(5))
def test_distinct_rows_give_all_rows_back_and_come_in_the_order_of_their_first_appearance(seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 2, (40, 3)).astype(float)
    distinct, classes = _distinct_rows(rows)
    np.testing.assert_array_equal(distinct[classes], rows)
    assert len(distinct) == len(np.unique(rows, axis=0))
    assert list(dict.fromkeys(classes.tolist())) == list(range(len(distinct)))


def test_zeros_of_both_signs_are_one_row() -> None:
    distinct, classes = _distinct_rows(np.array([[0.0, 1], [-0.0, 1], [0, 2]]))
    assert classes.tolist() == [0, 0, 1]
    assert len(distinct) == 2
