"""Watch how every neuron of an implicit neural representation paints its pixels, while it trains."""

from xinc_pl.callbacks import (
    CanvasEvolution,
    ContributionCanvas,
    ContributionVsIntensity,
    Faithfulness,
    GroupingVariance,
    MotionContributions,
    NeuronUMAP,
    ObjectContributions,
    RepresentationSpread,
    XINCCallback,
)
from xinc_pl.canvas import Canvas, DissectionError, LayerCanvas, LayerStatistics, dissect
from xinc_pl.data import Collage, Image, Video
from xinc_pl.frames import Frame, Instance
from xinc_pl.models import FFN, NeRV
from xinc_pl.runs import Run, RunError, load_run
from xinc_pl.training import ImageINR, VideoINR

__all__ = [
    "FFN",
    "Canvas",
    "CanvasEvolution",
    "Collage",
    "ContributionCanvas",
    "ContributionVsIntensity",
    "DissectionError",
    "Faithfulness",
    "Frame",
    "GroupingVariance",
    "Image",
    "ImageINR",
    "Instance",
    "LayerCanvas",
    "LayerStatistics",
    "MotionContributions",
    "NeRV",
    "NeuronUMAP",
    "ObjectContributions",
    "RepresentationSpread",
    "Run",
    "RunError",
    "Video",
    "VideoINR",
    "XINCCallback",
    "dissect",
    "load_run",
]
