"""Statistics of whole layers, streamed."""

from xinc_pl.canvas.statistics.results import ClusterSums, Histogram, LayerStatistics, NeuronVectors

__all__ = ["ClusterSums", "Histogram", "LayerStatistics", "NeuronVectors"]
