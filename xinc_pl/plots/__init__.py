"""Results in, matplotlib figures out: what ``xinc_pl.analysis`` finds, drawn without a window or a logger."""

from xinc_pl.plots.comparison import draw_layouts as joint_layouts
from xinc_pl.plots.comparison import draw_matching as matched_neurons
from xinc_pl.plots.comparison import draw_run_variances as run_variances
from xinc_pl.plots.comparison import draw_similarities as similarities
from xinc_pl.plots.contribution_canvas import draw_contribution_canvas as contribution_canvas
from xinc_pl.plots.contribution_vs_intensity import draw_contribution_vs_intensity as contribution_vs_intensity
from xinc_pl.plots.evolution import draw_evolution as evolution
from xinc_pl.plots.faithfulness import draw_faithfulness as faithfulness
from xinc_pl.plots.figures import pixels_of, vectors_of
from xinc_pl.plots.film import draw_film_picture as film_picture
from xinc_pl.plots.grouping_variance import draw_variances as grouping_variance
from xinc_pl.plots.map_spectrum import draw_map_spectrum as map_spectrum
from xinc_pl.plots.matched_maps import draw_matched_maps as matched_maps
from xinc_pl.plots.motion import draw_motion as motion
from xinc_pl.plots.neuron_layout import draw_aligned as aligned_layouts
from xinc_pl.plots.neuron_layout import draw_layout as neuron_layout
from xinc_pl.plots.object_contributions import draw_object_contributions as object_contributions
from xinc_pl.plots.partitions import draw_partitions as partitions
from xinc_pl.plots.place_or_content import draw_place_or_content as place_or_content
from xinc_pl.plots.representation_spread import draw_neurons_per_pixel as neurons_per_pixel
from xinc_pl.plots.representation_spread import draw_spread as representation_spread
from xinc_pl.plots.top_neurons import draw_top_neurons as top_neurons

__all__ = [
    "aligned_layouts",
    "contribution_canvas",
    "contribution_vs_intensity",
    "evolution",
    "faithfulness",
    "film_picture",
    "grouping_variance",
    "joint_layouts",
    "map_spectrum",
    "matched_maps",
    "matched_neurons",
    "motion",
    "neuron_layout",
    "neurons_per_pixel",
    "object_contributions",
    "partitions",
    "pixels_of",
    "place_or_content",
    "representation_spread",
    "run_variances",
    "similarities",
    "top_neurons",
    "vectors_of",
]
