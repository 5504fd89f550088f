"""Networks that treat pixels one by one: what the layers of one recording share."""

from collections.abc import Callable
from functools import cached_property
from threading import RLock

from torch import Tensor

from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.maps.sample import sampled
from xinc_pl.canvas.recording.pixels import SomePixels
from xinc_pl.canvas.recording.recording import Recording

_MOST_TRIED = 1 << 10
"""Pixels that are tried."""
_ONE_AT_A_TIME = RLock()
"""Of no recording, so that canvases can be copied."""


class ByPixel:
    """What the effect rules of one recording share.

    Args:
        recording: The recording.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._latest: tuple[Layer, Tensor] | None = None

    @cached_property
    def are_apart(self) -> bool:
        """Whether the recording can be cut into pixels, each of which is a network of its own."""
        num_pixels = self.recording.size[0] * self.recording.size[1]
        pixels = sampled(num_pixels, min(max(num_pixels // 2, 1), _MOST_TRIED))
        # Two lots, for a maximum over all pixels stays what it was in that which has the largest.
        return all(SomePixels(self.recording, lot).are_apart for lot in (pixels[::2], pixels[1::2]))

    def latest(self, of: Layer, make: Callable[[], Tensor]) -> Tensor:
        """What ``make`` gives for a layer, kept until another's is asked for: as large as its output, or larger."""
        with _ONE_AT_A_TIME:
            if self._latest is None or self._latest[0] is not of:
                self._latest = None  # let go of it before the next is made
                self._latest = of, make()
            return self._latest[1]
