"""Do neurons stay in their place, or go along with what they paint?"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from xinc_pl.analysis import place_or_content as analysis
from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.channels import as_rgb
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.motion import flow_between
from xinc_pl.analysis.nulls import shift_offsets
from xinc_pl.arguments import check_number, check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.canvas import LayerCanvas
from xinc_pl.canvas.maps.threads import in_threads

Pair = tuple[int, int]
_NUM_SHIFTS = 24


class PlaceOrContent(XINCCallback):
    """Shows whether neurons stay in their place while things move, or go along with the content.

    Over the pixels that have moved between two frames, some frames apart, against the scene, and that are visible in
    both: the correlation of a neuron's contribution map on the later frame with its map on the earlier one, at the same
    place, and where the content was. Beside it the same along the motion shifted to wrong places (24 shifts: the null),
    and along the motion of another pair. Logs the picture ``xinc/place_or_content/all_layers/neurons`` of every pair,
    and the scalars below. Needs frames with optical flow: without, or where nothing moves far enough, a line says so
    and nothing else happens.

    Args:
        num_back: How many frames lie between the two.
        min_motion: How many pixels something has to move, from its place and against the scene's median.
        estimate_flow: Estimate the flow of a clip that has none (TV-L1, about a second for each of ``num_back`` frames
            of each pair, once).
        num_neurons: How many neurons of each layer to look at, a seeded sample.
        frames: The later frame of each pair, by index; or, in code, Frames, all from the earlier one to the later one.
            By default one pair, that ends after two thirds of the video; the motion of another one is that of the pair
            that ends after one third.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "neurons": "per layer, each sampled neuron between place and content, and the medians over the epochs",
        "place/median": "median over neurons of the correlation of a neuron's map with its map some frames before, at "
        "the same place, over pixels that have moved",
        "place/lower_quartile": "a quarter of the neurons lies below",
        "place/upper_quartile": "a quarter of the neurons lies above",
        "content/median": "the same with the earlier map taken where the content of each pixel was",
        "content/lower_quartile": "a quarter of the neurons lies below",
        "content/upper_quartile": "a quarter of the neurons lies above",
        "content/null_median": "the median along the same motion shifted to wrong places",
        "content/p": "share of 24 such shifts that reach the median, itself counted: at least 1/25. One test for each "
        "layer and pair",
        "content/median_other_pair": "the median along the motion of another pair of frames",
        "nearer_to_content": "share of neurons whose map is more like the earlier one along the content than at the "
        "same place",
    }

    def __init__(
        self,
        num_back: int = 8,
        min_motion: float = analysis.MIN_MOTION,
        estimate_flow: bool = False,
        num_neurons: int = 64,
        frames: list[Any] | None = None,
        **kwargs: Any,  # noqa: ANN401 - the command line looks them up
    ) -> None:
        super().__init__(frames=frames, **kwargs)
        check_whole("PlaceOrContent", "num_back", num_back, 1)
        check_whole("PlaceOrContent", "num_neurons", num_neurons, 1)
        check_number("PlaceOrContent", "min_motion", min_motion, "give a number of pixels above 0")
        if not min_motion > 0:
            raise ValueError(f"PlaceOrContent: min_motion is {min_motion}; give a number of pixels above 0")
        self.num_back, self.min_motion, self.estimate_flow = num_back, min_motion, estimate_flow
        self.num_neurons = num_neurons
        self._later: tuple[int, ...] | None = None
        self._other: int | None = None
        self._paths: dict[Pair, analysis.ContentPath | None] = {}
        self._has_told = False

    def choose_frames(self, indices: Sequence[int] | None, num_frames: int | None) -> Sequence[int]:
        """All frames from the earlier to the later one of each pair; only those two of a shown pair are dissected.

        Raises:
            ValueError: So many frames do not lie before a frame that was asked for.
        """
        if indices is None:
            if num_frames is None or num_frames <= self.num_back:
                return (0,)
            other, last = (max(num_frames * third // 3, self.num_back) for third in (1, 2))
            self._later, self._other = (last,), other
            return sorted({index - back for index in (other, last) for back in range(self.num_back + 1)})
        if min(indices) < self.num_back:
            raise ValueError(
                f"frame {min(indices)} has no frame {self.num_back} before it; frames are the later ones of each pair, "
                "and num_back is how far apart they are"
            )
        self._later = tuple(sorted(set(indices)))
        return sorted({index - back for index in indices for back in range(self.num_back + 1)})

    @property
    def follows(self) -> bool:
        """Its pictures show the moments before."""
        return True

    def choose_among(self, recorded: Sequence[int]) -> Sequence[int]:
        """All recorded pairs between which every frame is recorded."""
        later = [each for each in recorded if set(range(each - self.num_back, each)) <= set(recorded)]
        return self.choose_frames(later, None) if later else recorded[:1]

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """For each layer, place and content over the training; and of all, the share of neurons nearer to content."""
        charts = {f"place and content, {layer}": [f"{layer}/(place|content)/median"] for layer in layers}
        return charts | {"nearer to content": [".*/nearer_to_content"], "p of content": [".*/content/p"]}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw all layers of every pair."""
        by_index = {dissected.frame.index: dissected for dissected in frames}
        paths = {pair: path for pair in self._pairs(by_index) if (path := self._path(by_index, pair)) is not None}
        if not paths and not self._has_told:
            rank_zero_info(
                f"{type(self).__name__} is left out: there are no two frames, {self.num_back} apart, with flow and "
                f"targets between which something moves by {self.min_motion:g} pixels"
            )
            self._has_told = True
        for pair, path in paths.items():
            other = next((each for key, each in paths.items() if key != pair), self._other_path(by_index, pair))
            self._compare((by_index[pair[0]], by_index[pair[1]]), path, other, layers, outputs)

    def _pairs(self, by_index: Mapping[int, DissectedFrame]) -> list[Pair]:
        later = self._later
        if later is None:  # frames given in code: as many pairs as fit, from the end
            later = tuple(range(max(by_index), min(by_index), -self.num_back))
        return [(index - self.num_back, index) for index in sorted(later)]

    def _other_path(self, by_index: Mapping[int, DissectedFrame], pair: Pair) -> analysis.ContentPath | None:
        if self._other is None or self._other == pair[1]:
            return None
        return self._path(by_index, (self._other - self.num_back, self._other))

    def _path(self, by_index: Mapping[int, DissectedFrame], pair: Pair) -> analysis.ContentPath | None:
        """Of a pair, found once and kept; None where it cannot be known, or nothing moves."""
        if pair not in self._paths:
            self._paths[pair] = self._find_path(by_index, pair)
        return self._paths[pair]

    def _find_path(self, by_index: Mapping[int, DissectedFrame], pair: Pair) -> analysis.ContentPath | None:
        indices = range(pair[0], pair[1] + 1)
        if any(index not in by_index for index in indices):
            return None
        frames = [by_index[index].frame for index in indices]
        before, now = frames[0].target, frames[-1].target
        flows = [
            flow_between(earlier, later) if self.estimate_flow or later.flow is not None else None
            for earlier, later in pairwise(frames)
        ]
        known = [flow for flow in flows if flow is not None]
        if before is None or now is None or len(known) < len(flows):
            return None
        path = analysis.content_path(known, before, now, self.min_motion)
        return path if path.compared.any() else None

    def _compare(
        self,
        pair: tuple[DissectedFrame, DissectedFrame],
        path: analysis.ContentPath,
        other: analysis.ContentPath | None,
        layers: Sequence[str],
        outputs: Outputs,
    ) -> None:
        from xinc_pl.plots.place_or_content import Course, draw_place_or_content

        before, now = pair
        index = now.frame.index
        pairs = [(before.canvas[layer], now.canvas[layer]) for layer in layers]
        results = in_threads(lambda each: self._of_layer(each, path, other), pairs, torch.get_num_threads())
        for result in results:
            self._log(result, index, outputs)
        courses = [
            Course(*(outputs.curve(layer, what, index) for what in ("place/median", "content/median", _NULL)))
            for layer in layers
        ]
        assert before.frame.target is not None, "there is a path"
        assert now.frame.target is not None, "there is a path"
        picture = partial(
            draw_place_or_content,
            results,
            courses,
            (as_rgb(before.frame.target), as_rgb(now.frame.target)),
            path.compared,
            (before.frame.index, index),
            epoch=outputs.epoch,
            quality=now.quality,
        )
        outputs.image("all_layers", "neurons", picture, index)

    def _of_layer(
        self,
        pair: tuple[LayerCanvas, LayerCanvas],
        path: analysis.ContentPath,
        other: analysis.ContentPath | None,
    ) -> analysis.PlaceOrContent:
        neurons = torch.from_numpy(sample_neurons(pair[0].num_neurons, self.num_neurons, self.seed))
        before, now = (each.magnitudes(neurons) for each in pair)
        offsets = shift_offsets(pair[0].size, _NUM_SHIFTS, self.seed)
        return analysis.place_or_content(pair[0].name, before, now, path, other, offsets)

    def _log(self, result: analysis.PlaceOrContent, index: int, outputs: Outputs) -> None:
        names = ("lower_quartile", "median", "upper_quartile")
        values = {
            f"{what}/{name}": value
            for what, correlations in (("place", result.place), ("content", result.content))
            for name, value in zip(names, analysis.quartiles(correlations), strict=True)
        }
        values |= {
            _NULL: result.null.median,
            "content/p": result.null.p,
            "content/median_other_pair": result.other_pair,
            "nearer_to_content": result.nearer_to_content,
        }
        outputs.scalars(result.layer, {name: each for name, each in values.items() if math.isfinite(each)}, index)
        arrays: dict[str, npt.NDArray[np.float64]] = {
            "place": result.place,
            "content": result.content,
            "null": result.null.draws,
        }
        outputs.arrays(result.layer, "neurons", arrays, index)


_NULL = "content/null_median"
