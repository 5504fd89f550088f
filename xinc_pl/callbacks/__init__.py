"""Dissect a network while it trains, in this project or in any other: add one of these to the trainer."""

from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.request import Request
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.canvas_evolution import CanvasEvolution
from xinc_pl.callbacks.canvas_recorder import CanvasRecorder
from xinc_pl.callbacks.checkpoint import LastCheckpoint
from xinc_pl.callbacks.contribution_canvas import ContributionCanvas
from xinc_pl.callbacks.contribution_vs_intensity import ContributionVsIntensity
from xinc_pl.callbacks.faithfulness import Faithfulness
from xinc_pl.callbacks.grouping_variance import GroupingVariance
from xinc_pl.callbacks.map_spectrum import MapSpectrum
from xinc_pl.callbacks.motion_contributions import MotionContributions
from xinc_pl.callbacks.neuron_umap import NeuronUMAP
from xinc_pl.callbacks.object_contributions import ObjectContributions
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.callbacks.place_or_content import PlaceOrContent
from xinc_pl.callbacks.reconstruction import ReconstructionWriter
from xinc_pl.callbacks.representation_spread import RepresentationSpread
from xinc_pl.callbacks.summary import RunSummary
from xinc_pl.callbacks.top_neurons import TopNeurons

__all__ = [
    "CanvasEvolution",
    "CanvasRecorder",
    "ContributionCanvas",
    "ContributionVsIntensity",
    "DissectedFrame",
    "Faithfulness",
    "GroupingVariance",
    "LastCheckpoint",
    "MapSpectrum",
    "MotionContributions",
    "NeuronUMAP",
    "ObjectContributions",
    "Outputs",
    "PlaceOrContent",
    "ReconstructionWriter",
    "RepresentationSpread",
    "Request",
    "RunSummary",
    "TopNeurons",
    "XINCCallback",
]
