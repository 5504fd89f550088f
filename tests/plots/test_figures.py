"""Pictures far larger than the screen."""

import numpy as np
import pytest

from xinc_pl.plots.figures import Sheet, reduced


@pytest.mark.parametrize("shape", [(800, 1000), (801, 1003, 3)])
def test_a_large_picture_is_drawn_from_means(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).random(shape, dtype=np.float32)
    small = reduced(values, 100, 100)
    assert small.dtype == np.float32
    assert small.shape == (*(-(-side // 4) for side in shape[:2]), *shape[2:])
    for row, column in ((0, 0), (7, 30), (small.shape[0] - 1, small.shape[1] - 1)):
        block = values[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        np.testing.assert_allclose(small[row, column], block.mean((0, 1)), rtol=1e-5)


def test_what_can_be_seen_stays_as_it_is() -> None:
    values = np.zeros((300, 300), np.float32)
    assert reduced(values, 100, 100) is values
    labels = np.zeros((3000, 3000), np.int64)
    assert reduced(labels, 100, 100) is labels


def test_a_figure_does_not_keep_millions_of_pixels() -> None:
    sheet = Sheet(400, 300)
    sheet.picture(np.zeros((2048, 2048), np.float32), (10, 20, 100, 100), "map")
    (image,) = (each for axes in sheet.figure.axes for each in axes.images)
    assert image.get_array().size <= 420**2
