"""Contributions to objects, however many and whatever they are called."""

import numpy as np
import numpy.typing as npt
import pytest

from xinc_pl.analysis.object_contributions import ObjectContributions, ObjectName
from xinc_pl.plots.figures import pixels_of
from xinc_pl.plots.object_contributions import draw_object_contributions


def picture(categories: list[str]) -> npt.NDArray[np.uint8]:
    """Of two layers and no values, so that only the legend differs."""
    objects = tuple(ObjectName(24000 + index, category, True) for index, category in enumerate(categories))
    shares = np.full((3, len(objects), 2), np.nan)
    results = [ObjectContributions(layer, np.arange(3), objects, shares) for layer in ("block_1", "head")]
    return pixels_of(draw_object_contributions(results, [(5, 4), (4, 3)], [4, 9], epoch=3, quality="30 dB"))


@pytest.mark.parametrize(
    "categories",
    [["car"] * 40, ["car"] * 15, ["road or path that is not paved", "car"] * 6, ["x" * 200, "car"]],
    ids=["many", "three rows", "long names", "very long"],
)
def test_the_legend_stays_above_the_layers_and_within_the_picture(categories: list[str]) -> None:
    many = picture(categories)
    # Markers are coloured, and layers without values are not.
    coloured = np.ptp(many.astype(int), axis=-1) > 60
    assert coloured.sum() > 20 * len(categories)
    assert not coloured[-2 * 260 :].any()
    assert many.shape[1] == 1280
    if max(map(len, categories)) < 100:
        assert (many[:, -4:] == 255).all()
