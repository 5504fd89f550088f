"""Which backend computes."""

from importlib.util import find_spec

import torch

from xinc_pl.canvas.backends.backend import BACKENDS, Backend, BackendName


def select_backend(name: BackendName, device: torch.device, dtypes: set[torch.dtype]) -> Backend:
    """The backend of this name.

    Args:
        name: ``auto`` is numba where it is installed, for float32 on a CPU, and torch elsewhere.
        device: Where the network is.
        dtypes: Of its parameters.

    Raises:
        ValueError: There is no such backend, or numba was asked for and cannot be had.
    """
    if name not in BACKENDS:
        raise ValueError(f"backend is {name!r}; choose from {', '.join(BACKENDS)}")
    installed, on_cpu = find_spec("numba") is not None, device.type == "cpu"
    if name == "numba" and not installed:
        raise ValueError("backend is 'numba', which is not installed; pip install numba, or choose 'torch'")
    if name == "numba" and not on_cpu:
        raise ValueError(f"backend is 'numba', which computes on the CPU, but the network is on {device}")
    if name == "torch" or not (installed and on_cpu) or (name == "auto" and dtypes - {torch.float32}):
        from xinc_pl.canvas.backends.torch_backend import TORCH

        return TORCH
    from xinc_pl.canvas.backends.numba_backend import NumbaBackend  # numba takes a second to import

    return NumbaBackend()
