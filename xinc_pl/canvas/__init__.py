"""The core: record a network on a frame, and say how much each neuron contributes to each pixel."""

from xinc_pl.canvas.canvas import Canvas
from xinc_pl.canvas.checks import check_kind, check_rule
from xinc_pl.canvas.dissect import dissect, dissect_recording
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layer_canvas import LayerCanvas
from xinc_pl.canvas.layers.kind import LayerKind, Operands, Origins
from xinc_pl.canvas.layers.reading import KINDS
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.maps.sample import sampled
from xinc_pl.canvas.recorded import Recording, record
from xinc_pl.canvas.recording.container import RecordingFileError
from xinc_pl.canvas.recording.file import Moment, RecordingFile, save_recordings, serialized
from xinc_pl.canvas.recording.image import Selection, as_image
from xinc_pl.canvas.recording.recording import Inputs
from xinc_pl.canvas.rules import RULES
from xinc_pl.canvas.rules.linear import input_by_pixel
from xinc_pl.canvas.rules.rule import CONVENTIONS, ContributionRule, Convention
from xinc_pl.canvas.statistics.results import LayerStatistics, LayerTotals
from xinc_pl.canvas.video import stream_change, stream_statistics

__all__ = [
    "CONVENTIONS",
    "KINDS",
    "RULES",
    "Canvas",
    "ContributionRule",
    "Convention",
    "DissectionError",
    "Inputs",
    "LayerCanvas",
    "LayerKind",
    "LayerStatistics",
    "LayerTotals",
    "MapGroup",
    "Moment",
    "Operands",
    "Origins",
    "Recording",
    "RecordingFile",
    "RecordingFileError",
    "Selection",
    "as_image",
    "check_kind",
    "check_rule",
    "dissect",
    "dissect_recording",
    "input_by_pixel",
    "record",
    "sampled",
    "save_recordings",
    "serialized",
    "stream_change",
    "stream_statistics",
]
