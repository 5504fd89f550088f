"""Labels go where the pixels of their images go."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from xinc_pl.data.fitting import Fit, Fitting

LABELS = torch.from_numpy(np.random.default_rng(0).integers(1, 1000, (9, 14)))


def nearest(labels: npt.NDArray[np.int64], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Pixel by pixel, in floats."""
    height, width = labels.shape
    return np.array(
        [
            [labels[int((y + 0.5) * height / size[0]), int((x + 0.5) * width / size[1])] for x in range(size[1])]
            for y in range(size[0])
        ]
    )


@pytest.mark.parametrize("size", [(9, 14), (5, 7), (3, 4), (20, 31), (1, 1)])
def test_each_pixel_takes_the_label_at_its_middle(size: tuple[int, int]) -> None:
    fitted = Fitting(size, "stretch", 1, "Test").apply_to_labels(LABELS)
    assert fitted.dtype == torch.int64
    assert np.array_equal(fitted.numpy(), nearest(LABELS.numpy(), size))


def test_labels_are_cropped_to_the_middle_and_padded_with_nothing() -> None:
    cropped = Fitting((9, 9), "crop", 1, "Test").apply_to_labels(LABELS)
    assert torch.equal(cropped, LABELS[:, 2:11])
    padded = Fitting((14, 14), "pad", 1, "Test").apply_to_labels(LABELS)
    assert torch.equal(padded[2:11], LABELS)
    assert not padded[:2].any()
    assert not padded[11:].any()
    native = Fitting(None, "crop", 4, "Test").apply_to_labels(LABELS)
    assert torch.equal(native, LABELS[:8, 1:13])


def bumps(height: int, width: int) -> tuple[Tensor, Tensor]:
    """A smooth image, and the regions where it is bright."""
    rows, columns = torch.meshgrid(torch.linspace(0, 4, height), torch.linspace(0, 5, width), indexing="ij")
    image = (rows.sin() * columns.cos() + 1) / 2
    return image.expand(3, -1, -1), (image > 0.5).long()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(40, 40), (30, 100), (64, 48), None])
@pytest.mark.parametrize("pixel_aspect", [1.0, 1.5, 0.7])
def test_labels_lie_on_what_they_name(fit: Fit, size: tuple[int, int] | None, pixel_aspect: float) -> None:
    image, labels = bumps(90, 120)
    fitting = Fitting(size, fit, 8, "Test")
    seen, expected = fitting.apply(image, "", pixel_aspect)[0] > 0.5, fitting.apply_to_labels(labels, pixel_aspect)
    assert expected.shape == seen.shape
    assert (seen == expected.bool()).double().mean() > 0.97


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(40, 40), (30, 100), (64, 48), None])
@pytest.mark.parametrize("pixel_aspect", [1.0, 1.5, 0.7])
def test_the_scale_is_that_between_two_places(fit: Fit, size: tuple[int, int] | None, pixel_aspect: float) -> None:
    fitting = Fitting(size, fit, 8, "Test")
    image = torch.zeros(3, 90, 120)
    places = ((38, 50), (54, 66))
    for row, column in places:
        image[:, row : row + 4, column : column + 4] = 1
    seen = fitting.apply(image, "", pixel_aspect)[0]
    rows, columns = seen.sum(1).double(), seen.sum(0).double()

    def spread(weights: Tensor) -> float:  # of two equal dots, half their distance
        at = torch.arange(len(weights))
        middle = (weights * at).sum() / weights.sum()
        return float(((weights * (at - middle) ** 2).sum() / weights.sum()).sqrt())

    down, right = fitting.scale(90, 120, pixel_aspect)
    assert spread(rows) == pytest.approx(8 * down, rel=0.08)
    assert spread(columns) == pytest.approx(8 * right, rel=0.08)
