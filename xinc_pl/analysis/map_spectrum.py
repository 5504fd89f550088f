"""How fine what neurons paint is: power spectra of contribution maps (docs/method.md, section 5)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float64]

NUM_BANDS = 24
"""Of a spectrum in a picture, evenly spaced in octaves from one cycle per side to the finest."""
_CHUNK_VALUES = 1 << 22


@dataclass(frozen=True, eq=False)
class Spectra:
    """Power spectra of some pictures by frequency alone, whatever the direction.

    Attributes:
        name: Whose they are: a layer, or ``target`` or ``residual``.
        frequencies: Float64 (bands,), mean frequency of each band in cycles per pixel.
        power: Float64 (n, bands), the share of each picture's power in each band; NaN for a constant picture.
        centroid: Float64 (n,), the mean frequency, weighted by power, in cycles per pixel: how fine a picture is.
        bandwidth: Float64 (n,), the standard deviation of frequency, weighted by power.
    """

    name: str
    frequencies: Floats
    power: Floats
    centroid: Floats
    bandwidth: Floats

    @property
    def num_constant(self) -> int:
        """How many pictures have no spectrum."""
        return int(np.isnan(self.centroid).sum())


def spectra(name: str, pictures: Tensor) -> Spectra:
    """Radial power spectra of pictures.

    Each is windowed (Hann, along both axes), so that the jump from one border to the opposite one does not count, after
    its mean under the window has been taken off, so that how strong it is does not count either.

    Args:
        name: Whose they are.
        pictures: (n, H, W).
    """
    height, width = pictures.shape[1:]
    window = _hann(height)[:, None] * _hann(width)
    radius = torch.from_numpy(np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))).flatten()
    # A real picture's spectrum is symmetric: of the two halves one is kept, and its inner columns count for both.
    twice = torch.full((width // 2 + 1,), 2.0, dtype=torch.float64)
    twice[0] = 1
    if width % 2 == 0:
        twice[-1] = 1
    twice = twice.expand(height, -1).flatten()
    band, frequencies = _bands(radius, min(height, width))
    found = []
    for part in pictures.split(max(_CHUNK_VALUES // (height * width), 1)):
        values = part.cpu().double()
        means = (values * window).sum((1, 2), keepdim=True) / window.sum()
        centred = (values - means) * window
        power = torch.fft.rfft2(centred).abs().square().flatten(1) * twice
        power[:, radius == 0] = 0  # rounding
        total = power.sum(1, keepdim=True)
        # What rounding leaves of a constant is no pattern.
        least = 1e-12 * (values.abs().amax((1, 2)) * window.sum()).square()[:, None]
        power = torch.where(total > least, power / total, torch.nan)
        centroid = power @ radius
        spread = (power * (radius - centroid[:, None]).square()).sum(1).sqrt()
        bands = torch.zeros(len(part), len(frequencies), dtype=torch.float64).index_add_(1, band, power)
        found.append((bands, centroid, spread))
    parts = [torch.cat(each).numpy() for each in zip(*found, strict=True)]
    return Spectra(name, frequencies, power=parts[0], centroid=parts[1], bandwidth=parts[2])


def _hann(length: int) -> Tensor:
    """Of pixels, not of their borders, so that none is lost."""
    return torch.sin(torch.pi * (torch.arange(length, dtype=torch.float64) + 0.5) / length).square()


def _bands(radius: Tensor, side: int) -> tuple[Tensor, Floats]:
    """The band of each frequency, and the mean frequency of each band that has any."""
    first = np.log2(1 / max(side, 2))
    octave = torch.log2(radius.clamp(min=2.0**first)) - first
    span = max(float(np.log2(np.sqrt(0.5))) - first, 1e-9)
    band = (octave / span * NUM_BANDS).long().clamp(0, NUM_BANDS - 1)
    used, band = band.unique(return_inverse=True)
    counted = (radius > 0).double()
    sums = torch.zeros(len(used), dtype=torch.float64).index_add_(0, band, radius)
    counts = torch.zeros(len(used), dtype=torch.float64).index_add_(0, band, counted)
    return band, (sums / counts.clamp(min=1)).numpy()
