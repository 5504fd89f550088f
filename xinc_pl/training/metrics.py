"""How good a reconstruction is."""

from torch import nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.image import (
    MultiScaleStructuralSimilarityIndexMeasure,
    PeakSignalNoiseRatio,
    StructuralSimilarityIndexMeasure,
)

from xinc_pl.frames import Size
from xinc_pl.training.losses import SSIM_MIN_SIDE

_MS_SSIM_MIN_SIDE = 176  # torchmetrics wants 16 times SSIM's window


def reconstruction_metrics(size: Size) -> MetricCollection:
    """PSNR (mean over frames, predictions clamped), and SSIM and MS-SSIM where the size allows them."""
    metrics: dict[str, Metric | MetricCollection] = {"psnr": _psnr()}
    if min(size) >= SSIM_MIN_SIDE:
        metrics["ssim"] = StructuralSimilarityIndexMeasure(data_range=(0.0, 1.0))
    if min(size) >= _MS_SSIM_MIN_SIDE:
        metrics["ms_ssim"] = MultiScaleStructuralSimilarityIndexMeasure(data_range=(0.0, 1.0))
    return MetricCollection(metrics)


def separate_psnr() -> nn.ModuleDict:
    """PSNR of ``seen`` frames, which are trained on, and of ``unseen`` ones, which are held out."""
    return nn.ModuleDict({"seen": _psnr(), "unseen": _psnr()})


def _psnr() -> PeakSignalNoiseRatio:
    return PeakSignalNoiseRatio(data_range=(0.0, 1.0), dim=(1, 2, 3))
