"""Watch how every neuron of an implicit neural representation paints its pixels, while it trains."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xinc_pl.callbacks import (
        CanvasEvolution,
        CanvasRecorder,
        ContributionCanvas,
        ContributionVsIntensity,
        Faithfulness,
        GroupingVariance,
        MapSpectrum,
        MotionContributions,
        NeuronUMAP,
        ObjectContributions,
        PlaceOrContent,
        RepresentationSpread,
        TopNeurons,
        XINCCallback,
    )
    from xinc_pl.canvas import Canvas, DissectionError, LayerCanvas, LayerStatistics, dissect
    from xinc_pl.data import CityscapesVPS, Clips, Collage, Image, Video, VIPSeg
    from xinc_pl.frames import Frame, Instance
    from xinc_pl.models import FFN, FINER, SIREN, WIRE, Gauss, GridNeRV, HashGrid, HiNeRV, HNeRV, NeRV, PositionalMLP
    from xinc_pl.runs import RecordedRun, Run, RunError, load_run
    from xinc_pl.training import ImageINR, VideoINR

__all__ = [
    "FFN",
    "FINER",
    "SIREN",
    "WIRE",
    "Canvas",
    "CanvasEvolution",
    "CanvasRecorder",
    "CityscapesVPS",
    "Clips",
    "Collage",
    "ContributionCanvas",
    "ContributionVsIntensity",
    "DissectionError",
    "Faithfulness",
    "Frame",
    "Gauss",
    "GridNeRV",
    "GroupingVariance",
    "HNeRV",
    "HashGrid",
    "HiNeRV",
    "Image",
    "ImageINR",
    "Instance",
    "LayerCanvas",
    "LayerStatistics",
    "MapSpectrum",
    "MotionContributions",
    "NeRV",
    "NeuronUMAP",
    "ObjectContributions",
    "PlaceOrContent",
    "PositionalMLP",
    "RecordedRun",
    "RepresentationSpread",
    "Run",
    "RunError",
    "TopNeurons",
    "VIPSeg",
    "Video",
    "VideoINR",
    "XINCCallback",
    "dissect",
    "load_run",
]

_HOMES = ("frames", "models", "canvas", "data", "training", "callbacks", "runs")
"""Where they are, light modules first."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class, a function or a module
    """Import what is asked for when it is asked for: dissecting needs no Lightning, which takes seconds."""
    if name in _HOMES:
        return import_module(f"xinc_pl.{name}")
    if name in __all__:
        for home in _HOMES:
            found = getattr(import_module(f"xinc_pl.{home}"), name, None)
            if found is not None:
                return found
    raise AttributeError(f"module 'xinc_pl' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
