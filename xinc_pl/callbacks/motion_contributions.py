"""Do contributions change where something moves?"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from xinc_pl.analysis.channels import as_rgb, noted
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.motion import compare_with_motion, flow_between
from xinc_pl.arguments import check_number
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.canvas import stream_change

Flow = npt.NDArray[np.float64]
Pair = tuple[DissectedFrame, DissectedFrame]


class MotionContributions(XINCCallback):
    """Shows how contributions change from one frame to the next, beside what moves (Fig. 9).

    Logs, for every pair of frames, the picture ``xinc/motion_contributions/all_layers/motion`` and the scalars below.
    The flow is the data's own, else TV-L1 on the frames. With one frame only, a line says that there is no motion, and
    nothing else happens.

    Args:
        min_motion: From how many pixels per frame on, against the scene's median motion, a pixel counts as moving.
        frames: The later frame of each pair, by index; or, in code, Frames, each two neighbours of which are a pair.
            By default two pairs, after one and after two thirds of the video.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "motion": "per layer, the sum over neurons of how much their contributions change, over its mean",
        "correlation": "Spearman's rank correlation over pixels of the layer's change with the flow's magnitude",
        "correlation_control": "the same with the flow of another pair (of the only pair: mirrored), where the same "
        "things may move in the same places",
        "moving_over_still": "mean change of pixels that move against the scene over that of the others",
        "moving_over_still_control": "the same with the flow of another pair",
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
        """Both numbers of all layers, with their controls."""
        del layers
        return {name.replace("_", " "): [f".*/{name}(_control)?"] for name in ("correlation", "moving_over_still")}

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
                control = others[number % len(others)] if others else flow[:, :, ::-1]
                self._compare(pair, flow, control, layers, outputs)

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

    def _compare(self, pair: Pair, flow: Flow, control: Flow, layers: Sequence[str], outputs: Outputs) -> None:
        from xinc_pl.plots.motion import draw_motion

        before, now = pair
        results = []
        for layer in layers:
            (change,) = stream_change([before.canvas[layer], now.canvas[layer]])
            results.append(compare_with_motion(layer, change, flow, control, self.min_motion))
        target = now.frame.target
        picture = draw_motion(
            results,
            None if target is None else as_rgb(target),
            np.linalg.norm(flow, axis=0),
            (before.frame.index, now.frame.index),
            noted(f"frame {now.frame.index}", 3 if target is None else len(target)),
            epoch=outputs.epoch,
            psnr=now.psnr,
        )
        index = now.frame.index
        outputs.image("all_layers", "motion", picture, index)
        for result in results:
            values = {
                "correlation": result.correlation,
                "correlation_control": result.correlation_control,
                "moving_over_still": result.moving_over_still,
                "moving_over_still_control": result.moving_over_still_control,
            }
            finite = {name: value for name, value in values.items() if math.isfinite(value)}
            outputs.scalars(result.layer, finite, index)
        changes = {result.layer: result.change.astype(np.float32) for result in results}
        outputs.arrays("all_layers", "motion", {"flow": flow.astype(np.float32), **changes}, index)
