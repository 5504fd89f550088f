"""Does the network spend itself where the image is bright, or where it has edges? (Fig. 5)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from xinc_pl.analysis.channels import intensity, scaled

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrameFeatures:
    """What contributions are compared with.

    Attributes:
        intensity: Float64 (H, W) in [0, 1]: the sum over channels of the frame, each scaled to [0, 1], scaled again.
        edges: Float64 (H, W), magnitude of the Sobel gradient of ``intensity``.
    """

    intensity: Floats
    edges: Floats


@dataclass(frozen=True, eq=False)
class IntensityComparison:
    """A layer's total beside the frame.

    Attributes:
        layer: The layer's name.
        total: Float64 (H, W), scaled to [0, 1].
        difference: Float64 (H, W) in [-1, 1]: total minus intensity.
        intensity_correlation: Pearson correlation over pixels of total and intensity; NaN where one is constant.
        edge_correlation: Of total and edges.
        intensity_control: The same for intensities at the wrong pixels: the frame turned by half a turn.
        edge_control: Likewise for edges.
    """

    layer: str
    total: Floats
    difference: Floats
    intensity_correlation: float
    edge_correlation: float
    intensity_control: float
    edge_control: float


def frame_features(target: Tensor) -> FrameFeatures:
    """Intensity and edges of a frame (C, H, W)."""
    from skimage.filters import sobel

    brightness = intensity(target)
    return FrameFeatures(brightness, np.asarray(sobel(brightness), dtype=np.float64))


def compare_with_intensity(layer: str, total: Tensor, features: FrameFeatures) -> IntensityComparison:
    """Compare a layer's total (H, W) with a frame's intensity and edges."""
    contributions = scaled(total.cpu().double().numpy())
    return IntensityComparison(
        layer=layer,
        total=contributions,
        difference=contributions - features.intensity,
        intensity_correlation=correlation(contributions, features.intensity),
        edge_correlation=correlation(contributions, features.edges),
        intensity_control=correlation(contributions, features.intensity[::-1, ::-1]),
        edge_control=correlation(contributions, features.edges[::-1, ::-1]),
    )


def correlation(first: Floats, second: Floats) -> float:
    """Pearson's correlation; NaN where one of the two is constant."""
    a, b = first.ravel() - first.mean(), second.ravel() - second.mean()
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    # Rounding leaves something of a constant.
    floor = 1e-12 * first.size * max(float(np.abs(first).max()), 1e-300) * max(float(np.abs(second).max()), 1e-300)
    return float(a @ b) / norms if norms > floor else float("nan")
