"""LightningModules that fit networks to frames."""

from xinc_pl.training.base import INRModule, NonFiniteLossError, Prediction
from xinc_pl.training.image import ImageINR
from xinc_pl.training.losses import L1SSIMLoss
from xinc_pl.training.video import VideoINR

__all__ = ["INRModule", "ImageINR", "L1SSIMLoss", "NonFiniteLossError", "Prediction", "VideoINR"]
