"""Do contributions change where something moves?"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from xinc_pl.analysis.channels import as_rgb, noted
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.motion import compare_with_motion, difference_between, flow_between, residual_motion
from xinc_pl.arguments import check_number
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.canvas import stream_change

Flow = npt.NDArray[np.float64]
Pair = tuple[DissectedFrame, DissectedFrame]


class MotionContributions(XINCCallback):
    """Shows how contributions change from one frame to the next, beside what moves (Fig. 9).

    Logs, for every pair of frames, the picture ``xinc/motion_contributions/all_layers/motion`` and the scalars below.
    Motion is what is left of the flow when the scene's median displacement is taken off. The flow is the data's own,
    else TV-L1 on the frames. What a number has to beat is the same one with the motion shifted to any other place,
    cyclically and, for correlations, within the frame too. Each pair stands on its own, for pairs may disagree. With
    one frame only, a line says that there is no motion, and nothing else happens.

    Args:
        min_motion: From how many pixels per frame on, against the scene's median motion, a pixel counts as moving.
        frames: The later frame of each pair, by index; or, in code, Frames, each two neighbours of which are a pair.
            By default two pairs, after one and after two thirds of the video.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "motion": "per layer, the sum over neurons of how much their contributions change, over its mean",
        "correlation": "Spearman's rank correlation over pixels of the layer's change with the length of the motion",
        "correlation_given_difference": "the same when the difference between the two frames is partialled out: does "
        "the change follow motion beyond what differs?",
        "correlation_other_pair": "the correlation with the motion of another pair of frames, in which the same things "
        "may move in the same places",
        "moving_over_still": "mean change of pixels that move against the scene over that of the others",
        "moving_over_still_other_pair": "the same with the motion of another pair",
        **{
            f"{name}{end}": words
            for name in ("correlation", "correlation_given_difference", "moving_over_still")
            for end, words in (
                (
                    "_z",
                    "how many standard deviations it lies from the mean of the same with the motion elsewhere",
                ),
                ("_p", "share of all places of the frame where the motion would give as much, the right one counted"),
            )
        },
    }

    def __init__(self, min_motion: float = 0.5, frames: list[Any] | None = None, **kwargs: Any) -> None:  # noqa: ANN401 - the command line looks them up
        super().__init__(frames=frames, **kwargs)
        check_number("MotionContributions", "min_motion", min_motion, "give a number of pixels above 0")
        if not min_motion > 0:
            raise ValueError(f"MotionContributions: min_motion is {min_motion}; give a number of pixels above 0")
        self.min_motion = min_motion
        self._later: tuple[int, ...] | None = None
        self._flows: dict[tuple[int, int], Flow | None] = {}
        self._has_told = False

    def choose_frames(self, indices: Sequence[int] | None, num_frames: int | None) -> Sequence[int]:
        """Both frames of each pair.

        Raises:
            ValueError: The first frame has none before it.
        """
        if indices is None:
            if num_frames is None or num_frames < 2:
                return (0,)
            indices = sorted({max(num_frames * third // 3, 1) for third in (1, 2)})
        if 0 in indices:
            raise ValueError("there is no frame before frame 0; frames are the later ones of each pair")
        self._later = tuple(sorted(set(indices)))
        return sorted({index - back for index in indices for back in (0, 1)})

    def choose_among(self, recorded: Sequence[int]) -> Sequence[int]:
        """All recorded pairs."""
        later = [index for index in recorded if index - 1 in recorded]
        return self.choose_frames(later, None) if later else recorded[:1]

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """All numbers of all layers, with those of another pair, and their p."""
        del layers
        names = ("correlation", "correlation_given_difference", "moving_over_still")
        charts = {name.replace("_", " "): [f".*/{name}(_other_pair)?"] for name in names}
        return charts | {f"p of {name.replace('_', ' ')}": [f".*/{name}_p"] for name in names}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw all layers of every pair."""
        pairs = self._pairs(frames)
        flows = [self._flow(pair) for pair in pairs]
        known = [flow for flow in flows if flow is not None]
        if not known:
            if not self._has_told:
                rank_zero_info(f"{type(self).__name__} is left out: there are no two frames with a flow or targets")
                self._has_told = True
            return
        for number, (pair, flow) in enumerate(zip(pairs, flows, strict=True)):
            if flow is not None:
                others = [each for place, each in enumerate(flows) if each is not None and place != number]
                other = others[number % len(others)] if others else None
                self._compare(pair, flow, other, layers, outputs)

    def _pairs(self, frames: Sequence[DissectedFrame]) -> list[Pair]:
        return [
            (before, now)
            for before, now in pairwise(frames)
            if self._later is None or (now.frame.index in self._later and before.frame.index == now.frame.index - 1)
        ]

    def _flow(self, pair: Pair) -> Flow | None:
        """Of a pair, found once and kept."""
        before, now = (each.frame for each in pair)
        key = before.index, now.index
        if key not in self._flows:
            self._flows[key] = flow_between(before, now)
        return self._flows[key]

    def _compare(self, pair: Pair, flow: Flow, other: Flow | None, layers: Sequence[str], outputs: Outputs) -> None:
        from xinc_pl.plots.motion import draw_motion

        before, now = pair
        results = []
        difference = difference_between(before.frame, now.frame)
        for layer in layers:
            (change,) = stream_change([before.canvas[layer], now.canvas[layer]])
            results.append(compare_with_motion(layer, change, flow, difference, other, self.min_motion))
        target = now.frame.target
        picture = partial(
            draw_motion,
            results,
            None if target is None else as_rgb(target),
            residual_motion(flow),
            (before.frame.index, now.frame.index),
            noted(f"frame {now.frame.index}", 3 if target is None else len(target)),
            epoch=outputs.epoch,
            quality=now.quality,
        )
        index = now.frame.index
        outputs.image("all_layers", "motion", picture, index)
        for result in results:
            outputs.nulls(
                result.layer,
                {
                    "correlation": result.correlation,
                    "correlation_given_difference": result.given_difference,
                    "moving_over_still": result.moving_over_still,
                },
                index,
            )
            others = {
                "correlation_other_pair": result.other_pair,
                "moving_over_still_other_pair": result.moving_over_still_other_pair,
            }
            outputs.scalars(result.layer, {name: each for name, each in others.items() if math.isfinite(each)}, index)
        changes = {result.layer: result.change.astype(np.float32) for result in results}
        outputs.arrays("all_layers", "motion", {"flow": flow.astype(np.float32), **changes}, index)
