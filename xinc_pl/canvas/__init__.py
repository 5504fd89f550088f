"""The core: record a network on a frame, and say how much each neuron contributes to each pixel."""

from xinc_pl.canvas.canvas import Canvas, dissect
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layer_canvas import LayerCanvas
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.recording.replay import as_image
from xinc_pl.canvas.rules.linear import input_by_pixel
from xinc_pl.canvas.rules.rule import CONVENTIONS, ContributionRule, Convention, contribution_rule
from xinc_pl.canvas.statistics.results import LayerStatistics
from xinc_pl.canvas.video import stream_change, stream_statistics

__all__ = [
    "CONVENTIONS",
    "Canvas",
    "ContributionRule",
    "Convention",
    "DissectionError",
    "LayerCanvas",
    "LayerStatistics",
    "MapGroup",
    "as_image",
    "contribution_rule",
    "dissect",
    "input_by_pixel",
    "stream_change",
    "stream_statistics",
]
