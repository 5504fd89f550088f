"""Does the network spend itself where the image is bright, or where it has edges? (Fig. 5)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from xinc_pl.analysis.channels import intensity, scaled
from xinc_pl.analysis.nulls import Null, correlation_null

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
        with_intensity: Pearson's correlation over pixels of total and intensity, NaN where one is constant; beside
            those with the intensity at all other places of the frame.
        with_edges: Of total and edges.
    """

    layer: str
    total: Floats
    difference: Floats
    with_intensity: Null
    with_edges: Null


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
        with_intensity=correlation_null(contributions, features.intensity, within=False),
        with_edges=correlation_null(contributions, features.edges, within=False),
    )
