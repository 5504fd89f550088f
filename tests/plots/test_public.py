"""Figures that anybody may draw."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import xinc_pl.plots
from xinc_pl import FFN, dissect, plots
from xinc_pl.analysis.canvas_sample import canvas_sample
from xinc_pl.frames import pixel_coordinates
from xinc_pl.plots.figures import pixels_of, vectors_of


@pytest.fixture(scope="module")
def figure() -> Figure:
    canvas = dissect(FFN(num_frequencies=4, widths=(8, 6)), pixel_coordinates((8, 12)), size=(8, 12))
    layer = canvas["layer_2"]
    sample = canvas_sample(layer, layer.statistics(), 4, seed=0)
    image = canvas.image.permute(1, 2, 0).numpy()
    return plots.contribution_canvas(sample, None, image, epoch=3, quality="frame 0, 20.00 dB")


def test_everything_public_is_a_function() -> None:
    assert all(callable(getattr(xinc_pl.plots, name)) for name in xinc_pl.plots.__all__)


def test_pixels_are_those_that_matplotlib_saves(figure: Figure) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, facecolor="white")
    assert np.array_equal(pixels_of(figure), np.asarray(Image.open(buffer).convert("RGB")))


@pytest.mark.parametrize(("kind", "start"), [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_vectors_are_the_same_bytes_each_time_and_hold_the_words(figure: Figure, kind: str, start: bytes) -> None:
    first, second = (vectors_of(figure, kind, "a note") for _ in range(2))  # type: ignore[arg-type]
    assert first == second
    assert first.startswith(start)
    if kind == "svg":
        assert b"a note" in first
        assert b"20.00 dB" in first
    assert not any(text.get_text() == "a note" for text in figure.texts)
