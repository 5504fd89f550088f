"""Who computes the loops over all values of maps: torch, on any device, or numba, quicker, on the CPU."""

from xinc_pl.canvas.backends.backend import BACKENDS, Backend, BackendName

__all__ = ["BACKENDS", "Backend", "BackendName"]
