"""Implicit neural representations as plain PyTorch modules."""

from xinc_pl.models.ffn import FFN
from xinc_pl.models.gauss import Gauss
from xinc_pl.models.grid_nerv import GridNeRV
from xinc_pl.models.hash_grid import HashGrid
from xinc_pl.models.hinerv import HiNeRV
from xinc_pl.models.hnerv import HNeRV
from xinc_pl.models.nerv import NeRV
from xinc_pl.models.periodic import FINER, SIREN
from xinc_pl.models.positional_mlp import PositionalMLP
from xinc_pl.models.released import ffn_from_released, nerv_from_released, network_from_released
from xinc_pl.models.wire import WIRE

__all__ = [
    "FFN",
    "FINER",
    "SIREN",
    "WIRE",
    "Gauss",
    "GridNeRV",
    "HNeRV",
    "HashGrid",
    "HiNeRV",
    "NeRV",
    "PositionalMLP",
    "ffn_from_released",
    "nerv_from_released",
    "network_from_released",
]
