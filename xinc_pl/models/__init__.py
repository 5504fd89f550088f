"""Implicit neural representations as plain PyTorch modules."""

from xinc_pl.models.ffn import FFN
from xinc_pl.models.nerv import NeRV
from xinc_pl.models.released import ffn_from_released, nerv_from_released

__all__ = ["FFN", "NeRV", "ffn_from_released", "nerv_from_released"]
